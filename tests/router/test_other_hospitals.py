"""Images of other hospitals and protocols than those learned from, without DICOM tags: the modality model decides.

They are real images that packages ship: of pydicom-data an adult's chest X-ray, and images that no model accepts; of
DIPY brain MRI of two people, skull-stripped T1 and T2-weighted. No model has learned from any of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.resources import as_file, files

import httpx
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from uploads import png_bytes


def without_tags(name: str) -> bytes:
    """A file of pydicom-data whose header does not say what it shows."""
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    dataset.Modality = "OT"
    dataset.pop("BodyPartExamined", None)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def displayed(values: NDArray[np.floating]) -> bytes:
    """A PNG of a slice, as a viewer would window it."""
    return png_bytes(np.clip(values / np.percentile(values, 99.5) * 255, 0, 255).astype(np.uint8))


def slice_of(name: str, number: int) -> bytes:
    """An axial slice of a NIfTI file of DIPY, the face up."""
    with as_file(files("dipy") / "data/files" / name) as file:
        volume = np.squeeze(nibabel.load(file).get_fdata())
    return displayed(np.rot90(volume[:, :, number]))


def coronal_t1() -> bytes:
    """A coronal T1 slice of a skull-stripped brain."""
    with as_file(files("dipy") / "data/files/t1_coronal_slice.npy") as file:
        return displayed(np.load(file))


def ask(router: httpx.Client, name: str, content: bytes) -> httpx.Response:
    return router.post("/api/analyses", files=[("files", (name, content))])


def test_an_adult_s_chest_x_ray_goes_to_the_chest_model(shared_router: httpx.Client) -> None:
    answer = ask(shared_router, "x.dcm", without_tags("RG1_UNCR.dcm"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["modality"]["label"] == "chest-xray"
    assert answer.json()["modality"]["source"] == "classifier"


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(coronal_t1, id="coronal T1, skull-stripped"),
        pytest.param(lambda: slice_of("S0_10slices.nii.gz", 0), id="axial T2, the lowest slice"),
        pytest.param(lambda: slice_of("S0_10slices.nii.gz", 5), id="axial T2"),
        pytest.param(lambda: slice_of("S0_10slices.nii.gz", 9), id="axial T2, the highest slice"),
        pytest.param(lambda: slice_of("ascm_out_test.nii.gz", 12), id="axial T2, denoised"),
    ],
)
def test_brains_of_other_sequences_and_planes_go_to_the_brain_model(
    shared_router: httpx.Client, picture: Callable[[], bytes]
) -> None:
    answer = ask(shared_router, "slice.png", picture())
    assert answer.status_code == 201, answer.text
    assert answer.json()["modality"]["label"] == "brain-mri"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("RG3_UNCR.dcm", id="X-ray of a leg"),
        pytest.param("MR2_UNCR.dcm", id="MRI of a shoulder"),
        pytest.param("MR-SIEMENS-DICOM-WithOverlays.dcm", id="MRI of an abdomen"),
        pytest.param("693_UNCR.dcm", id="CT of a head"),
        pytest.param("US1_UNCR.dcm", id="ultrasound of a lymph node"),
        pytest.param("OBXXXX1A.dcm", id="ultrasound of a fetus"),
    ],
)
def test_images_of_other_kinds_are_refused(shared_router: httpx.Client, name: str) -> None:
    answer = ask(shared_router, "x.dcm", without_tags(name))
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/problems/unsupported-image"
