"""An OpenAI-compatible server that can misbehave on request. The only part of the system that tests fake."""

from __future__ import annotations

import asyncio
import json
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
        reply: what the assistant says: an object is sent as JSON text, a string as it is.
        behaviour: "answer", "status-429", "status-500", "hang", "drip" (a byte a second) or "no-json".
        requests: the decoded bodies of all requests.
        bodies: their bytes.
    """

    def __init__(self) -> None:
        self.reply: Any = {"finding": "", "evidence": "", "limits": ""}
        self.behaviour = "answer"
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def complete(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append(body)
        self.requests.append(json.loads(body))
        content = self.reply if isinstance(self.reply, str) else json.dumps(self.reply, ensure_ascii=False)
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "fake",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        }
        if self.behaviour.startswith("status-"):
            return JSONResponse({"error": {"message": "no"}}, int(self.behaviour.removeprefix("status-")))
        if self.behaviour == "hang":
            await asyncio.sleep(30)
        if self.behaviour == "drip":
            return StreamingResponse(self._drip(json.dumps(answer).encode()), media_type="application/json")
        if self.behaviour == "no-json":
            return Response("<html>proxy error</html>", media_type="text/html")
        return JSONResponse(answer)

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
