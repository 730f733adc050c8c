"""`dokuei rollout` takes a candidate to being the model, or back, while images come in."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from clinic import Clinic, studies
from localcluster.layout import Node
from models import ARCHIVES_CLAIM, archives_claim, variant_of
from paths import ROOT, STORE
from release import CHART, HELM, Release, eventually, helm, objects
from rollouts import dokuei, write_plan
from worse import WORSE

NAMESPACE = "rollout"
MODEL = "chest-xray-pneumonia"
SETTINGS = ("--set=modelDefaults.runtime=onnx", "--set=models.brain-mri-tumour.enabled=false")
ABORT_SECONDS = 5
GOOD = ("the same", "promoted by hand")
"""Candidates with the weights of the model."""
VERSIONS = {what: f"9.0.{number}" for number, what in enumerate([*GOOD, *WORSE])}
GATES = {"noise": "drift", "slow": "latency", "crashing": "errors", "flipping": "flips"}
"""The gate that each worse candidate fails; noise may fail others with it."""


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the next versions, by what they are."""
    folders = {
        what: variant_of(STORE / MODEL, tmp_path_factory.mktemp("next"), version=version)
        for what, version in VERSIONS.items()
    }
    for what, make_worse in WORSE.items():
        make_worse(folders[what])
    return folders


@pytest.fixture(scope="module")
def release(node: Node, candidates: dict[str, Path]) -> Iterator[Release]:  # noqa: ARG001
    """The chest model alone, and the archives of its next versions on a volume."""
    installed = Release(NAMESPACE, SETTINGS, (MODEL, "modality"))
    try:
        archives = {what.replace(" ", "-"): folder for what, folder in candidates.items()}
        installed.install(lambda namespace: archives_claim(namespace, archives))
        yield installed
    finally:
        installed.uninstall()


def command(*arguments: str) -> list[str]:
    what, *more = arguments
    options = (f"--namespace={NAMESPACE}", *([] if what == "pause" else [f"--helm={HELM}"]))
    return dokuei("rollout", what, MODEL, *options, *more)


def uri_of(what: str) -> str:
    return f"pvc://{ARCHIVES_CLAIM}/{what.replace(' ', '-')}"


