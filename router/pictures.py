"""Pictures derived from an analysis: PNG, the heat map over the image, and the 3-D point cloud."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .result import SpacingMm

POINTS_MAGIC = b"DKPC"
POINTS_VERSION = 1
MAX_BRAIN_POINTS = 40_000
MAX_TUMOUR_POINTS = 40_000
TISSUE_FROM = 0.15
"""Brightness, as a share of the series' 99.5th percentile, from which a voxel counts as head and not as air."""
OVERLAY_STRENGTH = 0.6

# Turbo, "an improved rainbow colormap": blue for little, red for much (Mikhailov 2019), as its published polynomial.
_TURBO = np.array(
    [
        [0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943],
        [0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604],
        [0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973],
    ]
)


def png(image: NDArray[np.uint8]) -> bytes:
    """A PNG of uint8 [H, W] or [H, W, 3]; fast rather than small, and without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_png(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG of `png`."""
    return np.asarray(Image.open(io.BytesIO(data)))


def heat_to_bytes(heat: NDArray[np.float32]) -> bytes:
    """The heat map as it is stored: float32 [h, w] in numpy's format."""
    buffer = io.BytesIO()
    np.save(buffer, heat, allow_pickle=False)
    return buffer.getvalue()


def heat_from_bytes(data: bytes) -> NDArray[np.float32]:
    """The heat map of `heat_to_bytes`."""
    heat: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False)
    return heat


def heatmap(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """The heat map [h, w] from 0 to 1 as 8-bit grey at the size of the image, interpolated bilinearly."""
    grey = Image.fromarray(np.round(heat * 255).astype(np.uint8))
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))


def coloured(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An 8-bit grey map [H, W] in colours from blue (0) to red (255), [H, W, 3]."""
    x = np.linspace(0, 1, 256)
    table = np.stack([np.polynomial.polynomial.polyval(x, row) for row in _TURBO], axis=1)
    return (table.clip(0, 1) * 255).round().astype(np.uint8)[grey]


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The heat map in colours over the image, uint8 [H, W, 3]; the colour is stronger where there is more heat."""
    grey = heatmap(heat, *image.shape[:2])
    base = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    alpha = (grey / 255 * OVERLAY_STRENGTH)[:, :, None]
    return (base * (1 - alpha) + coloured(grey) * alpha).round().astype(np.uint8)


def points(images: Sequence[NDArray[np.uint8]], masks: Sequence[NDArray[np.uint8]], spacing: SpacingMm | None) -> bytes:
    """The point cloud of a segmented series.

    Little-endian layout, in this order, without padding:

        4 bytes   "DKPC"
        uint32    version, 1
        uint32    number of points, n
        uint32    number of slices of the series
        float32   [n][3]  x (to the right), y (down), z (slice) from the centre of the series; in mm where the
                          spacing is known, else in voxels
        uint16    [n]     slice number, from 0
        uint8     [n]     class: 0 brain, 1 tumour

    The brain comes first. The tumour is whole up to 40,000 points, the brain is sampled evenly down to 40,000, and
    within a class the order is without a pattern: any part of it is a sample of the whole.
    """
    step_row, step_column, step_slice = 1.0, 1.0, 1.0
    if spacing is not None and spacing.slice is not None:
        step_row, step_column, step_slice = spacing.row, spacing.column, spacing.slice
    parts = []
    white = max(1.0, max(float(np.percentile(image, 99.5)) for image in images))
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        grey = image.mean(axis=2) if image.ndim == 3 else image
        tumour = mask > 0
        brain = (grey >= TISSUE_FROM * white) & ~tumour
        for kind, where in ((0, brain), (1, tumour)):
            rows, columns = np.nonzero(where)
            centre = ((mask.shape[0] - 1) / 2, (mask.shape[1] - 1) / 2)
            part = np.empty(len(rows), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("slice", "<u2"), ("class", "u1")])
            part["x"] = (columns - centre[1]) * step_column
            part["y"] = (rows - centre[0]) * step_row
            part["z"] = (number - (len(images) - 1) / 2) * step_slice
            part["slice"], part["class"] = number, kind
            parts.append(part)
    cloud = np.concatenate(parts)
    cloud = np.concatenate(
        [_sample(cloud[cloud["class"] == 0], MAX_BRAIN_POINTS), _sample(cloud[cloud["class"] == 1], MAX_TUMOUR_POINTS)]
    )
    positions = np.stack([cloud["x"], cloud["y"], cloud["z"]], axis=1)
    header = POINTS_MAGIC + struct.pack("<III", POINTS_VERSION, len(cloud), len(images))
    return header + positions.tobytes() + cloud["slice"].tobytes() + cloud["class"].tobytes()


def _sample(cloud: np.ndarray, most: int) -> np.ndarray:
    """At most `most` points in an order without a pattern, but always the same ones."""
    return cloud[np.random.default_rng(0).permutation(len(cloud))[:most]]
