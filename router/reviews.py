"""Reviews as a table for those who train models."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from .result import Analysis, ClassificationResult, SegmentationResult

COLUMNS = (
    "analysis", "created", "input_sha256", "images", "modality", "model", "version", "variant", "label", "probability",
    "threshold", "volume_ml", "verdict", "reason", "reviewed",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def table(analyses: Iterable[Analysis]) -> str:
    """CSV (RFC 4180) of reviewed analyses; `probability` is the finding's, `volume_ml` a segmentation's."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(_row(analysis) for analysis in analyses)
    return text.getvalue()


def _row(analysis: Analysis) -> dict[str, object]:
    assert analysis.review is not None
    result, review = analysis.result, analysis.review
    return {
        "analysis": analysis.id,
        "created": analysis.created.isoformat(),
        "input_sha256": analysis.input.sha256,
        "images": analysis.input.images,
        "modality": analysis.modality.label,
        "model": analysis.model.name,
        "version": analysis.model.version,
        "variant": analysis.model.variant,
        "label": result.label,
        "probability": result.probabilities[result.heatmap.label] if isinstance(result, ClassificationResult) else None,
        "threshold": result.threshold,
        "volume_ml": result.volume_ml if isinstance(result, SegmentationResult) else None,
        "verdict": review.verdict,
        "reason": f"'{review.reason}" if review.reason.startswith(FORMULA) else review.reason,
        "reviewed": review.created.isoformat(),
    }
