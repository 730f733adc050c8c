"""Room for the analyses that are under way: more would only make each of them wait for all the others.

A rush, as while pods of an update start or a batch is sent, is waited for in line. Where it does not end, a line would
only be a longer way to the same answer, and who finds no place is told so at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import Overloaded

PLACES_PER_WORKER = 2
"""One upload that is decoded, and one that is read, stored or waiting, keep a worker busy (benchmarks/overload.py)."""
RUSH_SECONDS = 60
"""For so long after all places were taken others wait in line."""
CALM_SECONDS = 30
"""If in so long nobody had to wait, a rush was over."""
PATIENCE_SECONDS = 30
"""The longest that one waits: half of what programs and proxies usually wait for an answer."""
LONGEST_LINE = 256
"""More connections than these are not kept open for a place."""
RECEIVE_SECONDS = 0.5
"""Who has been called and has not taken the place by then, as its upload is slow or wrong, holds nobody up."""


class Room:
    """Places, of which each analysis takes one, and the line of those who wait for one.

    Args:
        workers: uploads that are decoded at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._places = workers * PLACES_PER_WORKER
        self._taken = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._rush_began = self._last_full = float("-inf")

    async def wait(self) -> bool:
        """Wait until there is a place; before an upload is received, which costs as much as half of reading it.

        Returns:
            Whether it had to wait.

        Raises:
            Overloaded: all are taken, for too long.
        """
        if self._taken < self._places and not self._line:
            return False
        await self._stand_in_line(called=False)
        return True

    @asynccontextmanager
    async def place(self, called: bool) -> AsyncIterator[None]:
        """A place, as long as it is held.

        Args:
            called: whether it has waited already; then it is the next to get one, and is not sent away in a long rush.

        Raises:
            Overloaded: all are taken, for too long.
        """
        while self._taken >= self._places:
            await self._stand_in_line(called=called)
            called = True
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._call_next()

    async def _stand_in_line(self, *, called: bool) -> None:
        now = time.monotonic()
        if now - self._last_full > CALM_SECONDS:
            self._rush_began = now
        self._last_full = now
        if not called and (now - self._rush_began > RUSH_SECONDS or len(self._line) >= LONGEST_LINE):
            raise self._refusal()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        (self._line.appendleft if called else self._line.append)(turn)
        try:
            await asyncio.wait_for(turn, PATIENCE_SECONDS)
        except TimeoutError:
            raise self._refusal() from None
        finally:
            if turn in self._line:
                self._line.remove(turn)
            loop.call_later(RECEIVE_SECONDS, self._call_next)

    def _refusal(self) -> Overloaded:
        return Overloaded(f"{self._taken} studies are being read, and there is no room for another; send it again")

    def _call_next(self) -> None:
        while self._line and self._taken < self._places:
            turn = self._line.popleft()
            if not turn.done():  # Its client may have gone.
                turn.set_result(None)
                return
