"""What takes bytes from outside, each as a function of bytes that raises only where it is at fault."""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request

from handlers.contract import oip
from handlers.contract.card import parse_card
from handlers.contract.errors import CardError, ProtocolError
from router import upload
from router.decode import child
from router.decode.limits import MIB, DecodeLimits, UploadedFile
from router.errors import Problem

LIMITS = DecodeLimits(
    files=20, upload_bytes=MIB, unzipped_bytes=4 * MIB, memory_bytes=64 * MIB, pixels=MIB, series_pixels=4 * MIB
)
"""Small, so that what a file asks for is refused before it costs the fuzzer its time."""
SECRET = "secret"
"""In every name and identifier of the seeds."""
BOUNDARY = "frontier"


def image(data: bytes) -> None:
    """A file to decode: the answer has the pixels that it speaks of, and a problem repeats nothing of the file."""
    with tempfile.TemporaryDirectory(prefix="dokuei-fuzz-") as name:
        folder = Path(name)
        sent = folder / "sent"
        sent.write_bytes(data)
        answer = json.loads(json.dumps(child.answer([UploadedFile(sent, f"{SECRET}.dcm")], folder, LIMITS)))
        if "problem" in answer:
            assert SECRET not in answer["detail"].lower(), answer
        else:
            there = (folder / child.PIXELS).stat().st_size
            assert answer["images"], answer
            assert all(at >= 0 and at + math.prod(shape) <= there for at, shape in answer["images"]), (answer, there)


def form(data: bytes) -> None:
    """The body of an upload."""

    async def body() -> dict[str, object]:
        return {"type": "http.request", "body": data, "more_body": False}

    content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
    request = Request({"type": "http", "method": "POST", "headers": [(b"content-type", content_type)]}, body)

    async def receive() -> None:
        with await upload.receive(request, LIMITS, lambda department: department) as received:
            assert received.order.files, "an upload without a file was taken"

    told = ""
    try:
        asyncio.run(receive())
    except Problem as problem:
        told = problem.detail
    assert SECRET not in told.lower(), told


def request(data: bytes) -> None:
    """An inference request, whose JSON part ends at the first line feed, if there is one."""
    end = data.find(b"\n")
    body, length = (data, None) if end < 0 else (data[:end] + data[end + 1 :], end)
    for decode in (oip.decode_request, oip.decode_response):
        with suppress(ProtocolError):
            decode(body, length)


def card(data: bytes) -> None:
    """A card."""
    with suppress(CardError):
        parse_card(data.decode(errors="replace"), "card.yaml")


class PlantedFault(Exception):
    """What `planted` has."""


def planted(data: bytes) -> None:
    """A target with a fault, which shows that the fuzzer is led by the code that inputs reach."""
    if len(data) > 2 and data[0] == ord("a") and data[1] == ord("b") and data[2] == ord("c"):
        raise PlantedFault


TARGETS: dict[str, Callable[[bytes], None]] = {each.__name__: each for each in (image, form, request, card, planted)}
