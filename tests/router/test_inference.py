"""Calls to model servers: what is sent, what is retried, and what is not believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from paths import STORE

from handlers.contract import oip
from handlers.contract.card import load_card
from router.errors import ModelFailed, ModelUnavailable
from router.inference import InferenceClient
from router.registry import ServedModel

CARD = load_card(STORE / "modality")
MODEL = ServedModel(CARD, "http://model", "light")
IMAGES = np.zeros((2, 128, 128, 3), np.uint8)
RIGHT = {"probabilities": np.ones((2, 3), np.float32)}


def answer(outputs: dict[str, Any]) -> httpx.Response:
    request = oip.InferRequest(inputs={}, binary=None)
    message = oip.encode_response(request, CARD.name, CARD.version, outputs)
    return httpx.Response(200, content=message.body, headers=message.headers)


def infer(serve: Callable[[httpx.Request], httpx.Response]) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        client = InferenceClient(5, httpx.MockTransport(serve))
        try:
            return await client.infer(MODEL, IMAGES, ["probabilities"])
        finally:
            await client.close()

    return asyncio.run(ask())


def test_pixels_travel_as_uint8_binary_tensors() -> None:
    requests = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(oip.decode_request(request.content, request.headers[oip.HEADER_LENGTH]))
        assert request.url.path == "/v2/models/modality/infer"
        return answer(RIGHT)

    assert np.array_equal(infer(serve)["probabilities"], RIGHT["probabilities"])
    assert np.array_equal(requests[0].inputs["images"], IMAGES)
    assert requests[0].inputs["images"].dtype == np.uint8


@pytest.mark.parametrize("fault", [httpx.ConnectError("no"), httpx.RemoteProtocolError("gone"), 502, 503, 504])
def test_one_fault_is_retried_and_two_are_not_survived(fault: Exception | int) -> None:
    calls = 0

    def serve(times: int) -> Callable[[httpx.Request], httpx.Response]:
        def one(_: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            if calls > times:
                return answer(RIGHT)
            if isinstance(fault, Exception):
                raise fault
            return httpx.Response(fault)

        return one

    infer(serve(times=1))
    assert calls == 2
    calls = 0
    with pytest.raises(ModelUnavailable, match="tried twice"):
        infer(serve(times=9))
    assert calls == 2


def test_a_slow_model_is_not_asked_twice() -> None:
    calls = 0

    def serve(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise httpx.ReadTimeout("slow")

    with pytest.raises(ModelUnavailable, match="in time"):
        infer(serve)
    assert calls == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: httpx.Response(400, json={"error": "no"}),
        lambda: httpx.Response(500, json={"error": "no"}),
        lambda: httpx.Response(200, text="<html>"),
        lambda: answer({"other": np.ones((2, 3), np.float32)}),
        lambda: answer({"probabilities": np.ones((1, 3), np.float32)}),
    ],
)
def test_an_answer_that_is_not_what_was_asked_is_not_believed(wrong: Callable[[], httpx.Response]) -> None:
    with pytest.raises(ModelFailed):
        infer(lambda _: wrong())


def test_the_callers_trace_goes_on_to_the_model_server() -> None:
    from opentelemetry import propagate, trace
    from opentelemetry.context import attach, detach

    seen = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("traceparent", ""))
        return answer(RIGHT)

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = attach(propagate.extract({"traceparent": parent}))
    try:
        assert trace.get_current_span().get_span_context().is_valid
        infer(serve)
    finally:
        detach(token)
    assert seen[0].split("-")[1] == parent.split("-")[1]
