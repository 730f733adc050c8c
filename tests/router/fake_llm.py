"""An OpenAI-compatible server that can misbehave on request. The only part of the system that tests fake."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class FakeLlm:
    """Answers every chat completion by `behaviour`, and keeps what it was asked.

    Attributes:
        reply: what the assistant says: an object is sent as JSON text, a string as it is; or what makes it of the
            body of a request.
        behaviour: "answer", "status-429", "status-500", "hang", "drip" (a byte a second) or "no-json".
        requests: the decoded bodies of all requests.
        bodies: their bytes.
        pause, go_on: once `pause` is set, an answer waits after its first part until `go_on` is.
    """

    def __init__(self) -> None:
        self.reply: Any = {"finding": "", "evidence": "", "limits": ""}
        self.behaviour = "answer"
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self.pause, self.go_on = threading.Event(), threading.Event()

    async def complete(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append(body)
        self.requests.append(json.loads(body))
        reply = self.reply(self.requests[-1]) if callable(self.reply) else self.reply
        content = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
        if self.behaviour.startswith("status-"):
            return JSONResponse({"error": {"message": "no"}}, int(self.behaviour.removeprefix("status-")))
        if self.behaviour == "hang":
            await asyncio.sleep(30)
        if self.behaviour == "drip":
            return StreamingResponse(self._drip(b"".join(self._chunks(content))), media_type="text/event-stream")
        if self.behaviour == "no-json":
            return Response("<html>proxy error</html>", media_type="text/html")
        return StreamingResponse(self._answer(content), media_type="text/event-stream")

    async def _answer(self, content: str) -> AsyncIterator[bytes]:
        for chunk in self._chunks(content):
            if self.pause.is_set() and b"evidence" in chunk:
                await asyncio.to_thread(self.go_on.wait)
            yield chunk

    def _chunks(self, content: str) -> Iterator[bytes]:
        """The answer as a stream of chat completion chunks, each with one word or so."""
        for piece in [*re.findall(r"\s*\S+", content), None]:
            choice = {"index": 0, "delta": {"content": piece or ""}, "finish_reason": None if piece else "stop"}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    async def _drip(self, data: bytes) -> AsyncIterator[bytes]:
        for byte in data:
            yield bytes([byte])
            await asyncio.sleep(1)


@contextmanager
def fake_llm() -> Iterator[FakeLlm]:
    """A running fake LLM."""
    llm = FakeLlm()
    with serving(Starlette(routes=[Route("/v1/chat/completions", llm.complete, methods=["POST"])])) as url:
        llm.url = f"{url}/v1"
        yield llm
