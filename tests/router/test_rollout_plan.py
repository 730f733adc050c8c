"""A plan says which steps a rollout takes and what its gates let pass; a wrong one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.gates import ERROR, RULES
from router.rollout.errors import RolloutError
from router.rollout.plan import Plan, Step


def written(folder: Path, text: str) -> Path:
    file = folder / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_plan_the_usual_steps_and_gates_hold() -> None:
    plan = Plan.load(None)
    assert plan.left(Step(0, 0)) == [Step(weight) for weight in (0, 5, 25, 50, 100)]
    assert (plan.rules, plan.error) == (RULES, ERROR)


def test_a_plan_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    text = "steps: [0, 10, 100]\nerror: 0.05\ngates:\n  flips: {acceptable: 0.02, unacceptable: 0.05}\n"
    plan = Plan.load(written(tmp_path, text))
    assert (plan.steps, plan.error) == ([0, 10, 100], 0.05)
    assert (plan.rules["flips"].acceptable, plan.rules["flips"].unacceptable) == (0.02, 0.05)
    assert plan.rules["flips"].bad == RULES["flips"].bad
    assert {name: rule for name, rule in plan.rules.items() if name != "flips"} == {
        name: rule for name, rule in RULES.items() if name != "flips"
    }


def test_a_rollout_goes_on_at_the_step_it_has_reached() -> None:
    plan = Plan(steps=[0, 10, 100])
    assert plan.left(Step(10, 100)) == [Step(10), Step(100)]
    assert plan.left(Step(30, 100)) == [Step(0), Step(10), Step(100)], "at none of them: from the beginning"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: [50, 10]", r"steps are \[50, 10\]; they have to rise"),
        ("steps: []", "steps: .*at least 1 item"),
        ("steps: [0, 120]", r"steps\.1: .*less than or equal to 100"),
        ("error: 0.7", "error: .*less than 0.5"),
        ("gates: {flip: {acceptable: 0.1, unacceptable: 0.2}}", r"gates\.flip.*: .*'errors', 'latency', 'flips'"),
        ("gates: {flips: {acceptable: 0.2, unacceptable: 0.1}}", r"gates\.flips: .*has to be below unacceptable, 0\.1"),
        ("gates: {flips: {acceptable: 2, unacceptable: 5}}", r"gates\.flips\.acceptable: .*less than 1"),
        ("step: [0]", "step: Extra inputs are not permitted"),
        ("- 0", "plan.yaml: "),
        ("steps: [", "the plan cannot be read"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_file_and_field(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(RolloutError, match=says) as refused:
        Plan.load(file)
    assert str(refused.value).startswith(f"{file}: ")


def test_a_plan_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RolloutError, match="the plan cannot be read"):
        Plan.load(file)
