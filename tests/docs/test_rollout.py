"""docs/rollout.md says nothing that no test executes; rollout.yaml names the tests of each sentence."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from paths import ROOT

from router.gates import DISAGREED, RULES
from router.rollout.plan import Plan

DOCUMENT = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
CLAIMS = yaml.safe_load(Path(__file__).with_name("rollout.yaml").read_text(encoding="utf-8"))
WHOLE = [claim["table"] for claim in CLAIMS if "table" in claim]
"""Headings of tables each cell of which is compared below."""
LEAST = 0.3
"""By what a simulated percentage may differ where a processor rounds otherwise: three rollouts in 1,000."""


def said() -> list[str]:
    """The document's sentences, rows of tables, and commands with what they print, in their order."""
    pieces: list[str] = []
    for number, part in enumerate(re.split(r"^```.*\n", DOCUMENT, flags=re.MULTILINE)):
        if number % 2:
            pieces += map(str.strip, re.split(r"^(?=\$ )", part, flags=re.MULTILINE))
            continue
        for paragraph in re.split(r"\n\s*\n", part):
            if paragraph.startswith("|"):
                heading, _, *rows = paragraph.splitlines()
                pieces += [heading] if heading in WHOLE else rows
            elif not paragraph.startswith("#"):
                pieces += re.split(r"(?<=[.?!]) ", " ".join(paragraph.split()))
    return list(filter(None, pieces))


def cells(table: str) -> list[list[str]]:
    """The cells of a table, row by row, without its heading."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def table(heading: str) -> list[list[str]]:
    """The cells of the document's table below a heading."""
    (found,) = [part for part in re.split(r"\n\s*\n", DOCUMENT) if part.startswith(heading)]
    return cells(found)


def test_each_sentence_row_and_command_is_executed_by_a_test() -> None:
    assert said() == [claim.get("says") or claim["table"] for claim in CLAIMS]


@pytest.mark.parametrize("test", sorted({test for claim in CLAIMS for test in claim["by"]}))
def test_what_executes_it_is_a_test(test: str) -> None:
    file, _, name = test.partition("::")
    functions = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    assert name.startswith("test_")
    assert name in {each.name for each in functions if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("command", re.findall(r"^\$ make (?!sign-)(.+)$", DOCUMENT, re.MULTILINE))
def test_what_make_runs_is_there(command: str) -> None:
    # Nothing that the target needs is made for this: the recipe alone is of interest.
    told = ["--dry-run", "--always-make", "--no-print-directory"]
    recipe = subprocess.run(["make", *told, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True)
    program, option, module, *arguments = recipe.stdout.splitlines()[-1].split()
    assert program.endswith("/python")
    assert option == "-m"
    assert find_spec(module) is not None
    assert any("chest-xray-pneumonia" in argument for argument in arguments)


def test_the_gates_are_those_of_the_router() -> None:
    assert pytest.approx(2) == DISAGREED
    rows = [
        [name, rule.bad, *(f"{100 * share:g} %" for share in (rule.acceptable, rule.unacceptable))]
        for name, rule in RULES.items()
    ]
    readers = ["reviews", "a reader disagreed", "as often as with the stable version", "twice as often"]
    assert table("| gate |") == [*rows, readers]


def test_the_plan_is_one(tmp_path: Path) -> None:
    (plan,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    file = tmp_path / "plan.yaml"
    file.write_text(plan)
    assert Plan.load(file).steps == [0, 10, 100]


def test_what_was_simulated_is_what_is_simulated_now() -> None:
    printed = subprocess.run(
        [sys.executable, "benchmarks/rollout_gates.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    for simulated in printed.split("\n\n"):
        told = table(simulated.splitlines()[0])
        now = cells(simulated)
        assert [list(map(_words, row)) for row in told] == [list(map(_words, row)) for row in now]
        for row, found in zip(told, now, strict=True):
            assert _numbers(row) == pytest.approx(_numbers(found), rel=0.003, abs=LEAST), row


def _words(cell: str) -> str:
    return re.sub(r"[\d.]+", "", cell)


def _numbers(row: list[str]) -> list[float]:
    return [float(number) for cell in row for number in re.findall(r"\d+(?:\.\d+)?", cell)]
