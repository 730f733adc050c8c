"""The bundled synthetic samples: what they declare, that they never change, and that they show what they claim."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, MRImageStorage

from router.samples import Sample, write_samples

XRAYS = ("chest-xray.dcm", "chest-xray-opacity.dcm")
RIGHT_LOWER_ZONE = (slice(560, 720), slice(250, 400))
RIGHT_UPPER_ZONE = (slice(250, 350), slice(270, 390))
"""Rows and columns of the X-rays; the patient's right is left on the screen."""
TUMOUR = (slice(140, 153), slice(162, 175))
MIRRORED = (slice(140, 153), slice(256 - 175, 256 - 162))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample]]:
    folder = tmp_path_factory.mktemp("samples")
    return folder, write_samples(folder)


@pytest.fixture(scope="module")
def brain(written: tuple[Path, list[Sample]]) -> list[FileDataset]:
    """The MR slices in the order of the file names."""
    with zipfile.ZipFile(written[0] / "brain-mri.zip") as zipped:
        return [pydicom.dcmread(io.BytesIO(zipped.read(name))) for name in sorted(zipped.namelist())]


def by_position(brain: list[FileDataset]) -> list[FileDataset]:
    return sorted(brain, key=lambda image: image.ImagePositionPatient[2])


def pixels(image: FileDataset) -> NDArray[np.float64]:
    return image.pixel_array.astype(np.float64)


def test_index_lists_exactly_the_files_beside_it(written: tuple[Path, list[Sample]]) -> None:
    folder, samples = written
    items = json.loads((folder / "index.json").read_text(encoding="utf-8"))["items"]
    assert items == [{"file": s.file, "title": s.title, "modality": s.modality} for s in samples]
    assert {item["file"] for item in items} | {"index.json"} == {path.name for path in folder.iterdir()}
    assert all(item["title"]["en"] and item["title"]["ja"] for item in items)


def test_samples_are_the_same_bytes_every_time(written: tuple[Path, list[Sample]], tmp_path: Path) -> None:
    write_samples(tmp_path / "made" / "anew")
    for path in written[0].iterdir():
        assert (tmp_path / "made" / "anew" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("name", XRAYS)
def test_chest_xray_declares_a_digital_xray_of_the_chest(written: tuple[Path, list[Sample]], name: str) -> None:
    image = pydicom.dcmread(written[0] / name)
    assert image.SOPClassUID == image.file_meta.MediaStorageSOPClassUID == DigitalXRayImageStorageForPresentation
    assert (image.Modality, image.BodyPartExamined, image.PhotometricInterpretation) == ("DX", "CHEST", "MONOCHROME2")
    assert (image.BitsAllocated, image.BitsStored, image.BurnedInAnnotation) == (16, 12, "NO")
    assert (image.WindowCenter, image.WindowWidth) == (2048, 4096)
    assert list(image.ImagerPixelSpacing) == [0.25, 0.25]
    assert image.pixel_array.shape == (1024, 1024)
    assert image.pixel_array.max() <= 4095


def test_patients_are_synthetic_and_uids_differ(written: tuple[Path, list[Sample]], brain: list[FileDataset]) -> None:
    images = [pydicom.dcmread(written[0] / name) for name in XRAYS] + brain
    assert {str(image.PatientName) for image in images} == {"SYNTHETIC^SAMPLE"}
    assert {image.SyntheticData for image in images} == {"YES"}
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.StudyInstanceUID for image in images}) == 3
    assert all(image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID for image in images)
    assert all(image.SOPInstanceUID.is_valid for image in images)


def test_only_the_opacity_sample_has_an_opacity_and_only_in_the_right_lower_zone(
    written: tuple[Path, list[Sample]],
) -> None:
    clear, opaque = (pixels(pydicom.dcmread(written[0] / name)) for name in XRAYS)
    assert opaque[RIGHT_LOWER_ZONE].mean() > clear[RIGHT_LOWER_ZONE].mean() + 300
    assert np.abs(opaque[RIGHT_UPPER_ZONE] - clear[RIGHT_UPPER_ZONE]).mean() < 30
    assert np.abs(opaque[:, 512:] - clear[:, 512:]).mean() < 5


def test_brain_mri_is_one_series_of_axial_slices_in_shuffled_files(brain: list[FileDataset]) -> None:
    assert len(brain) == 24
    assert len({image.SeriesInstanceUID for image in brain}) == len({image.FrameOfReferenceUID for image in brain}) == 1
    assert {(image.SOPClassUID, image.Modality, image.BodyPartExamined) for image in brain} == {
        (MRImageStorage, "MR", "BRAIN")
    }
    assert {tuple(image.ImageOrientationPatient) for image in brain} == {(1, 0, 0, 0, 1, 0)}
    assert {tuple(image.PixelSpacing) for image in brain} == {(0.9, 0.9)}
    assert {image.pixel_array.shape for image in brain} == {(256, 256)}
    heights = [float(image.ImagePositionPatient[2]) for image in brain]
    assert heights != sorted(heights)
    assert np.diff(sorted(heights)).tolist() == [5.0] * 23
    assert [image.InstanceNumber for image in by_position(brain)] == list(range(1, 25))


def test_tumour_is_brighter_than_the_other_side_and_spans_about_eight_slices(brain: list[FileDataset]) -> None:
    ratios = [pixels(image)[TUMOUR].mean() / pixels(image)[MIRRORED].mean() for image in by_position(brain)]
    bright = [n for n, ratio in enumerate(ratios) if ratio > 1.3]
    assert 7 <= len(bright) <= 9
    assert bright == list(range(bright[0], bright[-1] + 1))
    assert max(ratios) > 1.8
    # The uppermost slices hold no brain there, so only those below the tumour are compared.
    assert max(abs(ratio - 1) for ratio in ratios[: bright[0] - 1]) < 0.15


def test_refusal_sample_is_a_colour_picture(written: tuple[Path, list[Sample]]) -> None:
    folder, samples = written
    (refused,) = [sample for sample in samples if sample.modality == "other"]
    with Image.open(folder / refused.file) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        assert len(picture.getcolors(maxcolors=640 * 480) or []) > 1000
