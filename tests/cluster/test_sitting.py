"""docs/rollout.md is followed, from the training of a version to its being the model."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from clinic import Clinic, studies
from conftest import Install
from localcluster import machine
from localcluster.layout import PROGRAMS, Node
from paths import ROOT
from release import HELM, STORAGE_ANNOTATION, eventually, objects
from rollouts import dokuei, write_plan
from synthetic import write_data

from images.build import choose_builder
from router.local import free_port

NAMESPACE = "sitting"
MODEL, MODALITY = "chest-xray-pneumonia", "modality"
DOCUMENT = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8").partition("\n## Commands\n")[0]
(NEXT,) = re.findall(r"`version: ([\d.]+)`", DOCUMENT)
COMMANDS = dict(re.findall(r"^\$ (.+)\n((?:(?!\$ |```).*\n)*)", DOCUMENT, re.MULTILINE))
"""Each command with what it prints, where the document shows that."""
START, STATUS, HISTORY = [command for command in COMMANDS if command.startswith("dokuei ")]
LEARN = [command for command in COMMANDS if command.startswith(("make crossvalidate", "make export", "make evaluate"))]
SHIP = [command for command in COMMANDS if command.startswith(("make sign", "make images", "skopeo"))]
# What the clone's files are newer than, and is there all the same.
MADE = ("--old-file=.venv/.dev", "--old-file=.venv/.light", "--old-file=portal/dist/index.html")
# Not that of the `make` which runs the tests; and tables that are not wrapped.
ENVIRONMENT = {key: value for key, value in os.environ.items() if "MAKE" not in key} | {"COLUMNS": "120"}

# Five trainings, on the two processors that the cluster has.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def registry(node: Node, tmp_path: Path) -> Iterator[str]:
    """A registry that the first node pulls from; gives its address, which no earlier image has."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with (tmp_path / "registry.log").open("w") as log:
        process = subprocess.Popen([PROGRAMS / "registry", f"--port={port}"], stdout=log, stderr=log)
    try:
        eventually(lambda: httpx.get(f"http://{address}/v2/", trust_env=False).is_success, "the registry", 20)
        yield address
    finally:
        process.terminate()
        process.wait()
        for line in machine.ctr("images", "ls", "--quiet", node=node).splitlines():
            if line.startswith(address):
                machine.ctr("images", "rm", line, node=node)


class Sitting:
    """Types the document's commands in a clone of the repository, whose environment is that of this one."""

    def __init__(self, place: Path, changes: dict[str, str]) -> None:
        self.place, self._changes = place, changes
        self.built: set[str] = set()
        subprocess.run(["git", "clone", "--quiet", ROOT, place], check=True)
        (place / ".venv").symlink_to(ROOT / ".venv")

    def follow(self, typed: str, *, model: str = MODEL, version: str = NEXT) -> str:
        """Type a command, for another model or version too; gives what it prints, which is what the document shows."""
        printed = self.type(typed.replace(MODEL, model).replace(NEXT, version))
        self.look(typed, printed, model)
        return printed

    def look(self, typed: str, printed: str, model: str = MODEL) -> None:
        """Look whether what a command printed is what the document shows."""
        lines = [_shape(line) for line in printed.splitlines()]
        shown = [_shape(line) for line in COMMANDS[typed].replace(MODEL, model).splitlines()]
        assert [line for line in shown if line not in lines] == [], printed

    def type(self, typed: str) -> str:
        """Type a command; gives what it prints."""
        process = self.start(typed)
        printed, problems = process.communicate()
        assert process.returncode == 0, f"{typed}\n{printed[-2000:]}{problems[-4000:]}"
        self.built |= set(re.findall(r"^dokuei/\S+", printed, re.MULTILINE))
        return printed

    def start(self, typed: str, *options: str) -> subprocess.Popen[str]:
        """Type a command, and do not wait for its end."""
        for told, here in self._changes.items():
            typed = typed.replace(told, here)
        program, *words = shlex.split(typed)
        match program:
            case "make":
                command = [program, *MADE, *words]
            case "skopeo":
                command = [program, *words, "--dest-tls-verify=false"]
            case _:
                command = dokuei(*words, f"--helm={HELM}")
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*command, *options], cwd=self.place, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
        )

    def card(self, model: str) -> dict[str, Any]:
        """The card of a model."""
        card: dict[str, Any] = yaml.safe_load((self.place / "model-store" / model / "card.yaml").read_text())
        return card

    def write_version(self, version: str) -> None:
        """Write the version into the model's card."""
        card = self.place / "model-store" / MODEL / "card.yaml"
        card.write_text(re.sub(r"^version: .+$", f"version: {version}", card.read_text(), flags=re.MULTILINE))
        assert self.card(MODEL)["version"] == version


