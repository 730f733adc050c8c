"""Of a cluster whose start is cut short, `make cluster-down` leaves nothing on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from localcluster.layout import PROGRAMS, ROOT, cgroup_of
from localcluster.machine import CGROUPS
from release import eventually

START = "from localcluster import addons, machine; machine.start(); addons.wait_for_node()"
STOP = "from localcluster import machine; machine.stop()"
Python = Callable[[str], subprocess.Popen[bytes]]

pytestmark = pytest.mark.usefixtures("node")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy of its own: its cluster is another than the one that the tests run on."""
    for part in ("handlers", "images", "tests/cluster/localcluster", "tests/cluster/programs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    programs = tmp_path / PROGRAMS.relative_to(ROOT)
    programs.parent.mkdir(parents=True)
    programs.symlink_to(PROGRAMS)
    return tmp_path


@pytest.fixture
def python(copy: Path) -> Iterator[Python]:
    """Starts Python in the working copy; its cluster is ended afterwards."""
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests' / 'cluster'}"}

    def run(code: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], cwd=copy, env=environment)

    yield run
    assert run(STOP).wait(60) == 0


def processes(copy: Path) -> list[psutil.Process]:
    """The processes that were started with something of the working copy."""
    return [each for each in psutil.process_iter(["cmdline"]) if str(copy) in " ".join(each.info["cmdline"] or ())]


def left(copy: Path) -> list[str]:
    """What a cluster of the working copy has on this machine."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(copy) in line]
    name = cgroup_of(copy)
    cgroups = [str(path) for pattern in (name, f"*/{name}") for path in CGROUPS.glob(pattern)]
    run = copy / ".cache" / "cluster" / "run"
    return [*map(str, processes(copy)), *mounts, *cgroups, *([str(run)] if run.exists() else [])]


@pytest.mark.parametrize("moment", ["at once", "when the kubelet runs"])
def test_nothing_is_left_of_a_start_that_was_killed(copy: Path, python: Python, moment: str) -> None:
    starting = python(START)
    first = copy / ".cache" / "cluster" / "run" / "process"
    eventually(first.exists, "the namespaces", 30, pause=0.01)
    if moment != "at once":
        eventually(lambda: any("/kubelet" in each.info["cmdline"][0] for each in processes(copy)), "the kubelet", 60)
    starting.kill()
    starting.wait()
    assert left(copy), "what was started runs on, so there is something to take away"
    assert python(STOP).wait(60) == 0
    assert left(copy) == []
    assert python(STOP).wait(60) == 0, "a second time does nothing"
