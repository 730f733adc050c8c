"""Run an ASGI application for a test, on a real port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from paths import STORE

from router.settings import Settings

StartRouter = Callable[..., httpx.Client]
"""Starts a router with the given settings, and gives a client to it."""
StartProcess = Callable[..., tuple[httpx.Client, Path]]
"""Starts a router process with the given environment, and gives a client to it and its log."""


class _Server(uvicorn.Server):
    """A server that says when it has started, or failed to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.decided = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.decided.set()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve `app` on a free loopback port; gives its address."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert server.decided.wait(60)
            assert server.started, "the application did not start; its log says why"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def router_settings(folder: Path, endpoints: dict[str, str], samples: Path, **changes: Any) -> Settings:
    """Settings of a router before the model servers at `endpoints`, with its database in `folder`."""
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{folder / 'dokuei.db'}",
            "model_store": STORE,
            "model_endpoints": endpoints,
            "samples": samples,
            **changes,
        }
    )


def sse(response: httpx.Response) -> list[tuple[str, Any]]:
    """The events of a finished stream."""
    events = []
    for block in response.text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events
