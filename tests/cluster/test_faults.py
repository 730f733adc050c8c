"""What breaks while images come in: no answer is wrong, and nothing that was accepted is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from answers import assert_alike
from database import SETTINGS, Database, database
from load import Load
from onenode import machine
from release import Release, eventually, kubectl

NAMESPACE = "faults"
MODELS = ("chest-xray-pneumonia", "modality")
LEAST_ANSWERED = 0.999
"""Of the uploads, after at most one retry."""
API_AWAY_SECONDS = 60
AFTER_SECONDS = 10
"""How long uploads go on once all is well again."""
TWICE = (
    "--set=modelDefaults.runtime=onnx",
    "--set=modelDefaults.replicas=2",
    "--set=router.replicas=2",
    "--set=models.brain-mri-tumour.enabled=false",
)

pytestmark = pytest.mark.usefixtures("node")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Database]:
    with database() as running:
        yield running


@pytest.fixture(scope="module")
def release(postgresql: Database) -> Iterator[Release]:
    """Two of each part, before PostgreSQL."""
    twice = Release(NAMESPACE, (*SETTINGS, *TWICE), MODELS)
    try:
        twice.install(postgresql.secret)
        yield twice
    finally:
        twice.uninstall()


def kill(*words: str) -> None:
    """`kill -9` of the first of the cluster's processes with these words in its command line."""
    found = machine.descendants(words)
    assert found, f"no process has {words} in its command line"
    found[0].send_signal(signal.SIGKILL)


def delete_pod() -> None:
    pods = f"serving.kserve.io/inferenceservice={MODELS[0]}"
    name = kubectl("--namespace", NAMESPACE, "get", "pods", "--selector", pods, "--output=name").split()[0]
    kubectl("--namespace", NAMESPACE, "delete", name, "--wait=false")


def api_server_away() -> None:
    machine.control("stop", "kube-apiserver")
    time.sleep(API_AWAY_SECONDS)
    machine.control("start", "kube-apiserver")


FAULTS: dict[str, Callable[[], None]] = {
    "a model's server is killed": lambda: kill("handlers.server"),
    "a router is killed": lambda: kill("dokuei", "serve"),
    "the kubelet is killed": lambda: kill("/kubelet "),
    "containerd is killed": lambda: kill("containerd --config"),
    "KServe's controller is killed": lambda: kill("/manager"),
    "a model's pod is deleted": delete_pod,
    "the API server is away for a minute": api_server_away,
}


@pytest.mark.parametrize("fault", [*FAULTS, "PostgreSQL is restarted"])
def test_uploads_go_on_while(
    release: Release,
    postgresql: Database,
    samples: Path,
    shared_router: httpx.Client,
    fault: str,
    record_property: Callable[[str, object], None],
) -> None:
    xray = (samples / "chest-xray.dcm").read_bytes()
    reference = shared_router.post("/api/analyses", files={"files": xray}).json()["result"]
    release.wait()
    with Load(release.address("dokuei-router"), xray) as load:
        eventually(lambda: len(load.accepted) >= 10, "the first answers")
        if fault in FAULTS:
            FAULTS[fault]()
        else:
            postgresql.stop()
            postgresql.start()
        release.wait()
        time.sleep(AFTER_SECONDS)
    share = len(load.accepted) / len(load.uploads)
    record_property(
        "measured",
        f"{fault}: {len(load.uploads)} uploads, {len(load.tried_again)} of them tried again, {share:.2%} answered",
    )
    assert share >= LEAST_ANSWERED, load.tried_again
    for analysis in load.accepted:
        assert_alike(analysis["result"], reference)
    assert load.lost(release.router) == []
