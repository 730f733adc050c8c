"""What both drawings are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float64]

WHITE = 2**12 - 1
"""The brightest value of a 12-bit image."""


def step(distance: Field, softness: float) -> Field:
    """0 below -softness, 1 above +softness, smooth between."""
    t = np.clip((distance / softness + 1) / 2, 0, 1)
    return t * t * (3 - 2 * t)


def bell(distance: Field, width: float | Field) -> Field:
    """1 at distance 0, falling off like a Gaussian of that width."""
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def clouds(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Smooth noise [size, size] of mean 0 and about unit deviation, with `cells` blobs along a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float64) * 1.3
