"""Two versions of a model compared: the one that did not answer a study is asked about it too, and seen by nobody.

No answer waits for it: requests stand in a short queue, one at a time is mirrored, and where the other version is too
slow for all of them, those that find the queue full are left out and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anyio.to_thread import run_sync

from . import telemetry, traffic
from .database import now
from .errors import ModelFailed, ModelUnavailable
from .kserve import Variant
from .registry import ServedModel
from .result import Agreement, Comparison, Outcome
from .results import TASKS, Infer, Reading, read
from .store import Store
from .study import Study

WAITING = 4
"""Studies that wait to be compared; each keeps its images in memory."""


@dataclass(frozen=True)
class _Waiting:
    """A study that `model` has read in so many milliseconds; its other version has yet to be asked."""

    study: Study
    model: ServedModel
    other: ServedModel
    reading: Reading
    milliseconds: float
    created: datetime


class Shadow:
    """Compares the versions of a model on studies that were answered, and keeps how far they agree.

    Args:
        infer: asks a model server.
        store: keeps the comparisons.
    """

    def __init__(self, infer: Infer, store: Store) -> None:
        self._infer, self._store = infer, store
        self._waiting: asyncio.Queue[_Waiting | Comparison] = asyncio.Queue(WAITING)
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to compare."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what waits is not compared."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    def compare(
        self, study: Study, answered: traffic.Answered[Reading], chosen: ServedModel, milliseconds: float
    ) -> None:
        """Ask the other version too, later, where there is one and the study is among those compared; returns at once.

        Args:
            answered: what was answered.
            chosen: the version that was to answer: a candidate that failed is kept as such.
            milliseconds: from the decoded study to the result.
        """
        if chosen.other is None or not traffic.compared(chosen, study.key):
            return
        waiting: _Waiting | Comparison
        if answered.failed is not None:
            waiting = _comparison(chosen, answered.failed, now(), {}, None)
        else:
            waiting = _Waiting(study, chosen, chosen.other, answered.value, milliseconds, now())
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            telemetry.left_out(_candidate(chosen))

    async def _work(self) -> None:
        while True:
            waiting = await self._waiting.get()
            try:
                comparison = waiting if isinstance(waiting, Comparison) else await self._compare(waiting)
                telemetry.compared(comparison)
                await self._store.add_comparison(comparison)
            except Exception as error:  # Whatever one comparison does, the next is made.
                telemetry.log.error("a comparison was lost", exc_info=error)

    async def _compare(self, waiting: _Waiting) -> Comparison:
        started = time.perf_counter()
        other: Reading | None = None
        outcome: Outcome = "ok"
        try:
            other = await read(waiting.study, waiting.other, self._infer)
        except ModelUnavailable:
            outcome = "unavailable"
        except ModelFailed:
            outcome = "failed"
        times = {waiting.model.variant: waiting.milliseconds}
        agreement = None
        if other is not None:
            times[waiting.other.variant] = (time.perf_counter() - started) * 1000
            agreement = await run_sync(TASKS[waiting.model.card.task].compare, waiting.reading, other)
        # Where the candidate has answered, and the stable version fails behind it, nothing is wrong with the candidate.
        by_candidate = outcome if waiting.other.variant == "canary" else "ok"
        return _comparison(waiting.model, by_candidate, waiting.created, times, agreement)


def _candidate(chosen: ServedModel) -> ServedModel:
    assert chosen.other is not None
    return chosen if chosen.variant == "canary" else chosen.other


def _comparison(
    chosen: ServedModel,
    outcome: Outcome,
    created: datetime,
    times: Mapping[Variant, float],
    agreement: Agreement | None,
) -> Comparison:
    candidate = _candidate(chosen)
    stable = chosen.other if candidate is chosen else chosen
    assert stable is not None
    return Comparison(
        model=candidate.card.name,
        version=candidate.card.version,
        stable=stable.card.version,
        created=created,
        shown=chosen.variant if outcome == "ok" else "stable",
        outcome=outcome,
        agreement=agreement,
        stable_ms=times.get("stable"),
        candidate_ms=times.get("canary"),
    )
