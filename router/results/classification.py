"""The result of a classification: label, probabilities, and where the evidence lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.contract.card import Card
from router.result import Agreement, ClassificationResult, Heatmap
from router.study import Study

from .reading import Reading

OUTPUTS = ("probabilities", "heatmap")
ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "right")
CELLS = 42
"""The map is cut into regions on a 42 x 42 grid, which divides into thirds and halves alike."""


def region_shares(heat: NDArray[np.float32]) -> dict[str, float]:
    """Share of the heat in each sixth of the image, three rows by two columns; sides as displayed.

    Args:
        heat: float32 [h, w], from 0.

    Returns:
        Shares that add up to 1, or are all 0 where there is no heat.
    """
    fine = _on_grid(heat)
    total = float(fine.sum())
    blocks = fine.reshape(3, CELLS // 3, 2, CELLS // 2).sum(axis=(1, 3)) / (total if total > 0 else 1)
    return {
        f"{row} {column}": round(float(blocks[i, j]), 4)
        for i, row in enumerate(ROWS)
        for j, column in enumerate(COLUMNS)
    }


def _on_grid(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = np.arange(CELLS) * heat.shape[0] // CELLS
    columns = np.arange(CELLS) * heat.shape[1] // CELLS
    return heat[np.ix_(rows, columns)].astype(np.float64)


def interpret(_: Study, outputs: Mapping[str, NDArray[Any]], card: Card) -> Reading:
    """Read probabilities [1, 2] and heat map [1, h, w] of one image."""
    normal, finding = card.labels
    probability = float(outputs["probabilities"][0, 1])
    heat = outputs["heatmap"][0]
    heat = heat / heat.max() if heat.max() > 0 else heat
    result = ClassificationResult(
        label=finding if probability >= card.threshold else normal,
        probabilities={normal: 1 - probability, finding: probability},
        threshold=card.threshold,
        heatmap=Heatmap(label=finding, regions=region_shares(heat)),
    )
    return Reading(result, heat=heat.astype(np.float32))


def compare(one: Reading, other: Reading) -> Agreement:
    """How far two readings of the same image agree; heat maps of different sizes meet on the grid of the regions."""
    assert isinstance(one.result, ClassificationResult)
    assert isinstance(other.result, ClassificationResult)
    assert one.heat is not None
    assert other.heat is not None
    finding = one.result.heatmap.label
    maps = [_on_grid(heat).ravel() for heat in (one.heat, other.heat)]
    flat = any(np.ptp(values) == 0 for values in maps)
    return Agreement(
        flipped=one.result.label != other.result.label,
        drift=abs(one.result.probabilities[finding] - other.result.probabilities[finding]),
        heat_correlation=None if flat else float(np.corrcoef(maps[0], maps[1])[0, 1]),
    )


def facts(result: ClassificationResult) -> dict[str, Any]:
    """What an explanation may say of a classification: its label, its numbers, and where most of the heat lies."""
    finding, regions = result.heatmap.label, result.heatmap.regions
    hottest = max(regions, key=regions.__getitem__)
    return {
        "task": "classification",
        "finding": finding,
        "label": result.label,
        "probability": round(result.probabilities[finding], 4),
        "threshold": result.threshold,
        "has_heat": regions[hottest] > 0,
        "hottest_region": hottest,
        "heat_share_of_hottest_region": regions[hottest],
    }
