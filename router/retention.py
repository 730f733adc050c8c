"""Studies that are older than the hospital keeps them are deleted, with their pictures and reviews."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from . import telemetry
from .audit.event import Actor
from .database import now
from .errors import StoreUnavailable
from .store import Store

AGAIN_SECONDS = 600
AT_ONCE = 20
"""Studies of one transaction: other writers wait no longer than that."""


class Retention:
    """Looks for old studies while the router runs; several routers take turns.

    Args:
        days: how long a study is kept from its upload on.
    """

    def __init__(self, store: Store, days: int) -> None:
        self._store = store.on_behalf_of(Actor(program="dokuei retention"))
        self._age = timedelta(days=days)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while True:
            try:
                purged = await self._store.purge(now() - self._age, AT_ONCE)
            except StoreUnavailable as error:
                telemetry.log.warning("old studies could not be deleted", error=error.detail)
                purged = 0
            if purged:
                telemetry.PURGED.inc(purged)
                telemetry.log.info("old studies deleted", studies=purged)
            await asyncio.sleep(0 if purged == AT_ONCE else AGAIN_SECONDS)
