"""One analysis, from files to a stored answer.

bytes -> study -> modality -> model card -> result -> explanation -> stored
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync

from handlers.contract.preprocess import fit_all

from . import pictures, telemetry
from .decode.decoder import Decoder
from .decode.limits import UploadedFile
from .dispatch import Dispatch, dispatch
from .explanation import Explainer, Pictures
from .inference import InferenceClient
from .registry import Registry
from .result import Analysis, Explanation, InputInfo, Language, ModalityInfo, ModelInfo, SpacingMm
from .results import TASKS, Reading
from .store import ImageKey, Store, now
from .study import Study

Progress = Callable[[str], None]
"""Told the name of each step once it is done."""

SHOWN_BURNED_IN = {"no", "not-dicom"}
"""Pictures leave for the LLM only where no burned-in text is declared, or where the format cannot declare it."""


@dataclass(frozen=True)
class Order:
    """What a caller asks for: files, the language of the explanation, and the model, where it is not to be found."""

    files: Sequence[UploadedFile]
    language: Language
    model: str | None = None


@dataclass(frozen=True)
class Finished:
    """A stored analysis, and what its explanation by an LLM needs."""

    analysis: Analysis
    facts: Mapping[str, Any]
    pictures: Callable[[], Pictures] | None


@dataclass(frozen=True)
class Analyser:
    """The parts that an analysis goes through."""

    decoder: Decoder
    registry: Registry
    inference: InferenceClient
    explainer: Explainer
    store: Store

    async def analyse(self, order: Order, progress: Progress) -> Finished:
        """Analyse one upload; what is returned is stored.

        Raises:
            Problem: the upload is refused, or a part does not work; nothing is stored.
        """
        timings = telemetry.Timings()
        analysis_id = str(uuid.uuid4())
        with timings.stage("decode"):
            study = await self.decoder.decode(order.files)
        progress("decoded")
        with timings.stage("dispatch"):
            found = await dispatch(study, self.registry.models(), order.model, self.inference.infer)
        progress("dispatched")
        with timings.stage("inference"):
            reading = await self._read(study, found)
        progress("predicted")
        facts = {**reading.facts, "model": found.model.card.name, "version": found.model.card.version}
        with timings.stage("pictures"):
            images = await run_sync(_stored_images, study, reading)
        analysis = _analysis(analysis_id, study, found, reading, self.explainer.from_template(facts, order.language))
        analysis.timings_ms.update(timings.milliseconds)
        with timings.stage("store"):
            await self.store.add(analysis, images)
        progress("stored")
        telemetry.ANALYSES.labels(
            analysis.model.name, analysis.model.version, analysis.model.variant, analysis.modality.label
        ).inc()
        return Finished(analysis, facts, _pictures_for_llm(study, reading))

    async def explain(self, finished: Finished) -> Explanation:
        """Let the LLM explain a stored analysis; where it has nothing to show, the template's words stay."""
        before = finished.analysis.explanation
        explanation = await self.explainer.from_llm(finished.facts, before.language, finished.pictures)
        if explanation is not None:
            await self.store.explain(finished.analysis.id, explanation)
        telemetry.EXPLANATIONS.labels((explanation or before).source).inc()
        return explanation or before

    async def _read(self, study: Study, found: Dispatch) -> Reading:
        card = found.model.card
        task = TASKS[card.task]
        pixels = await run_sync(fit_all, study.images, card.input)
        outputs = await self.inference.infer(found.model, pixels, task.outputs)
        return await run_sync(task.interpret, study, outputs, card)


def _stored_images(study: Study, reading: Reading) -> dict[ImageKey, bytes]:
    images: dict[ImageKey, bytes] = {("image", n): pictures.png(image) for n, image in enumerate(study.images)}
    images |= {("mask", n): pictures.png(mask) for n, mask in enumerate(reading.masks)}
    if reading.heat is not None:
        images["heat", 0] = pictures.heat_to_bytes(reading.heat)
    return images


def _pictures_for_llm(study: Study, reading: Reading) -> Callable[[], Pictures] | None:
    heat = reading.heat
    if heat is None or study.burned_in not in SHOWN_BURNED_IN:
        return None

    def make() -> Pictures:
        image = study.images[0]
        grey = pictures.heatmap(heat, *image.shape[:2])
        return Pictures(
            original=pictures.png(image),
            overlay=pictures.png(pictures.overlay(image, heat)),
            heatmap=pictures.png(pictures.coloured(grey)),
        )

    return make


def _analysis(analysis_id: str, study: Study, found: Dispatch, reading: Reading, explanation: Explanation) -> Analysis:
    spacing = study.spacing
    model = found.model
    return Analysis(
        id=analysis_id,
        created=now(),
        input=InputInfo(
            kind=study.kind,
            images=len(study.images),
            sha256=study.sha256,
            spacing_mm=None
            if spacing is None
            else SpacingMm(row=spacing.row_mm, column=spacing.column_mm, slice=spacing.slice_mm),
        ),
        modality=ModalityInfo(label=found.label, confidence=found.confidence, source=found.source),
        model=ModelInfo(name=model.card.name, version=model.card.version, runtime=model.runtime, variant=model.variant),
        result=reading.result,
        explanation=explanation,
        timings_ms={},
    )
