"""A real router before real light model servers, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_llm import FakeLlm, fake_llm
from paths import STORE
from serving import StartRouter, serving
from uploads import Decode, decoding

from router.app import create_app
from router.settings import Settings


@pytest.fixture
def start_router(light_servers: dict[str, str], tmp_path: Path, samples: Path) -> Iterator[StartRouter]:
    """Starts a router with the given settings beside the usual ones, and gives a client to it."""
    with ExitStack() as stack:

        def start(**changes: Any) -> httpx.Client:
            settings = Settings.model_validate(
                {
                    "database_url": f"sqlite:///{tmp_path / 'dokuei.db'}",
                    "model_store": STORE,
                    "model_endpoints": light_servers,
                    "samples": samples,
                    **changes,
                }
            )
            url = stack.enter_context(serving(create_app(settings)))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))

        yield start


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    with decoding(tmp_path_factory.mktemp("uploads")) as run:
        yield run


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm() as running:
        yield running
