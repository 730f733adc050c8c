"""Requests mirrored to a candidate: what it would have said, compared with what the stable version said.

No answer waits for it: requests stand in a short queue, one at a time is mirrored, and where the candidate is too slow
for all of them, those that find the queue full are left out and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from anyio.to_thread import run_sync

from . import telemetry
from .errors import ModelFailed, ModelUnavailable
from .registry import ServedModel
from .result import Agreement, Comparison, Outcome
from .results import TASKS, Infer, Reading, read
from .store import Store, now
from .study import Study

WAITING = 4
"""Studies that wait to be mirrored; each keeps its images in memory."""


@dataclass(frozen=True)
class Mirrored:
    """A study that the stable version has read, and the candidate that is asked about it too."""

    study: Study
    candidate: ServedModel
    stable: ServedModel
    reading: Reading
    milliseconds: float


class Shadow:
    """Asks candidates about studies that were read, and keeps how far they agree.

    Args:
        infer: asks a model server.
        store: keeps the comparisons.
    """

    def __init__(self, infer: Infer, store: Store) -> None:
        self._infer, self._store = infer, store
        self._waiting: asyncio.Queue[Mirrored] = asyncio.Queue(WAITING)
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to mirror."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what waits is not mirrored."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    def mirror(self, mirrored: Mirrored) -> None:
        """Ask the candidate, later; returns at once."""
        try:
            self._waiting.put_nowait(mirrored)
        except asyncio.QueueFull:
            telemetry.left_out(mirrored.candidate)

    async def _work(self) -> None:
        while True:
            mirrored = await self._waiting.get()
            try:
                comparison = await self._compare(mirrored)
                telemetry.compared(comparison)
                await self._store.add_comparison(comparison)
            except Exception as error:  # Whatever one comparison does, the next is made.
                telemetry.log.error("a comparison was lost", exc_info=error)

    async def _compare(self, mirrored: Mirrored) -> Comparison:
        card = mirrored.candidate.card
        agreement: Agreement | None = None
        outcome: Outcome = "ok"
        started = time.perf_counter()
        try:
            reading = await read(mirrored.study, mirrored.candidate, self._infer)
        except ModelUnavailable:
            outcome = "unavailable"
        except ModelFailed:
            outcome = "failed"
        milliseconds = (time.perf_counter() - started) * 1000
        if outcome == "ok":
            agreement = await run_sync(TASKS[card.task].compare, mirrored.reading, reading)
        return Comparison(
            model=card.name,
            version=card.version,
            stable=mirrored.stable.card.version,
            created=now(),
            outcome=outcome,
            agreement=agreement,
            stable_ms=round(mirrored.milliseconds, 2),
            candidate_ms=round(milliseconds, 2),
        )
