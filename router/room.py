"""Room for the analyses that are under way: more would only make each of them wait for all the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Overloaded

PLACES_PER_WORKER = 2
"""One upload that is decoded, and one that is read, stored or waiting, keep a worker busy (benchmarks/overload.py)."""


class Room:
    """Places, of which each analysis takes one.

    Args:
        workers: uploads that are decoded at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._places = workers * PLACES_PER_WORKER
        self._taken = 0

    def check(self) -> None:
        """Whether there is a place now; asked before an upload is received, which costs as much as half of reading it.

        Raises:
            Overloaded: all are taken.
        """
        if self._taken >= self._places:
            raise Overloaded(f"{self._taken} studies are being read, and there is no room for another; send it again")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, as long as it is held.

        Raises:
            Overloaded: all are taken.
        """
        self.check()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
