"""50,000 mutated inputs find no fault in what takes bytes from outside, and those that once did find none again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS
from paths import ROOT

CORPUS = Path(__file__).with_name("corpus")
RUNS = {"image": 25_000, "form": 10_000, "request": 10_000, "card": 5_000}


def fuzz(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/fuzz/fuzz.py", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("target", RUNS)
def test_mutated_bytes_find_no_fault(target: str, tmp_path: Path) -> None:
    done = fuzz(target, "--runs", RUNS[target], "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    (runs,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    (new,) = re.findall(r"new_units_added: +(\d+)", done.stderr)
    assert int(runs) >= RUNS[target]
    assert int(new) > 20, "the fuzzer sees no code: nothing led it"


@pytest.mark.parametrize("kept", sorted(CORPUS.glob("*/*")), ids=lambda kept: f"{kept.parent.name}-{kept.name}")
def test_what_once_found_a_fault_finds_none(kept: Path) -> None:
    TARGETS[kept.parent.name](kept.read_bytes())


def test_a_fault_is_found_and_kept(tmp_path: Path) -> None:
    """The fuzzer itself, on a target with a fault that only the code it reaches leads to."""
    done = fuzz("planted", "--runs", 200_000, "--out", tmp_path)
    assert done.returncode != 0, "200,000 inputs did not find it"
    (found,) = (tmp_path / "planted").glob("crash-*")
    again = fuzz("planted", "--input", found)
    assert again.returncode != 0
    assert "PlantedFault" in again.stderr