def rollout(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dokuei rollout` to its end."""
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


class Start(Protocol):
    """Starts the rollout of a candidate, or goes on with it, and does not wait."""

    def __call__(self, what: str, how: str = "start") -> subprocess.Popen[str]: ...


@pytest.fixture
def start(candidates: dict[str, Path], tmp_path: Path) -> Iterator[Start]:
    """Ends with the test what it has started."""
    plan, started = write_plan(tmp_path), []

    def run(what: str, how: str = "start") -> subprocess.Popen[str]:
        card = (f"--card={candidates[what] / 'card.yaml'}", f"--storage-uri={uri_of(what)}")
        options = (*(card if how == "start" else ()), f"--chart={CHART}", f"--plan={plan}", "--interval=1")
        process = subprocess.Popen(
            command(how, *options), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def history(after: int = 0) -> list[str]:
    """What was done after a revision, in words."""
    return [told["description"] for told in revisions() if told["revision"] > after]


def revisions() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rollout("history", "--output=json").stdout)
    return found


def last_revision() -> int:
    return max((told["revision"] for told in revisions()), default=0)


def wait_for(step: str, after: int) -> None:
    """Wait until a rollout that began after a revision has come to a step."""
    eventually(lambda: any(told.endswith(step) for told in history(after)), step, pause=0.5)


def status() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(rollout("status", "--output=json").stdout or "{}")
    return told


@pytest.mark.parametrize("what", WORSE)
def test_a_worse_candidate_is_taken_away_by_the_gate_it_fails(
    release: Release, start: Start, samples: Path, what: str
) -> None:
    clinic = Clinic(release.address("dokuei-router"), studies(samples / "chest-xray.dcm", 12))
    with clinic.open():
        said, _ = start(what).communicate(timeout=600)
        ended = time.monotonic()
        assert clinic.read_since(ended, times=1) == {(key, "stable") for key in clinic.studies}
    assert clinic.problems == []
    why = " ".join(said.split())  # It is wrapped to the width of a terminal.
    assert "aborted at the shadow by" in why, said
    assert f"{GATES[what]} (" in why.partition("aborted at")[2], said
    assert "aborted: at the shadow" in history()[-1]
    events = [each for each in objects("events", NAMESPACE) if each["reason"] == "RolloutAborted"]
    assert any(GATES[what] in each["message"] for each in events)
    assert f"{MODEL}-canary" not in {each["metadata"]["name"] for each in objects("inferenceservices", NAMESPACE)}


def test_one_operator_acts(release: Release, start: Start) -> None:  # noqa: ARG001
    start("the same")
    eventually(lambda: status().get("driver"), "the rollout", pause=2)
    said, _ = start("the same").communicate(timeout=60)
    assert "is rolling out" in said
    assert rollout("abort", f"--chart={CHART}").returncode == 0


@pytest.mark.parametrize(
    "step",
    [
        "a candidate is there",
        "the candidate is at the shadow",
        "the candidate is at 50 %",
        "the candidate reads everything",
        "the model becomes what the candidate is",
    ],
)
def test_a_rollout_that_was_killed_at_any_step_can_be_told_of_and_aborted(
    release: Release, start: Start, samples: Path, step: str, record_property: Callable[[str, object], None]
) -> None:
    before, revision = release.served()[MODEL]["version"], last_revision()
    clinic = Clinic(release.address("dokuei-router"), studies(samples / "chest-xray.dcm", 12))
    with clinic.open():
        first = start("the same")
        wait_for(step, revision)
        first.send_signal(signal.SIGKILL)
        eventually(lambda: status().get("candidate") == VERSIONS["the same"], "the candidate's status", pause=1)
        aborting = time.monotonic()
        # The operator's machine is not the node, whose two processors all pods share.
        first_in_line = ["nice", "-n", "-15"]
        aborted = subprocess.Popen([*first_in_line, *command("abort", f"--chart={CHART}", "--why=too risky")], cwd=ROOT)
        clinic.read_since(aborting + ABORT_SECONDS, times=1)
        assert aborted.wait(120) == 0
        # Also after Helm, and whoever still ran it, were done.
        clinic.read_since(time.monotonic(), times=1)
    late = [answer.sent - aborting for answer in clinic.since(aborting) if answer.variant == "canary"]
    assert max(late, default=0) <= ABORT_SECONDS
    record_property("measured", f"the candidate read nothing from {max(late, default=0):.1f} s after the abort on")
    release.wait()
    assert clinic.problems == []
    assert "aborted: too risky" in history()[-1]
    assert release.served()[MODEL]["version"] == before


def test_a_good_candidate_becomes_the_model_without_a_cold_gap_also_after_a_pause(
    release: Release, start: Start, samples: Path, record_property: Callable[[str, object], None]
) -> None:
    clinic = Clinic(release.address("dokuei-router"), studies(samples / "chest-xray.dcm", 12))
    began, revision = time.monotonic(), last_revision()
    with clinic.open():
        first = start("the same")
        wait_for("at 50 %", revision)
        assert rollout("pause").returncode == 0
        said, _ = first.communicate(timeout=60)
        assert "the rollout was stopped by its pause" in " ".join(said.split())
        paused = status()
        assert (paused["driver"], paused["weight"]) == (None, 50)
        said, _ = start("the same", "resume").communicate(timeout=600)
        ended = time.monotonic()
        clinic.read_since(ended, times=1)
    assert clinic.problems == []
    shown, promoted, _ = said.partition(f"{MODEL} is promoted")
    assert promoted
    assert all(gate in shown for gate in ("errors", "flips", "drift", "heat_maps", "reviews")), said
    assert release.served()[MODEL]["version"] == VERSIONS["the same"]
    assert release.served()[MODEL]["variant"] == "stable"
    before = {pod["metadata"]["uid"] for pod in release.pods(MODEL)}
    helm("upgrade", "dokuei", CHART, "--namespace", NAMESPACE, "--reuse-values")
    assert {pod["metadata"]["uid"] for pod in release.pods(MODEL)} == before, "Helm and the cluster agree"
    record_property("measured", f"{len(clinic.answers)} uploads in a rollout of {ended - began:.0f} s, none lost")


def test_a_rollout_that_was_killed_goes_on_and_is_promoted_by_hand_before_its_gates_have_passed(
    release: Release,
    start: Start,
) -> None:
    revision = last_revision()
    killed = start("promoted by hand")
    wait_for("at the shadow", revision)
    leases = {lease["metadata"]["name"]: lease["spec"] for lease in objects("leases", NAMESPACE)}
    assert leases[f"dokuei-rollout-{MODEL}"]["holderIdentity"].endswith(f"/{killed.pid}")
    killed.send_signal(signal.SIGKILL)
    eventually(lambda: status()["driver"] is None, "the end of its lease", pause=2)
    again = start("promoted by hand", "resume")
    eventually(lambda: status()["driver"], "the rollout", pause=1)
    assert rollout("pause").returncode == 0
    again.communicate(timeout=60)
    assert status()["gates"]["errors"]["verdict"] == "undecided"
    promoted = rollout("promote", f"--chart={CHART}")
    assert promoted.returncode == 0, promoted.stderr
    assert f"{MODEL} is promoted" in promoted.stdout
    assert release.served()[MODEL]["version"] == VERSIONS["promoted by hand"]
    assert f"{MODEL}-canary" not in {each["metadata"]["name"] for each in objects("inferenceservices", NAMESPACE)}


def test_an_abort_that_helm_refuses_holds_is_told_of_and_goes_on(release: Release, start: Start, samples: Path) -> None:
    revision = last_revision()
    clinic = Clinic(release.address("dokuei-router"), studies(samples / "chest-xray.dcm", 12))
    with clinic.open():
        first = start("the same")
        wait_for("at 50 %", revision)
        refused = rollout("abort", "--chart=charts/nothing", "--why=too risky")
        assert refused.returncode == 1
        assert clinic.read_since(time.monotonic() + ABORT_SECONDS, times=1) == {
            (key, "stable") for key in clinic.studies
        }
        first.communicate(timeout=60)
        told = " ".join(rollout("status").stdout.split())
        assert "aborted (too risky" in told
        going_on, _ = start("the same", "resume").communicate(timeout=60)
        assert "was aborted (too risky" in " ".join(going_on.split())
        assert rollout("abort", f"--chart={CHART}", "--why=too risky").returncode == 0
    assert clinic.problems == []
    assert "aborted: too risky" in history()[-1]
    assert rollout("status").returncode == 1, "there is no candidate any more"
