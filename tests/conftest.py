"""Fixtures that several folders use: real light model servers, the samples, and a real router before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_llm import FakeLlm, fake_llm
from paths import STORE
from serving import StartRouter, router_settings, serving

from router.app import create_app
from router.local import model_servers
from router.samples import write_samples


@pytest.fixture(scope="session")
def light_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with model_servers(STORE, "light", tmp_path_factory.mktemp("light") / "log") as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    return folder


@pytest.fixture(scope="module")
def shared_router(
    light_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory, samples: Path
) -> Iterator[httpx.Client]:
    """One router for the tests of a module that leave nothing behind that matters to the others."""
    settings = router_settings(tmp_path_factory.mktemp("router"), light_servers, samples)
    with serving(create_app(settings)) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def start_router(light_servers: dict[str, str], tmp_path: Path, samples: Path) -> Iterator[StartRouter]:
    """Starts a router with the given settings beside the usual ones, and gives a client to it."""
    with ExitStack() as stack:

        def start(**changes: Any) -> httpx.Client:
            settings = router_settings(tmp_path, light_servers, samples, **changes)
            url = stack.enter_context(serving(create_app(settings)))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))

        yield start


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm() as running:
        yield running
