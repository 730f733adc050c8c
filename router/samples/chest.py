"""A synthetic frontal chest X-ray."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .shapes import WHITE, Field, bell, clouds, step

SIZE = 1024


def _vessels(rng: np.random.Generator, size: int) -> Field:
    """Lung vessels, branching away from both hila; [size, size] from 0 to 1."""
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)

    def grow(x: float, y: float, angle: float, width: float) -> None:
        while width > 0.9:
            angle += rng.normal(0, 0.16)
            x_next, y_next = x + 14 * np.cos(angle), y + 14 * np.sin(angle)
            draw.line((x, y, x_next, y_next), fill=int(min(255, 60 + 16 * width)), width=round(width))
            x, y, width = x_next, y_next, width * 0.955
            if rng.random() < 0.16:
                grow(x, y, angle + rng.choice([-1, 1]) * rng.uniform(0.35, 0.7), width * 0.75)

    for hilum, outward in ((0.405, np.pi), (0.60, 0.0)):
        for spread in np.linspace(-1.35, 1.45, 11):
            start = 9.0 if spread > 0 else 7.0
            direction = outward + (spread if outward == 0 else -spread)
            grow(hilum * size, (0.46 + 0.03 * spread) * size, direction, start)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(2.2)), np.float64) / 255


def _cage(v: Field) -> Field:
    """Half the width of the rib cage at height `v`, in image widths."""
    return 0.355 * np.sqrt(np.clip(1 - ((0.84 - v) / 0.70) ** 2, 1e-4, 1))


def _ribs(u: Field, v: Field) -> Field:
    """Nine pairs of ribs: the back part bright with cortical edges, the front part faint; 0 to about 1."""
    across = np.abs(u)
    s = across / _cage(v)
    inside = step(1.0 - s, 0.02)
    ribs = np.zeros_like(u)
    for n in range(9):
        start = 0.195 + 0.066 * n
        back = start - 0.030 * np.sin(np.pi * np.clip(s, 0, 1) * 0.85) + (0.045 + 0.010 * n) * s**3.2
        half = 0.0115 + 0.0006 * n
        body = step(half - np.abs(v - back), 0.005)
        edges = bell(np.abs(v - back) - half * 0.85, 0.0022)
        ribs += inside * step(across - 0.055, 0.02) * (0.55 * body + 0.42 * edges)
        front = start + 0.085 + 0.012 * n + 0.15 * np.clip(1 - s, 0, 1) ** 1.25
        reach = step(s - 0.52, 0.10)
        ribs += 0.34 * inside * reach * step(0.0135 - np.abs(v - front), 0.006)
    return ribs


def draw_chest(opacity: bool) -> NDArray[np.uint16]:
    """A frontal view of a child's chest, [1024, 1024], 12 bits: the right lung is left on the screen."""
    rng = np.random.default_rng(1895)
    size = SIZE
    v, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    u = x - 0.5
    across, right = np.abs(u), u < 0
    cage, s = _cage(v), np.abs(u) / _cage(v)

    trunk = 0.385 + 0.02 * v + 0.11 * step(0.20 - v, 0.22)
    thickness = np.sqrt(np.clip(1 - (across / trunk) ** 2, 0, 1))
    image = 0.03 + 0.50 * thickness**0.75 * step(trunk - across, 0.012)
    image += 0.13 * step(0.27 - v, 0.16) * step(trunk - across, 0.03)

    dome = np.minimum(0.72 + 3.4 * (u + 0.15) ** 2, 0.755 + 3.2 * (u - 0.16) ** 2)
    border = np.where(
        right,
        0.066 + 0.042 * bell(v - 0.63, 0.12),
        0.062 + 0.026 * bell(v - 0.345, 0.035) + 0.022 * bell(v - 0.43, 0.04) + 0.130 * bell(v - 0.71, 0.15),
    )
    air = step(cage - 0.012 - across, 0.010) * step(dome - v, 0.009) * np.clip(1 - s**2 * 0.55, 0, 1) ** 0.5
    lungs = air * step(v - 0.155 - 0.25 * (across - 0.13) ** 2, 0.03)
    heart = step(border + 0.004 * clouds(rng, size, 14) - across, 0.016)
    image -= lungs * (1 - 0.93 * heart) * (0.325 + 0.018 * clouds(rng, size, 7))
    image += heart * (0.05 * step(v - 0.2, 0.1) + 0.012 * clouds(rng, size, 12))

    image += lungs * (1 - heart) * (0.17 * _vessels(rng, size) + 0.006 * clouds(rng, size, 90))
    image += lungs * (1 - heart) * 0.07 * (bell(u + 0.105, 0.030) + bell(u - 0.105, 0.025)) * bell(v - 0.46, 0.07)
    if opacity:
        spread = bell(u + 0.18 + 0.10 * (v - 0.62), 0.10) * bell(v - 0.62, 0.105)
        apart = np.random.default_rng(1896)  # the rest of the chest stays the same
        patchy = np.clip(0.86 + 0.22 * clouds(apart, size, 16) + 0.10 * clouds(apart, size, 45), 0.25, 1.3)
        image += 0.34 * lungs * (1 - heart) * np.clip(spread * 1.25, 0, 1) * patchy

    belly = step(v - dome, 0.012) * step(cage - across, 0.03)
    image += belly * (0.14 + 0.04 * step(-u, 0.25) + 0.010 * clouds(rng, size, 9))
    image -= 0.12 * bell(np.hypot((u - 0.17) / 1.5, v - 0.87), 0.03 + 0.006 * clouds(rng, size, 9))
    image += 0.15 * _ribs(u, v) * (1 - 0.45 * np.maximum(belly, heart))
    image += 0.10 * bell(s - 0.985, 0.018) * step(v - 0.2, 0.05) * (0.7 + 0.3 * np.cos(2 * np.pi * v / 0.066))

    vertebra = ((v - 0.02) / 0.058) % 1
    body = step(np.minimum(vertebra, 1 - vertebra) - 0.10, 0.09)
    image += step(0.043 + 0.004 * np.cos(2 * np.pi * vertebra) - across, 0.008) * (0.055 + 0.04 * body)
    image += 0.05 * bell(across - 0.031, 0.005) * bell(vertebra - 0.40, 0.13) - 0.03 * bell(u, 0.007) * body
    windpipe = step(0.020 - np.abs(u + 0.006), 0.006) * step(0.38 - v, 0.03)
    bronchi = step(0.013 - np.abs(v - 0.375 - 0.75 * np.abs(u + 0.006)), 0.006) * step(0.085 - across, 0.03)
    image -= 0.075 * np.maximum(windpipe, bronchi)

    collar = 0.165 - 0.30 * (across - 0.05) + 0.75 * (across - 0.14) ** 2
    reach = step(across - 0.055, 0.012) * step(0.30 - across, 0.015)
    offset = np.abs(v - collar)
    image += reach * (0.11 * step(0.013 - offset, 0.005) + 0.10 * bell(offset - 0.011, 0.0025))
    shoulder = np.abs(across - 0.395 - 0.35 * v)
    image += step(0.20 - v, 0.02) * (0.10 * step(0.026 - shoulder, 0.008) + 0.08 * bell(shoulder - 0.022, 0.004))
    scapula = np.abs(across - 0.335 + 0.35 * (v - 0.2)) + 0.02 * (v > 0.36)
    image += 0.07 * bell(scapula, 0.006) * step(v - 0.17, 0.03) * step(0.36 - v, 0.03)
    image += 0.14 * step(0.17 - np.hypot(u, 1.25 * (v + 0.11)), 0.006) + 0.010 * clouds(rng, size, 5)

    # No tissue is smooth: what overlies on a radiograph is a noise that falls with the frequency (Burgess et al. 2001).
    tissue = np.random.default_rng(1897)
    image += 0.4 * thickness * sum(clouds(tissue, size, cells) / cells for cells in (30, 60, 120, 240))

    # The dose falls towards the edges of the field, and quantum noise is strongest where little comes through.
    image = image * (1.08 - 0.10 * (u**2 + (v - 0.5) ** 2)) + rng.normal(0, 0.008, image.shape)
    return np.asarray(np.clip(image, 0, 1) * WHITE, np.uint16)
