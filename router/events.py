"""Server-sent events (WHATWG HTML, section 9.2) of work that goes on where its reader goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent

from . import telemetry
from .errors import Problem

INTERNAL = "something went wrong in the router; its log says what happened"
TYPE = "text/event-stream"

Send = Callable[[str, str], None]
"""Sends an event: its name, and its data as JSON."""

_running: set[asyncio.Task[None]] = set()
"""Keeps a reference to the work of each stream; the event loop alone would let it be collected."""


def stream(work: Callable[[Send], Awaitable[None]], headers: dict[str, str]) -> EventSourceResponse:
    """Answer with the events that `work` sends; a problem that it raises is the last of them, named `error`."""
    events: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue()

    def send(event: str, data: str) -> None:
        events.put_nowait(ServerSentEvent(data, event=event))

    async def act() -> None:
        try:
            await work(send)
        except Problem as problem:
            telemetry.REFUSALS.labels(problem.slug).inc()
            send("error", json.dumps(problem.document()))
        except Exception:
            telemetry.REFUSALS.labels(Problem.slug).inc()
            telemetry.log.exception("a stream failed")
            send("error", json.dumps(Problem(INTERNAL).document()))
        finally:
            events.put_nowait(None)

    # What was accepted is finished and stored, whether or not somebody listens, now or later.
    task = asyncio.create_task(act())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return EventSourceResponse(_until_the_end(events), headers=headers)


async def _until_the_end(events: asyncio.Queue[ServerSentEvent | None]) -> AsyncIterator[ServerSentEvent]:
    while (event := await events.get()) is not None:
        yield event