def _shape(line: str) -> str:
    """A line without its numbers and digests, and however wide its table is."""
    return " ".join(re.sub(r"[0-9a-f]{12,}|\d+(\.\d+)*|[^\x00-\x7f]", " ", line).split())


@pytest.fixture
def sitting(registry: str, tmp_path: Path) -> Iterator[Sitting]:
    """A clone with a key to sign with, and a small data folder; its images have the names of others, and go with it."""
    (tmp_path / "data").mkdir()
    write_data(tmp_path / "data")
    key = tmp_path / "vendor.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    changes = {
        "../shared/data": str(tmp_path / "data"),
        key.name: str(key),
        "registry.hospital.example": registry,
        "--namespace dokuei": f"--namespace {NAMESPACE}",
    }
    clone = Sitting(tmp_path / "clone", changes)
    yield clone
    if clone.built:
        subprocess.run([choose_builder(None), "rmi", *clone.built], check=True, capture_output=True)


def test_the_commands_of_the_document_lead_from_training_to_a_promoted_version(
    sitting: Sitting,
    registry: str,
    install: Install,
    samples: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    trusted = tmp_path / "trusted.pem"
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "vendor.pem", "-pubout", "-out", trusted], check=True)
    served, began = sitting.card(MODEL)["version"], time.monotonic()
    # Both versions are of one training, which agrees with itself as a good candidate does with the stable version.
    for version in (served, NEXT):
        sitting.write_version(version)
        for command in (*LEARN, *SHIP):
            sitting.follow(command, version=version)
        if version == served:
            made = time.monotonic()
            for command in SHIP:
                sitting.follow(command, model=MODALITY, version=sitting.card(MODALITY)["version"])
            release = install(
                NAMESPACE,
                "--set=modelDefaults.runtime=onnx",
                "--set=models.brain-mri-tumour.enabled=false",
                f"--set=modelStorage.repository={registry}/dokuei/model-{{name}}",
                f"--set-file=modelDefaults.trustedKeys={trusted}",
                f"--set-file=models.{MODEL}.card={sitting.place}/model-store/{MODEL}/card.yaml",
                models=(MODEL, MODALITY),
            )
    assert release.served()[MODEL]["version"] == served
    clinic = Clinic(release.address("dokuei-router"), studies(samples / "chest-xray.dcm", 12))
    with clinic.open():
        rolling = sitting.start(START, f"--plan={write_plan(tmp_path)}", "--interval=1")
        try:
            eventually(lambda: "the candidate is at the shadow" in sitting.type(HISTORY), "the shadow", pause=2)
            told = " ".join(sitting.type(STATUS).split())
            said, problems = rolling.communicate(timeout=600)
        finally:
            rolling.kill()
    assert rolling.returncode == 0, said + problems
    assert clinic.problems == []
    assert f"{NEXT} reads 0 %, 100 % are compared with {served}" in told
    assert "driven by" in told
    sitting.look(START, said)
    shown, _, values = said.partition(f"{MODEL} is promoted; values of the release, for GitOps:\n")
    # Not in a terminal it shows the last look alone, at 100 %, where there is no gate of latency.
    assert all(gate in shown for gate in ("errors", "flips", "drift", "reviews")), said
    assert yaml.safe_load(json.loads(values)["models"][MODEL]["card"]) == sitting.card(MODEL)
    assert release.served()[MODEL]["version"] == NEXT
    (pod,) = release.pods(MODEL)
    image = f"oci://{registry}/dokuei/model-{MODEL}:{NEXT}"
    assert pod["metadata"]["annotations"][STORAGE_ANNOTATION] == image
    steps = " ".join(sitting.follow(HISTORY).split())
    assert steps.index("the candidate is at the shadow") < steps.rindex("the candidate is at 50 %")
    reasons = {each["reason"] for each in objects("events", NAMESPACE) if each["involvedObject"]["name"] == MODEL}
    assert reasons >= {"RolloutStarted", "RolloutStep", "RolloutPromoted"}
    record_property(
        "measured",
        f"{made - began:.0f} s from a training on few small X-rays to an image in a registry; "
        f"{len(clinic.answers)} uploads during the rollout, none lost",
    )
