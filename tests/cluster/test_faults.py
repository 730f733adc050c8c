"""What breaks while images come in: no answer is wrong, and nothing that was accepted is lost."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from answers import assert_alike
from database import SETTINGS, Database
from load import Load
from localcluster import machine
from localcluster.layout import FIRST
from release import Release, eventually, kubectl
from second import second_node
from volumes import enlarge, small_volume

NAMESPACE = "faults"
MODELS = ("chest-xray-pneumonia", "modality")
LEAST_ANSWERED = 0.999
"""Of the uploads, after at most one retry."""
API_AWAY_SECONDS = 60
AFTER_SECONDS = 10
"""How long uploads go on once all is well again."""
ONCE = ("--set=modelDefaults.runtime=onnx", "--set=models.brain-mri-tumour.enabled=false")
TWICE = (*ONCE, "--set=modelDefaults.replicas=2", "--set=router.replicas=2")
VOLUME_MEGABYTES = 16
MOST_UPLOADS = 500

pytestmark = pytest.mark.usefixtures("node")


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


@dataclass(frozen=True)
class Uploads:
    """Sends X-rays to a release while something happens, and looks at every answer.

    Args:
        xray: what is uploaded.
        reference: the right answer.
        record: takes what was measured.
    """

    xray: bytes
    reference: dict[str, Any]
    record: Callable[[str, object], None]

    def go_on_while(self, what: str, release: Release, happens: Callable[[], None]) -> None:
        """Fails where an answer is wrong, an accepted analysis is lost, or too few are answered after one retry."""
        with Load(release.address("dokuei-router"), self.xray) as load:
            eventually(lambda: len(load.accepted) >= 10, "the first answers")
            happens()
            release.wait()
            time.sleep(AFTER_SECONDS)
        share = len(load.accepted) / len(load.uploads)
        reasons = Counter(tries[0].partition(" ")[0] for tries in load.tried_again)
        again = ", ".join(f"{number} after {reason}" for reason, number in reasons.items()) or "none"
        told = f"{what}: {len(load.uploads)} uploads; tried again: {again}; {share:.2%} answered"
        self.record("measured", told)
        assert share >= LEAST_ANSWERED, load.tried_again
        for analysis in load.accepted:
            assert_alike(analysis["result"], self.reference)
        assert load.lost(release.router) == []


@pytest.fixture
def uploads(samples: Path, shared_router: httpx.Client, record_property: Callable[[str, object], None]) -> Uploads:
    xray = (samples / "chest-xray.dcm").read_bytes()
    reference = shared_router.post("/api/analyses", files={"files": xray}).json()["result"]
    return Uploads(xray, reference, record_property)


@pytest.mark.parametrize("fault", FAULTS)
def test_uploads_go_on_while(release: Release, uploads: Uploads, fault: str) -> None:
    release.wait()
    uploads.go_on_while(fault, release, FAULTS[fault])


def test_uploads_go_on_while_postgresql_is_restarted(release: Release, uploads: Uploads, postgresql: Database) -> None:
    def restart() -> None:
        postgresql.stop()
        postgresql.start()

    release.wait()
    uploads.go_on_while("PostgreSQL is restarted", release, restart)


def test_uploads_go_on_while_a_node_is_drained(release: Release, uploads: Uploads) -> None:
    def nodes() -> set[str]:
        return {pod["spec"]["nodeName"] for model in (None, *MODELS) for pod in release.pods(model)}

    with second_node(("router", "model-server", *(f"model-{model}" for model in MODELS))) as second:
        # One of each part moves there.
        kubectl("cordon", FIRST.name)
        try:
            for model in (None, *MODELS):
                pod = release.pods(model)[0]["metadata"]["name"]
                kubectl("--namespace", NAMESPACE, "delete", "pod", pod)
            release.wait()
        finally:
            kubectl("uncordon", FIRST.name)
        assert nodes() == {FIRST.name, second}
        drain = ("drain", second, "--delete-emptydir-data", "--timeout=180s")
        uploads.go_on_while("a node is drained", release, lambda: kubectl(*drain))
        assert nodes() == {FIRST.name}


def test_a_full_volume_is_said_and_nothing_that_was_accepted_is_lost(
    install: Callable[..., Release], samples: Path, record_property: Callable[[str, object], None]
) -> None:
    with small_volume("small", megabytes=VOLUME_MEGABYTES) as storage_class:
        full = install("full", f"--set=database.sqlite.storageClass={storage_class}", *ONCE, models=MODELS)
        xray = samples / "chest-xray.dcm"
        accepted = []
        while (answer := full.analyse(xray)).status_code == 201:
            accepted.append(answer.json()["id"])
            assert len(accepted) < MOST_UPLOADS, "the volume does not fill"
        record_property("measured", f"a volume of {VOLUME_MEGABYTES} MB took {len(accepted)} X-rays, and lost none")
        assert answer.status_code == 503
        assert "its disk is full" in answer.json()["detail"]
        assert [full.router.get(f"/api/analyses/{each}").status_code for each in accepted] == [200] * len(accepted)
        enlarge(storage_class, megabytes=2 * VOLUME_MEGABYTES)
        assert full.analyse(xray).status_code == 201
