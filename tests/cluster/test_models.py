"""Images go in through the Service and come back right, whatever serves the models and wherever these come from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from answers import assert_alike
from models import ARCHIVES_CLAIM, archives_claim, variant_of
from paths import STORE
from release import Release, eventually, is_ready, objects

SERVED_SECONDS = 5
SAMPLES = {"chest-xray-opacity.dcm": "chest-xray-pneumonia", "brain-mri.zip": "brain-mri-tumour"}


def from_volume(model: str) -> str:
    return f"--set=models.{model}.storageUri=pvc://{ARCHIVES_CLAIM}/{model}"


CONFIGURATIONS = {
    "torchserve, from images": ("torchserve", "oci", ()),
    "light, from a volume": (
        "onnx",
        "pvc",
        ("--set=modelDefaults.runtime=onnx", *(from_volume(model) for model in SAMPLES.values())),
    ),
    "torchserve, from a volume": ("torchserve", "pvc", tuple(from_volume(model) for model in SAMPLES.values())),
    "light, from images": ("onnx", "oci", ("--set=modelDefaults.runtime=onnx",)),
}


@pytest.fixture(params=CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def configured(request: pytest.FixtureRequest, dokuei: Release) -> tuple[Release, str, str]:
    """The release with models on a runtime and from a source; both are given."""
    runtime, source, settings = request.param
    if source == "pvc":
        request.getfixturevalue("node")
        archives_claim(dokuei.namespace, {model: STORE / model for model in SAMPLES.values()})
    dokuei.upgrade(*settings)
    return dokuei, runtime, source


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_upload_is_answered_as_on_one_machine(
    configured: tuple[Release, str, str], shared_router: httpx.Client, samples: Path, sample: str
) -> None:
    release, runtime, source = configured
    model = SAMPLES[sample]
    answer = release.analyse(samples / sample)
    assert answer.status_code == 201, answer.text
    reference = shared_router.post("/api/analyses", files={"files": (samples / sample).read_bytes()}).json()
    assert answer.json()["model"]["name"] == model
    assert answer.json()["model"]["runtime"] == f"dokuei-{runtime}"
    assert_alike(answer.json()["result"], reference["result"])
    (pod,) = release.pods(model)
    volumes = [volume for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    containers = [container["name"] for container in pod["spec"]["containers"]]
    assert (bool(volumes), "modelcar" in containers) == ((True, False) if source == "pvc" else (False, True))


@pytest.mark.usefixtures("node")
def test_a_model_appears_with_its_card_and_archive_and_goes_again(
    dokuei: Release, tmp_path: Path, samples: Path
) -> None:
    accepts = {"modality": "mammography", "dicom": [{"tags": {"Modality": ["MG"]}}], "max_images": 1}
    folder = variant_of(STORE / "chest-xray-pneumonia", tmp_path, name="mammography", accepts=accepts)
    archives_claim(dokuei.namespace, {folder.name: folder})
    (router,) = dokuei.pods()
    before = dokuei.settings
    card = f"--set-file=models.mammography.card={folder / 'card.yaml'}"

    def ask() -> httpx.Response:
        return dokuei.analyse(samples / "chest-xray.dcm", model="mammography")

    assert ask().status_code == 404
    dokuei.apply(*before, card, "--set=models.mammography.runtime=onnx", from_volume("mammography"))
    try:
        eventually(lambda: is_ready(service(dokuei, "mammography")), "the new InferenceService", pause=0.05)
        ready = time.monotonic()
        answer = eventually(lambda: (said := ask()).is_success and said, "an answer of the new model")
        assert time.monotonic() - ready <= SERVED_SECONDS
        assert answer.json()["model"]["name"] == "mammography"
        assert dokuei.served()["mammography"]["runtime"] == "dokuei-onnx"
    finally:
        dokuei.apply(*before)
    refused = eventually(lambda: (said := ask()).is_client_error and said, "the refusal of the deleted model")
    assert "mammography" in refused.json()["detail"]
    assert "mammography" not in dokuei.served()
    assert [pod["metadata"]["uid"] for pod in dokuei.pods()] == [router["metadata"]["uid"]], "the router ran on"


def service(release: Release, name: str) -> Mapping[str, Any]:
    """The InferenceService of this name, empty where there is none."""
    found = objects("inferenceservices", release.namespace)
    return next((each for each in found if each["metadata"]["name"] == name), {})
