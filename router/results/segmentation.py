"""The result of a segmentation: the masks at the size of their slices, volume and extent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlers.contract.card import Card
from router.result import Agreement, Extent, SegmentationResult, SliceArea
from router.study import Spacing, Study

from .reading import Reading

OUTPUTS = ("mask",)
MM3_PER_ML = 1000


def _at_size_of(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mask (0 and 1) at the size of its slice, as 0 and 255; nearest neighbour makes no new values."""
    picture = Image.fromarray(mask * 255)
    return np.asarray(picture.resize((image.shape[1], image.shape[0]), Image.Resampling.NEAREST))


def _extent(masks: list[NDArray[np.uint8]]) -> Extent | None:
    marked = [index for index, mask in enumerate(masks) if mask.any()]
    if not marked:
        return None
    rows = np.concatenate([np.flatnonzero(masks[index].any(axis=1)) for index in marked])
    columns = np.concatenate([np.flatnonzero(masks[index].any(axis=0)) for index in marked])
    return Extent(
        slices=(marked[0], marked[-1]),
        rows=(int(rows.min()), int(rows.max())),
        columns=(int(columns.min()), int(columns.max())),
    )


def _volume_ml(voxels: int, spacing: Spacing | None) -> float | None:
    if spacing is None or spacing.slice_mm is None:
        return None
    return voxels * spacing.row_mm * spacing.column_mm * spacing.slice_mm / MM3_PER_ML


def interpret(study: Study, outputs: Mapping[str, NDArray[Any]], card: Card) -> Reading:
    """Read the mask [N, H, W] of N slices."""
    masks = [_at_size_of(image, mask) for image, mask in zip(study.images, outputs["mask"], strict=True)]
    counts = [int(np.count_nonzero(mask)) for mask in masks]
    areas = [SliceArea(index=n, area_fraction=counts[n] / masks[n].size) for n in range(len(masks))]
    voxels = sum(counts)
    volume = _volume_ml(voxels, study.spacing)
    result = SegmentationResult(
        label=card.labels[0],
        threshold=card.threshold,
        volume_ml=None if volume is None else round(volume, 3),
        voxels=voxels,
        slices=areas,
        extent=_extent(masks),
    )
    return Reading(result, masks=masks)


def compare(one: Reading, other: Reading) -> Agreement:
    """How far two readings of the same slices agree."""
    ours, theirs = (np.concatenate([mask.ravel() > 0 for mask in reading.masks]) for reading in (one, other))
    marked = int(ours.sum()) + int(theirs.sum())
    dice = 2 * int((ours & theirs).sum()) / marked if marked else 1.0
    return Agreement(flipped=bool(ours.any() != theirs.any()), dice=dice)


def facts(result: SegmentationResult) -> dict[str, Any]:
    """What an explanation may say of a segmentation: its label and its numbers, slices counted from 1."""
    largest = max(result.slices, key=lambda part: part.area_fraction)
    return {
        "task": "segmentation",
        "finding": result.label,
        "slices": len(result.slices),
        "slices_with_finding": sum(part.area_fraction > 0 for part in result.slices),
        "voxels": result.voxels,
        "volume_ml": None if result.volume_ml is None else round(result.volume_ml, 1),
        "first_slice": None if result.extent is None else result.extent.slices[0] + 1,
        "last_slice": None if result.extent is None else result.extent.slices[1] + 1,
        "largest_slice": largest.index + 1,
        "largest_slice_area_fraction": round(largest.area_fraction, 4),
        "threshold": result.threshold,
    }
