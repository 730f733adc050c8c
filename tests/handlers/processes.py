"""Starts the real model servers on free ports of loopback, asks them, and ends them by their process id."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from handlers.contract import oip
from handlers.contract.card import Card, load_card
from router.local import free_port

MODELS = ("brain-mri-tumour", "chest-xray-pneumonia", "modality")
START_SECONDS = 240
STOP_SECONDS = 30


def image(card: Card, seed: int, count: int = 1) -> np.ndarray:
    """`count` different images, uint8 [count, H, W, C], of blocks in different greys, as no two seeds give."""
    size = card.input
    blocks = np.random.default_rng(seed).integers(0, 256, (count, size.height // 16, size.width // 16, size.channels))
    return blocks.repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)


@dataclass(frozen=True)
class Served:
    """One model at its URL."""

    card: Card
    url: str

    @property
    def path(self) -> str:
        return f"{self.url}/v2/models/{self.card.name}"

    def post(self, message: oip.Message) -> httpx.Response:
        return httpx.post(f"{self.path}/infer", content=message.body, headers=message.headers, timeout=60)

    def infer(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return outputs(self.post(oip.encode_request({"images": images})))


@dataclass(frozen=True)
class Runtime:
    """All models, as one kind of model server serves them."""

    name: str
    models: Mapping[str, Served] = field(default_factory=dict)


def outputs(response: httpx.Response) -> dict[str, np.ndarray]:
    assert response.status_code == 200, response.text
    return dict(oip.decode_response(response.content, response.headers.get(oip.HEADER_LENGTH)).outputs)


def environment(**changes: str) -> dict[str, str]:
    """The environment of a server, without what would keep ONNX Runtime from sending events anyway."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    return {**kept, **changes}


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextmanager
def running(
    arguments: list[str], answers: Callable[[], bool], log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started when `answers` says so, and has ended when this is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment(**variables))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            assert process.poll() is None, f"{arguments} ended while starting:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{arguments} did not answer:\n{log.read_text()}"
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def answers(*models: Served) -> Callable[[], bool]:
    """Whether each model answers one blank image; TorchServe listens long before it has a model."""
    waiting = list(models)

    def ask() -> bool:
        while waiting:
            size = waiting[0].card.input
            blank = np.zeros((1, size.height, size.width, size.channels), np.uint8)
            try:
                if waiting[0].post(oip.encode_request({"images": blank})).status_code != 200:
                    return False
            except httpx.TransportError:
                return False
            waiting.pop(0)
        return True

    return ask


@contextmanager
def light_server(folder: Path, log: Path, **variables: str) -> Iterator[Served]:
    port = free_port()
    served = Served(load_card(folder), f"http://127.0.0.1:{port}")
    with running(command("handlers.server", folder, "--port", port), answers(served), log, **variables):
        yield served
