"""Rough regions of a chest X-ray, by its grey values alone, and the share of a heat map in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import Delaunay

Mask = NDArray[np.bool_]


def otsu(grey: NDArray[Any]) -> float:
    """The threshold in 0..255 that parts grey values best into two (Otsu 1979)."""
    counts = np.bincount(np.asarray(grey, np.uint8).ravel(), minlength=256) / grey.size
    below, sums = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    between = (sums[-1] * below - sums) ** 2 / np.maximum(below * (1 - below), 1e-12)
    return float(np.argmax(between))


def largest(mask: Mask) -> Mask:
    """The largest connected part of a mask [H, W]."""
    labels, count = ndimage.label(mask)
    return np.asarray(labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1) if count else mask


def regions(image: NDArray[np.uint8]) -> dict[str, Mask]:
    """Rough masks [H, W] of an X-ray, uint8 [H, W, C], by its grey values alone; none was drawn by a reader.

    The lung field is, on each side, the convex hull of the largest part of the middle of the body that is darker than
    the rest. The hull also takes in consolidated lung, which is bright, where aerated lung is around it.
    """
    height, width = image.shape[:2]
    grey = ndimage.gaussian_filter(image.mean(2), height / 96)
    body = ndimage.binary_fill_holes(largest(grey > otsu(grey) / 2))
    rows, columns = np.nonzero(body) if body.any() else np.indices(body.shape).reshape(2, -1)
    (top, left), (high, wide) = (rows.min(), columns.min()), (np.ptp(rows), np.ptp(columns))
    middle, lungs = np.zeros_like(body), np.zeros_like(body)
    middle[top + high // 8 : top + high * 13 // 16, left + wide // 6 : left + wide * 5 // 6] = True
    middle &= body
    for half in (np.arange(width) < left + wide // 2, np.arange(width) >= left + wide // 2):
        side = middle & half
        if side.any():
            side &= grey < otsu(grey[side])
        dark = largest(ndimage.binary_opening(side, iterations=2))
        if dark.any():
            inside = Delaunay(np.argwhere(dark)).find_simplex(np.argwhere(np.ones_like(dark))) >= 0
            lungs |= inside.reshape(dark.shape)
    frame, corners = np.ones_like(body), np.ones_like(body)
    frame[height // 10 : -(height // 10), width // 10 : -(width // 10)] = False
    corners[height // 5 : -(height // 5)] = False
    corners[:, width // 5 : -(width // 5)] = False
    return {"body": body, "middle of the body": middle, "lung field": lungs & body, "border": frame, "corners": corners}


def heat_share(relevance: NDArray[np.float32], masks: Mask) -> NDArray[np.float64]:
    """Share [N] of the heat of maps [N, H, W] that is inside the masks [N, H, W]; nan for a map without heat."""
    total = relevance.sum((1, 2), dtype=np.float64)
    inside = (relevance * masks).sum((1, 2), dtype=np.float64)
    shares: NDArray[np.float64] = np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0)
    return shares
