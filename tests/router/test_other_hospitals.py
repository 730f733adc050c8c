"""Images of other hospitals and protocols than those learned from, without DICOM tags: the modality model decides.

They are real images that two packages ship: pydicom-data (an adult's chest X-ray, and images that no model accepts) and
nilearn (the MNI152 T1 template of a skull-stripped brain).
"""

from __future__ import annotations

import io
from importlib.resources import as_file, files

import httpx
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from uploads import png_bytes

TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def without_tags(name: str) -> bytes:
    """A file of pydicom-data whose header does not say what it shows."""
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    dataset.Modality = "OT"
    dataset.pop("BodyPartExamined", None)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def template() -> np.ndarray:
    """uint8 [left to right, back to front, bottom to top]."""
    with as_file(files("nilearn") / TEMPLATE) as file:
        volume = nibabel.load(file).get_fdata()
    return (volume / volume.max() * 255).astype(np.uint8)


def ask(router: httpx.Client, name: str, content: bytes) -> httpx.Response:
    return router.post("/api/analyses", files=[("files", (name, content))])


def test_an_adult_s_chest_x_ray_goes_to_the_chest_model(shared_router: httpx.Client) -> None:
    answer = ask(shared_router, "x.dcm", without_tags("RG1_UNCR.dcm"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["modality"]["label"] == "chest-xray"
    assert answer.json()["modality"]["source"] == "classifier"


@pytest.mark.parametrize(
    ("axis", "share"),
    [(2, 0.5), (2, 0.6), (1, 0.4), (1, 0.5), (0, 0.35), (0, 0.65)],
    ids=["axial", "axial, higher", "coronal, behind", "coronal", "sagittal, left", "sagittal, right"],
)
def test_planes_of_a_skull_stripped_t1_brain_go_to_the_brain_model(
    shared_router: httpx.Client, template: np.ndarray, axis: int, share: float
) -> None:
    plane = np.rot90(np.take(template, round(share * template.shape[axis]), axis))
    answer = ask(shared_router, "plane.png", png_bytes(np.ascontiguousarray(plane)))
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
