"""Studies are split between a model and its candidate, and go over to it, while images come in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic, studies
from localcluster.layout import Node
from models import ARCHIVES_CLAIM, archives_claim, variant_of
from paths import STORE
from release import Release, eventually, kubectl

from router.traffic import place

NAMESPACE = "traffic"
MODEL = "chest-xray-pneumonia"
VERSION = "9.9.9"
WITHOUT_BRAIN = ("--set=modelDefaults.runtime=onnx", "--set=models.brain-mri-tumour.enabled=false")
EFFECT_SECONDS = 2
TIMES = 2
"""Each study is read so often at each weight, to see one that flips back."""
STEPS = (5, 25, 50, 100)


def candidates(release: Release) -> list[dict[str, Any]]:
    """The candidates that the router knows and that are Ready."""
    items = release.router.get("/api/models").raise_for_status().json()["items"]
    return [entry for entry in items if entry["variant"] == "canary" and entry["ready"]]


@dataclass(frozen=True)
class Rollout:
    """A release with a candidate of the chest model, whose folder holds its card."""

    release: Release
    folder: Path

    def weigh(self, weight: int, shadow: int = 0) -> None:
        """Give the candidate a weight, or mirror studies to it, as Helm does."""
        values = f"models.{MODEL}.canary"
        self.release.apply(
            *WITHOUT_BRAIN,
            f"--set-file={values}.card={self.folder / 'card.yaml'}",
            f"--set={values}.storageUri=pvc://{ARCHIVES_CLAIM}/{MODEL}",
            f"--set={values}.weight={weight}",
            f"--set={values}.shadow={shadow}",
        )

    def clinic(self, samples: Path, count: int) -> Clinic:
        """A clinic with so many studies."""
        return Clinic(self.release.address("dokuei-router"), studies(samples / "chest-xray.dcm", count), pause=0)

    def pods(self) -> set[str]:
        """The router's pods and those of both versions."""
        named = (None, MODEL, f"{MODEL}-canary")
        return {pod["metadata"]["uid"] for model in named for pod in self.release.pods(model)}


@pytest.fixture(scope="module")
def rollout(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollout]:  # noqa: ARG001
    """Two versions of the chest model; the candidate reads nothing yet."""
    folder = variant_of(STORE / MODEL, tmp_path_factory.mktemp("candidate"), version=VERSION)
    release = Release(NAMESPACE, WITHOUT_BRAIN, (MODEL, "modality"))
    try:
        release.install(lambda namespace: archives_claim(namespace, {MODEL: folder}))
        started = Rollout(release, folder)
        started.weigh(0)
        eventually(lambda: candidates(release), "the candidate")
        yield started
    finally:
        release.uninstall()


def test_studies_go_over_to_the_candidate_and_come_back_without_a_request_lost(
    rollout: Rollout, samples: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    count = math.ceil(pytestconfig.getoption("--uploads") / (TIMES * (len(STEPS) + 1)))
    clinic, before = rollout.clinic(samples, count), rollout.pods()
    with clinic.open():
        for weight in (*STEPS, 0):
            rollout.weigh(weight)
            effective = time.monotonic() + EFFECT_SECONDS
            due = {(key, "canary" if place(MODEL, VERSION, key) < weight else "stable") for key in clinic.studies}
            assert clinic.read_since(effective, times=TIMES) == due, weight
    assert clinic.problems == []
    assert rollout.pods() == before, "a weight starts no pod anew"
    record_property(
        "measured",
        f"{len(clinic.answers)} uploads of {len(clinic.studies)} studies while the candidate's weight went "
        f"{', '.join(map(str, (*STEPS, 0)))}: none lost; {EFFECT_SECONDS} s after each the right version reads a study",
    )


def test_a_candidate_that_ends_loses_no_request(rollout: Rollout, samples: Path) -> None:
    clinic = rollout.clinic(samples, 12)
    rollout.weigh(100)
    with clinic.open():
        eventually(lambda: "canary" in clinic.variants_since(0), "the candidate's answers")
        (pod,) = rollout.release.pods(f"{MODEL}-canary")
        ended = time.monotonic()
        kubectl("--namespace", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
        eventually(lambda: "stable" in clinic.variants_since(ended), "the stable version in its place")
        eventually(lambda: clinic.answers[-1].variant == "canary", "the candidate again")
    assert clinic.problems == []


def test_a_candidate_in_the_shadow_is_compared_and_reads_nothing(rollout: Rollout, samples: Path) -> None:
    clinic = rollout.clinic(samples, 12)
    rollout.weigh(0, shadow=100)
    time.sleep(EFFECT_SECONDS)
    with clinic.open():
        known = eventually(
            lambda: (told := rollout.release.router.get(f"/api/rollouts/{MODEL}").json())["outcomes"]["ok"] and told,
            "the first comparison",
        )
    assert clinic.problems == []
    assert clinic.variants_since(0) == {"stable"}
    assert (known["candidate"], known["flips"], known["agreement"]["drift"]["p95"]) == (VERSION, 0, 0), "the same graph"
