"""A real router before real light model servers, on loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fake_llm import FakeLlm, fake_llm
from PIL import Image
from serving import serving
from uploads import Decode, decoding

from router.app import create_app
from router.local import model_servers
from router.samples import write_samples
from router.settings import Settings

ROOT = Path(__file__).parents[2]
StartRouter = Callable[..., httpx.Client]


@pytest.fixture(scope="session")
def light_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with model_servers(ROOT / "model-store", "light", tmp_path_factory.mktemp("light") / "log") as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    return folder


@pytest.fixture
def start_router(light_servers: dict[str, str], tmp_path: Path, samples: Path) -> Iterator[StartRouter]:
    """Starts a router with the given settings beside the usual ones, and gives a client to it."""
    with ExitStack() as stack:

        def start(**changes: Any) -> httpx.Client:
            settings = Settings.model_validate(
                {
                    "database_url": f"sqlite:///{tmp_path / 'dokuei.db'}",
                    "model_store": ROOT / "model-store",
                    "model_endpoints": light_servers,
                    "samples": samples,
                    **changes,
                }
            )
            url = stack.enter_context(serving(create_app(settings)))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))

        yield start


@pytest.fixture(scope="module")
def shared_router(
    light_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory, samples: Path
) -> Iterator[httpx.Client]:
    """One router for the tests of a module that leave nothing behind that matters to the others."""
    settings = Settings.model_validate(
        {
            "database_url": f"sqlite:///{tmp_path_factory.mktemp('router') / 'dokuei.db'}",
            "model_store": ROOT / "model-store",
            "model_endpoints": light_servers,
            "samples": samples,
        }
    )
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    with decoding(tmp_path_factory.mktemp("uploads")) as run:
        yield run


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm() as running:
        yield running


def png_bytes(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def read_image(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)))
