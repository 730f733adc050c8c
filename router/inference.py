"""Calls to model servers: Open Inference Protocol v2 with binary tensors over a pool of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from handlers.contract import oip
from handlers.contract.card import INPUT
from handlers.contract.errors import ProtocolError

from . import telemetry
from .errors import ModelFailed, ModelUnavailable
from .registry import ServedModel
from .result import Outcome

RETRY_PAUSE_SECONDS = 0.1
RETRIED_STATUS = {502, 503, 504}
"""Answers of a server or proxy that has not run the request: starting, stopping, or its queue is full."""


class InferenceClient:
    """Asks model servers. Inference changes nothing on the server, so one retry is safe.

    Args:
        timeout_seconds: for one answer; connecting takes at most 5 s of it.
        transport: of httpx, for tests.
    """

    def __init__(self, timeout_seconds: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        timeout = httpx.Timeout(timeout_seconds, connect=min(5, timeout_seconds))
        # Pooled connections go before the idle timeout of uvicorn's (5 s), so none is closed while a request is sent.
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=4)
        self._http = httpx.AsyncClient(timeout=timeout, limits=limits, transport=transport, trust_env=False)
        HTTPXClientInstrumentor.instrument_client(self._http)

    async def close(self) -> None:
        """Close the pool."""
        await self._http.aclose()

    async def infer(
        self, model: ServedModel, images: NDArray[np.uint8], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Ask `model` for `outputs` of uint8 [N, H, W, C] images.

        Returns:
            The outputs by name, N along their first axis.

        Raises:
            ModelUnavailable: the server does not answer in time, or says that it cannot now.
            ModelFailed: the server answers with an error, or with something that is not asked for.
        """
        with _timed(model):
            return await self._infer(model, images, outputs)

    async def _infer(
        self, model: ServedModel, images: NDArray[np.uint8], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        name = model.card.name
        request = oip.encode_request({INPUT: images}, outputs)
        response = await self._post(model, request)
        if response.status_code != 200:
            raise ModelFailed(f"the server of {name} answers {response.status_code}", model=name)
        try:
            answer = oip.decode_response(response.content, response.headers.get(oip.HEADER_LENGTH))
        except ProtocolError as error:
            raise ModelFailed(f"the server of {name} answers with no valid message: {error}", model=name) from error
        for output in outputs:
            if output not in answer.outputs or len(answer.outputs[output]) != len(images):
                raise ModelFailed(
                    f"the server of {name} gives no {output!r} for each of {len(images)} images", model=name
                )
        return {output: answer.outputs[output] for output in outputs}

    async def _post(self, model: ServedModel, request: oip.Message) -> httpx.Response:
        url = f"{model.url}/v2/models/{model.card.name}/infer"
        reason = ""
        for attempt in range(2):
            if attempt:
                telemetry.MODEL_RETRIES.labels(model.card.name).inc()
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            try:
                response = await self._http.post(url, content=request.body, headers=request.headers)
            except httpx.ReadTimeout:
                # The model is at work on it: a second request would only make its queue longer.
                raise ModelUnavailable(f"{model.card.name} gave no answer in time", model=model.card.name) from None
            except httpx.TransportError as error:
                reason = type(error).__name__
                continue
            if response.status_code not in RETRIED_STATUS:
                return response
            reason = str(response.status_code)
        raise ModelUnavailable(f"{model.card.name} does not answer ({reason}, tried twice)", model=model.card.name)


@contextmanager
def _timed(model: ServedModel) -> Iterator[None]:
    """Time a request by how it ends; one whose caller went away is not told."""
    started = time.perf_counter()

    def ended(outcome: Outcome) -> None:
        labels = (model.card.name, model.card.version, model.variant, outcome)
        telemetry.MODEL_REQUEST_SECONDS.labels(*labels).observe(time.perf_counter() - started)

    try:
        yield
    except ModelUnavailable:
        ended("unavailable")
        raise
    except ModelFailed:
        ended("failed")
        raise
    ended("ok")
