"""Fixtures that several folders use: real light model servers, the samples, and a real router before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from paths import STORE
from serving import router_settings, serving

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
