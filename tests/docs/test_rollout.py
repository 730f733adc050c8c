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

from router.gates import RULES
from router.rollout.plan import Plan

DOCUMENT = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
CLAIMS = yaml.safe_load(Path(__file__).with_name("rollout.yaml").read_text(encoding="utf-8"))
CHANCE = 1.0
"""Percent by which a simulated share may differ where a processor rounds otherwise."""


def said() -> list[str]:
    """The document's sentences, rows of tables and commands, in their order; code without commands is one piece."""
    pieces: list[str] = []
    for number, part in enumerate(re.split(r"^```.*\n", DOCUMENT, flags=re.MULTILINE)):
        if number % 2:
            pieces += [line for line in part.splitlines() if line.startswith("$ ")] or [part.strip()]
            continue
        for paragraph in filter(None, map(str.strip, re.split(r"\n\s*\n", part))):
            if paragraph.startswith("|"):
                pieces += paragraph.splitlines()[2:]
            elif not paragraph.startswith("#"):
                pieces += re.split(r"(?<=[.:]) (?=[A-Z`])", " ".join(paragraph.split()))
    return pieces


def rows(piece: str) -> list[list[str]]:
    """Cells of the rows of the table that begins with a piece of its heading."""
    (table,) = [part for part in re.split(r"\n\s*\n", DOCUMENT) if part.startswith(piece)]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_each_sentence_row_and_command_is_executed_by_a_test() -> None:
    for piece, claim in zip(said(), CLAIMS, strict=False):
        assert piece.startswith(claim["says"])
    assert len(said()) == len(CLAIMS)


@pytest.mark.parametrize("test", sorted({test for claim in CLAIMS for test in claim["by"]}))
def test_what_executes_it_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    functions = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    assert name in {each.name for each in functions if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("command", [piece.removeprefix("$ ") for piece in said() if piece.startswith("$ make ")])
def test_what_make_runs_is_there(command: str) -> None:
    target, *given = command.split()[1:]
    # Nothing that the target needs is made for this: the recipe alone is of interest.
    told = ["--dry-run", "--always-make", "--no-print-directory"]
    recipe = subprocess.run(
        ["make", *told, target, *given], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    program, option, module, *arguments = recipe.split()
    assert program.endswith("/python")
    assert option == "-m"
    assert find_spec(module) is not None
    assert any("chest-xray-pneumonia" in argument for argument in arguments)


def test_the_gates_are_those_of_the_router() -> None:
    told = {row[0]: row[1:] for row in rows("| gate |")}
    assert told.keys() == RULES.keys() | {"reviews"}
    for name, rule in RULES.items():
        assert told[name] == [rule.bad, f"{100 * rule.acceptable:g} %", f"{100 * rule.unacceptable:g} %"]


def test_the_plan_is_one(tmp_path: Path) -> None:
    (plan,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    file = tmp_path / "plan.yaml"
    file.write_text(plan)
    assert Plan.load(file).steps == [0, 10, 100]


def test_what_was_simulated_is_what_is_simulated_now() -> None:
    printed = subprocess.run(
        [sys.executable, "benchmarks/rollout_gates.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    told = [rows("| candidate | should be"), rows("| readers disagree")]
    for table, simulated in zip(told, printed.split("\n\n"), strict=True):
        now = [[cell.strip() for cell in row.strip("|").split("|")] for row in simulated.splitlines()[2:]]
        assert [row[:2] for row in table] == [row[:2] for row in now]
        for row, found in zip(table, now, strict=True):
            shares = [(cell, other) for cell, other in zip(row, found, strict=True) if cell.endswith("%")]
            for cell, other in shares:
                assert float(cell.strip(" %")) == pytest.approx(float(other.strip(" %")), abs=CHANCE), row
