"""Analyses to store, without a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.result import Analysis, Explanation, InputInfo, ModalityInfo, ModelInfo, SegmentationResult


def analysis(number: int, version: str = "1.0.0", model: str = "m") -> Analysis:
    return Analysis(
        id=f"id-{number}",
        created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        input=InputInfo(kind="png", images=1, sha256="0" * 64, spacing_mm=None),
        modality=ModalityInfo(label="brain-mri", confidence=0.9, source="classifier"),
        model=ModelInfo(name=model, version=version, runtime="light", variant="stable"),
        result=SegmentationResult(label="tumour", threshold=0.5, volume_ml=None, voxels=0, slices=[], extent=None),
        explanation=Explanation(text="t", source="template", language="en", model=None),
        timings_ms={},
    )
