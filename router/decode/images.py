"""The images of a series on their way to the answer: counted, stored, and brought to 8 bits by one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.errors import TooLarge, UndecodableImage
from router.study import BurnedIn, Spacing

from .limits import MIB, DecodeLimits, Part

Stage = Callable[[Part, str], None]
"""Notes what is being done to which part, for the message if the process dies of it."""

SAMPLES = MIB
"""Values of a series that its scale is measured on: all of a small series, evenly spaced ones of a large one."""


PIXELS = "pixels"
"""File in the answer's folder with the pixels of all images, one after the other."""


@dataclass(frozen=True)
class Facts:
    """What a format tells about a series beside its images; the fields are those of `Study`.

    `key` is None where the study has no identifier of its own, `patient` where it names nobody.
    """

    tags: dict[str, str] = field(default_factory=dict)
    spacing: Spacing | None = None
    key: str | None = None
    burned_in: BurnedIn = "not-dicom"
    patient: str | None = None


class Images:
    """The images of one series, in order, in one file: thousands of small ones would cost more than their decoding.

    uint8 images are final. Others wait, in another file and not in memory, until `scale` has seen the whole series.
    A context that closes both files.

    Attributes:
        places: offset and shape of each image in the file `PIXELS`.
    """

    def __init__(self, folder: Path, limits: DecodeLimits, stage: Stage) -> None:
        self._final = (folder / PIXELS).open("wb")
        self._values = (folder / "values").open("w+b")
        self._limits = limits
        self._pixels = 0
        self._waiting: list[tuple[int, int, tuple[int, ...], np.dtype[Any]]] = []  # index, offset, shape, dtype
        self.places: list[tuple[int, tuple[int, ...]]] = []
        self.stage = stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write everything out."""
        self._final.close()
        self._values.close()

    def expect(self, part: Part, height: int, width: int, count: int = 1) -> None:
        """Count `count` images of a size before they are decoded.

        Raises:
            TooLarge: the image or the series has more pixels than the limits say.
            UndecodableImage: the image has no pixels.
        """
        if height < 1 or width < 1 or count < 1:
            raise UndecodableImage(f"{part.where} is damaged: its header says {count} images of {width} x {height}")
        if height * width > self._limits.pixels:
            raise TooLarge(
                f"{part.where} has an image of {width} x {height} pixels; at most {self._limits.pixels / 1e6:.0f} "
                "million are taken"
            )
        self._pixels += height * width * count
        if self._pixels > self._limits.series_pixels:
            raise TooLarge(
                f"the images up to {part.where} have {self._pixels / 1e6:.0f} million pixels; "
                f"at most {self._limits.series_pixels / 1e6:.0f} million are taken"
            )

    def add(self, image: NDArray[Any]) -> None:
        """Store the next image, [H, W] or [H, W, 3] of uint8 or of any real type that `scale` can bring to it."""
        if image.dtype == np.uint8:
            self.places.append((self._final.tell(), image.shape))
            image.tofile(self._final)
        else:
            self._waiting.append((len(self.places), self._values.tell(), image.shape, image.dtype))
            self.places.append((-1, image.shape))
            image.tofile(self._values)

    def scale(self, low: float, high: float) -> None:
        """Bring the waiting images to uint8: their `low` percentile becomes 0 and their `high` one 255.

        One scale serves the whole series, so that the same tissue has the same grey in all slices. It is the whole
        range where the percentiles are equal. Of values that are not finite, none counts; +inf becomes 255, others 0.
        """
        if not self._waiting:
            return
        step = math.ceil(math.sqrt(sum(math.prod(shape) for _, _, shape, _ in self._waiting) / SAMPLES))
        sample = np.concatenate([values[::step, ::step].ravel() for _, values in self._waiting_values()])
        sample = sample[np.isfinite(sample)].astype(np.float32)
        bottom, top = np.percentile(sample, (low, high)) if sample.size else (0.0, 0.0)
        if sample.size and bottom == top:  # little but background, as in a mask
            bottom, top = sample.min(), sample.max()
        for index, values in self._waiting_values():
            self.places[index] = (self._final.tell(), values.shape)
            to_uint8(values, bottom, top).tofile(self._final)

    def _waiting_values(self) -> Iterator[tuple[int, NDArray[Any]]]:
        self._values.flush()
        for index, offset, shape, dtype in self._waiting:
            self._values.seek(offset)
            yield index, np.fromfile(self._values, dtype, math.prod(shape)).reshape(shape)


def to_uint8(values: NDArray[Any], bottom: float, top: float) -> NDArray[np.uint8]:
    """Map `bottom`..`top` to 0..255, by rows: a float copy of a large image would not fit into memory."""
    out = np.empty(values.shape, np.uint8)
    factor = 255.0 / (top - bottom) if top > bottom else 0.0
    for band, target in bands(values, out):
        with np.errstate(invalid="ignore", over="ignore"):
            grey = (band.astype(np.float32) - np.float32(bottom)) * np.float32(factor)
        np.nan_to_num(grey, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        target[...] = np.clip(np.rint(grey), 0, 255)
    return out


def bands(values: NDArray[Any], out: NDArray[np.uint8]) -> list[tuple[NDArray[Any], NDArray[np.uint8]]]:
    """Views of the same rows of both arrays, about a million pixels each."""
    rows = max(1, MIB // max(1, values[0].size))
    return [(values[top : top + rows], out[top : top + rows]) for top in range(0, len(values), rows)]
