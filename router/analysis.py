"""One analysis, from files to a stored answer.

bytes -> study -> modality -> model card -> result -> explanation -> stored
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from . import pictures, telemetry, traffic
from .database import now
from .decode.decoder import Decoder
from .decode.limits import UploadedFile
from .dispatch import dispatch
from .explanation import Explainer, Pictures, Said
from .inference import InferenceClient
from .registry import Registry
from .result import Analysis, Explanation, InputInfo, Language, ModalityInfo, ModelInfo, Result, SpacingMm
from .results import Reading, facts_of, read
from .room import Room
from .shadow import Shadow
from .store import ImageKey, Store
from .study import Study

Progress = Callable[[str], None]
"""Told the name of each step once it is done."""

SHOWN_BURNED_IN = {"no", "not-dicom"}
"""Pictures leave for the LLM only where no burned-in text is declared, or where the format cannot declare it."""


@dataclass(frozen=True)
class Order:
    """What a caller asks for.

    Attributes:
        language: of the explanation.
        model: where it is not to be found.
        department: whose study it is to be, where the caller says so.
    """

    files: Sequence[UploadedFile]
    language: Language
    model: str | None = None
    department: str | None = None


@dataclass(frozen=True)
class Analyser:
    """The parts that an analysis goes through."""

    room: Room
    decoder: Decoder
    registry: Registry
    inference: InferenceClient
    explainer: Explainer
    store: Store
    shadow: Shadow

    async def analyse(self, order: Order, progress: Progress) -> Analysis:
        """Analyse one upload; what is returned is stored, explained by the template.

        Raises:
            Problem: the upload is refused, or a part does not work; nothing is stored.
        """
        started = time.perf_counter()
        timings = telemetry.Timings()
        with timings.stage("decode"):
            study = await self.decoder.decode(order.files)
        progress("decoded")
        with timings.stage("dispatch"):
            models = traffic.split(self.registry.models(), study.key)
            found = await dispatch(study, models, order.model, self.inference.infer)
        progress("dispatched")
        with timings.stage("inference"):
            answered = await traffic.ask(found.model, partial(read, study, infer=self.inference.infer))
        model, reading = answered.model, answered.value
        progress("predicted")
        with timings.stage("pictures"):
            images = await run_sync(_stored_images, study, reading)
        info = ModelInfo(
            name=model.card.name,
            version=model.card.version,
            runtime=model.runtime,
            variant=model.variant,
        )
        analysis = Analysis(
            id=str(uuid.uuid4()),
            created=now(),
            input=_input(study),
            modality=ModalityInfo(
                label=found.label, confidence=found.confidence, source=found.source, doubtful=found.doubtful
            ),
            model=info,
            result=reading.result,
            explanation=self.explainer.from_template(_facts(reading.result, info), order.language),
            timings_ms={},
        )
        analysis.timings_ms.update(timings.milliseconds)
        with timings.stage("store"):
            await self.store.add(analysis, images, order.department, study.patient)
        progress("stored")
        self.shadow.compare(study, answered, found.model, timings.milliseconds["inference"])
        telemetry.analysed(analysis, time.perf_counter() - started)
        return analysis

    async def explain(self, analysis: Analysis, language: Language, said: Said = lambda _: None) -> Explanation:
        """Explain a stored analysis and keep the words: the LLM's, of which `said` hears as they come.

        Where it has nothing to show, words that are there in that language stay; else they are the template's.
        """
        facts = _facts(analysis.result, analysis.model)
        pictures_of = self._pictures_for_llm(analysis)

        async def sending(what: str) -> None:
            await self.store.disclose(analysis.id, f"LLM {self.explainer.llm}", what)

        explanation = await self.explainer.from_llm(facts, language, pictures_of, sending, said)
        if explanation is None:
            kept = analysis.explanation
            explanation = kept if kept.language == language else self.explainer.from_template(facts, language)
        if explanation != analysis.explanation:
            await self.store.explain(analysis.id, explanation)
        telemetry.EXPLANATIONS.labels(explanation.source).inc()
        return explanation

    def _pictures_for_llm(self, analysis: Analysis) -> Callable[[], Awaitable[Pictures]] | None:
        if analysis.result.task != "classification" or analysis.input.burned_in not in SHOWN_BURNED_IN:
            return None

        async def make() -> Pictures:
            [image] = await self.store.images(analysis.id, "image", 0)
            [heat] = await self.store.images(analysis.id, "heat", 0)
            return await run_sync(_pictures, image, pictures.heat_from_bytes(heat))

        return make


def _facts(result: Result, model: ModelInfo) -> dict[str, Any]:
    return {**facts_of(result), "model": model.name, "version": model.version}


def _pictures(original: bytes, heat: NDArray[np.float32]) -> Pictures:
    image = pictures.read_png(original)
    return Pictures(
        original=original,
        overlay=pictures.png(pictures.overlay(image, heat)),
        heatmap=pictures.png(pictures.coloured(pictures.heatmap(heat, *image.shape[:2]))),
    )


def _input(study: Study) -> InputInfo:
    spacing = study.spacing
    return InputInfo(
        kind=study.kind,
        images=len(study.images),
        sha256=study.sha256,
        spacing_mm=None
        if spacing is None
        else SpacingMm(row=spacing.row_mm, column=spacing.column_mm, slice=spacing.slice_mm),
        burned_in=study.burned_in,
    )


def _stored_images(study: Study, reading: Reading) -> dict[ImageKey, bytes]:
    images: dict[ImageKey, bytes] = {("image", n): pictures.png(image) for n, image in enumerate(study.images)}
    images |= {("mask", n): pictures.png(mask) for n, mask in enumerate(reading.masks)}
    if reading.heat is not None:
        images["heat", 0] = pictures.heat_to_bytes(reading.heat)
    return images
