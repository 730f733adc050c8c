"""A synthetic axial FLAIR series of a brain with a tumour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .shapes import WHITE, Field, bell, clouds, step

SIZE = 256
SLICES = 24
TUMOUR_CENTRE = (14.5, 146.0, 168.0)
"""Slice, row and column; the patient's left, which is right on the screen."""
TUMOUR_RADII = (5.0, 25.0, 21.0)


def draw_brain(rng: np.random.Generator) -> list[NDArray[np.uint16]]:
    """The slices from the base upwards, uint16 [256, 256] each."""
    wobble = clouds(rng, SIZE, 9)
    return [
        _slice(n, folds, clouds(rng, SIZE, 60), wobble, rng.standard_normal((SIZE, SIZE)))
        for n, folds in enumerate(_folds(rng))
    ]


def _folds(rng: np.random.Generator) -> list[Field]:
    """Noise that changes little from slice to slice; its zero lines are the sulci."""
    knots = [clouds(rng, SIZE, 17) for _ in range(SLICES // 3 + 2)]
    mixes = [divmod(n / 3, 1) for n in range(SLICES)]
    return [knots[int(k)] * np.cos(f * np.pi / 2) + knots[int(k) + 1] * np.sin(f * np.pi / 2) for k, f in mixes]


def _tumour(n: int, rows: Field, columns: Field, wobble: Field) -> Field:
    """How far inside the tumour a voxel lies: 1 in its centre, 0 on its surface, negative outside."""
    centre, radii = TUMOUR_CENTRE, TUMOUR_RADII
    offsets = ((n - centre[0]) / radii[0], (rows - centre[1]) / radii[1], (columns - centre[2]) / radii[2])
    return np.asarray(1 - np.sqrt(sum(np.square(offset) for offset in offsets)) + 0.16 * wobble)


def _ventricles(n: int, x: Field, y: Field) -> Field:
    """Ventricles and cisterns, which FLAIR shows dark; 0 to 1."""
    side = np.abs(x)
    fluid = np.zeros_like(x)
    if 8 <= n <= 14:
        curve = 6 + 0.0085 * (y + 14) ** 2 - (1.5 if n > 12 else 0)
        length = 40 - 3.2 * abs(n - 11)
        gap = step(np.abs(y - 4) - 13, 3) if n <= 9 else np.ones_like(y)
        fluid = np.maximum(fluid, step(4.3 - 0.35 * abs(n - 11) - np.abs(side - curve), 1.2) * gap)
        fluid *= step(length - np.abs(y - 2), 3)
    if 6 <= n <= 9:
        fluid = np.maximum(fluid, step(1.8 - side, 0.9) * step(13 - np.abs(y - 2), 3))
        insula = np.abs(side - 47 - 0.004 * (y + 8) ** 2)
        fluid = np.maximum(fluid, step(1.6 - insula, 1.0) * step(18 - np.abs(y + 6), 4))
    if n <= 5:
        cistern = np.hypot(x / (1.0 + 0.25 * np.cos(np.pi * np.clip(y + 6, -14, 14) / 14)), y + 6)
        fluid = np.maximum(fluid, 0.8 * step(9 - abs(n - 3) - cistern, 2) * step(np.abs(y - 4) - 5, 2))
    return fluid


def _slice(n: int, folds: Field, fine: Field, wobble: Field, noise: Field) -> NDArray[np.uint16]:
    """Axial FLAIR slice `n` from the base upwards, [256, 256]; the patient's left is right on the screen."""
    rows, columns = np.meshgrid(np.arange(SIZE, dtype=float), np.arange(SIZE, dtype=float), indexing="ij")
    x, y = columns - 128.0, rows - 130.0
    scale = (1 - (abs(n - 8) / (17.5 if n > 8 else 20)) ** 2.4) ** 0.5
    a, b = 79 * scale * (1 + 0.09 * np.clip(y / 98, -1, 1)), 100 * scale
    radius = np.hypot(x / a, y / b)
    depth = (1 - radius) * 84 * scale  # pixels below the skin, about
    bone = 9.0 + 0.5 * max(0, n - 15)

    skin = step(depth, 1.0) * (1 - step(depth - 4.6 - 0.5 * wobble, 1.4))
    marrow = 0.16 * bell(depth - bone + 1.2, 1.1)
    inner = depth - bone - 3.2 + 0.9 * wobble
    cortex = np.clip(1 - inner / 24, 0, 1)
    sulcus = np.abs(folds + 0.12 * fine)
    grey = 0.205 + 0.050 * np.clip(bell(sulcus, 0.20) * cortex**0.5 + bell(inner - 2, 3.0), 0, 1) + 0.010 * fine
    nuclei = bell(np.hypot((np.abs(x) - 22) / 10, (y - 2) / 17), 0.55) if 6 <= n <= 11 else np.zeros_like(x)
    tissue = grey + 0.022 * nuclei + 0.012 * wobble

    fluid = _ventricles(n, x, y) * step(inner, 1)
    rim = 0.05 * (_ventricles(n, x * 0.93, y * 0.97) - fluid).clip(0, 1) * step(inner - 20, 4)
    furrow = (1 - step(sulcus - 0.13 * cortex, 0.08)) * step(cortex - 0.30 + 0.2 * wobble, 0.3)
    midline = np.abs(x - 1.2 * np.sin(y / 17))
    open_ = np.ones_like(y) if n > 15 or n < 3 else step(np.abs(y - 3) - (46 if n > 6 else 30), 5)
    furrow = np.maximum(furrow, step(1.3 - midline, 0.9) * open_)

    tumour = _tumour(n, rows, columns, wobble)
    lesion = step(tumour, 0.09) * step(inner - 2, 2)
    furrow = np.maximum(furrow * (1 - 0.75 * step(tumour + 0.1, 0.15)), fluid * (1 - lesion))
    tissue = (tissue + rim) * (1 - lesion) + lesion * (
        0.46 + 0.035 * wobble + 0.025 * fine - 0.05 * step(tumour - 0.6, 0.3)
    )
    image = tissue * (1 - 0.82 * furrow) * step(inner, 1.0)
    image += skin * (0.70 + 0.06 * fine) + marrow
    image *= 1 + 0.07 * bell(depth, 35)  # surface coils see more of what is near
    magnitude = np.hypot(image + 0.011 * noise, 0.011 * np.roll(noise, 91, axis=0))  # Rician noise
    return np.asarray(np.clip(magnitude, 0, 1) * WHITE, np.uint16)
