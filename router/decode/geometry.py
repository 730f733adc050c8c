"""Order and spacing of DICOM frames from their positions in the patient (PS3.3 section C.7.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from router.study import Spacing

from .limits import Part

_SAME_PLACE_MM = 1e-3
_EVEN = 0.1
"""Gaps that differ from their median by more than this share of it are no stack of even spacing."""


@dataclass(frozen=True)
class Frame:
    """One image of a series: frame `index` of `part`, and the header that holds for it."""

    part: Part
    index: int
    header: Dataset


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Sort frames along their common normal, from the feet to the head in axial images.

    Where frames have no position, or are not parallel, instance and frame numbers order them; where those are equal
    or missing, the order given.
    """
    places = _places(frames) or [0.0] * len(frames)
    keys = [(place, _instance(frame), frame.index) for place, frame in zip(places, frames, strict=True)]
    return [frames[n] for n in sorted(range(len(frames)), key=keys.__getitem__)]


def spacing_of(frames: Sequence[Frame]) -> Spacing | None:
    """Spacing of sorted frames: PixelSpacing, and the gap between positions, else SpacingBetweenSlices.

    SliceThickness is not used: it says how thick a slice is, not how far the next one lies.
    """
    pairs = {_numbers(frame.header, "PixelSpacing", 2) for frame in frames}
    pair = pairs.pop()
    if pairs or pair is None or min(pair) <= 0:
        return None
    return Spacing(pair[0], pair[1], _gap(frames))


def _gap(frames: Sequence[Frame]) -> float | None:
    if len(frames) > 1 and (places := _places(frames)) is not None:
        gaps = np.diff(places)
        middle = float(np.median(gaps))
        return middle if middle > _SAME_PLACE_MM and np.all(np.abs(gaps - middle) <= _EVEN * middle) else None
    declared = _numbers(frames[0].header, "SpacingBetweenSlices", 1)
    return declared[0] if declared and declared[0] > 0 else None


def _normal(frames: Sequence[Frame]) -> NDArray[np.float64] | None:
    """The common normal [3] of frames that all have a position and are parallel, else None."""
    normal = None
    for frame in frames:
        axes = _numbers(frame.header, "ImageOrientationPatient", 6)
        if axes is None or _numbers(frame.header, "ImagePositionPatient", 3) is None:
            return None
        this = np.cross(axes[:3], axes[3:])
        normal = this if normal is None else normal
        if not np.allclose(this, normal, atol=1e-2) or not np.any(this):
            return None
    return normal


def _places(frames: Sequence[Frame]) -> list[float] | None:
    """Distance of each frame along the common normal in mm; None without one."""
    normal = _normal(frames)
    if normal is None:
        return None
    positions = np.array([_numbers(frame.header, "ImagePositionPatient", 3) for frame in frames])
    # Rounded, so that frames at one place are ordered by their numbers.
    return [round(float(place), 3) for place in positions @ (normal / np.linalg.norm(normal))]


def _instance(frame: Frame) -> int:
    return int(frame.header.get("InstanceNumber") or 0)


def _numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """A finite value of multiplicity `count`, else None."""
    value = header.get(keyword)
    if value is None or value == "":
        return None
    numbers = tuple(float(number) for number in (value if count > 1 else [value]))
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
