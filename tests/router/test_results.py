"""From outputs to results and pictures."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from paths import STORE

from handlers.contract.card import load_card
from router import pictures
from router.result import ClassificationResult, SegmentationResult, SpacingMm
from router.results import TASKS, Reading, facts_of
from router.results.classification import region_shares
from router.study import Spacing, Study

XRAY, MRI = load_card(STORE / "chest-xray-pneumonia"), load_card(STORE / "brain-mri-tumour")


def study(*shapes: tuple[int, int], spacing: Spacing | None = None) -> Study:
    images = [np.full(shape, 100, np.uint8) for shape in shapes]
    return Study("png", images, {}, spacing, "0" * 64, "0" * 64, "not-dicom")


def xray(probability: float, heat: np.ndarray) -> Reading:  # type: ignore[type-arg]
    outputs = {"probabilities": np.array([[1 - probability, probability]], np.float32), "heatmap": heat[None]}
    return TASKS["classification"].interpret(study((70, 70)), outputs, XRAY)


def mri(mask: np.ndarray, given: Study) -> SegmentationResult:  # type: ignore[type-arg]
    result = TASKS["segmentation"].interpret(given, {"mask": mask}, MRI).result
    assert isinstance(result, SegmentationResult)
    return result


def test_the_threshold_belongs_to_the_finding() -> None:
    heat = np.zeros((7, 7), np.float32)
    labels = []
    for probability in (XRAY.threshold, np.nextafter(np.float32(XRAY.threshold), np.float32(0))):
        result = xray(float(probability), heat).result
        assert isinstance(result, ClassificationResult)
        labels.append(result.label)
    assert labels == ["pneumonia", "normal"]


def test_heat_is_shared_out_to_the_region_it_lies_in() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[6, 0] = 3
    assert region_shares(heat)["lower left"] == pytest.approx(1)
    assert sum(region_shares(np.ones((7, 7), np.float32)).values()) == pytest.approx(1, abs=1e-3)
    assert sum(region_shares(np.zeros((7, 7), np.float32)).values()) == 0


def test_an_image_without_evidence_has_an_empty_heat_map_and_says_so() -> None:
    reading = xray(0.01, np.zeros((7, 7), np.float32))
    assert reading.heat is not None
    assert not reading.heat.any()
    assert facts_of(reading.result)["has_heat"] is False


def test_masks_get_the_size_of_their_slices() -> None:
    mask = np.zeros((2, 256, 256), np.uint8)
    mask[1, :128, :128] = 1
    given = study((256, 256), (100, 60), spacing=Spacing(0.5, 0.5, 4.0))
    reading = TASKS["segmentation"].interpret(given, {"mask": mask}, MRI)
    assert [picture.shape for picture in reading.masks] == [(256, 256), (100, 60)]
    assert reading.masks[1][:50, :30].min() == 255
    assert reading.masks[1].sum() == 255 * 50 * 30


def test_volume_is_voxels_times_spacing_and_extent_is_their_box() -> None:
    mask = np.zeros((5, 256, 256), np.uint8)
    mask[2:4, 10:20, 30:70] = 1
    result = mri(mask, study(*[(256, 256)] * 5, spacing=Spacing(0.5, 0.25, 4.0)))
    assert result.voxels == 2 * 10 * 40
    assert result.volume_ml == pytest.approx(800 * 0.5 * 0.25 * 4 / 1000)
    assert result.extent is not None
    assert result.extent.model_dump() == {"slices": (2, 3), "rows": (10, 19), "columns": (30, 69)}
    assert [part.area_fraction > 0 for part in result.slices] == [False, False, True, True, False]


@pytest.mark.parametrize("spacing", [None, Spacing(0.5, 0.5, None)])
def test_volume_is_unknown_where_the_spacing_is(spacing: Spacing | None) -> None:
    result = mri(np.ones((1, 256, 256), np.uint8), study((256, 256), spacing=spacing))
    assert result.volume_ml is None
    assert result.voxels == 256 * 256


def test_an_empty_mask_has_no_extent_and_no_volume_but_zero() -> None:
    result = mri(np.zeros((3, 256, 256), np.uint8), study(*[(256, 256)] * 3, spacing=Spacing(1, 1, 1)))
    assert result.extent is None
    assert result.volume_ml == 0


def test_colours_run_from_blue_to_red() -> None:
    low, high = pictures.coloured(np.array([[30, 230]], np.uint8))[0].astype(int)
    assert low[2] > low[0]
    assert high[0] > high[2]


def test_large_clouds_are_thinned_evenly_and_always_alike() -> None:
    images = [np.full((300, 300), 200, np.uint8)] * 4
    masks = [np.zeros((300, 300), np.uint8)] * 4
    first = pictures.points(images, masks, SpacingMm(row=1, column=1, slice=5))
    assert first == pictures.points(images, masks, SpacingMm(row=1, column=1, slice=5))
    _, _, count, slices = struct.unpack_from("<4sIII", first)
    assert (count, slices) == (pictures.MAX_BRAIN_POINTS, 4)
    numbers = np.frombuffer(first, "<u2", count, 16 + 12 * count)
    assert np.bincount(numbers).min() > count / 4 * 0.9
