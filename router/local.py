"""Everything on one machine: the model servers, the router and the portal, on loopback, ended together."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import numpy as np
import uvicorn

from handlers.contract.archive import load_models
from handlers.contract.errors import DokueiError

from . import DEFAULT_PORT, telemetry
from .app import create_app
from .errors import ModelFailed, ModelUnavailable
from .inference import InferenceClient
from .registry import ServedModel
from .samples import write_samples
from .settings import Settings

Runtime = Literal["light", "torchserve"]
HOST = "127.0.0.1"
START_SECONDS = 180
STOP_SECONDS = 15
LOOK_SECONDS = 0.1
"""Between two looks whether a model server has ended."""
AGAIN_SECONDS = 5
"""One that has ended sooner after its start waits so long for the next, and not all processors go into starts."""


class StartError(DokueiError):
    """A model server ended, or did not answer, while it was starting."""


def free_port() -> int:
    """A TCP port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class _Server:
    """A model server's process, which is started again where it ends by itself."""

    def __init__(self, name: str, arguments: Sequence[str], output: IO[bytes]) -> None:
        self.name, self._command, self._output = name, [sys.executable, *arguments], output
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def ended(self) -> bool:
        """Whether its process is no more."""
        return self.process.poll() is not None

    def keep(self) -> None:
        """Start it again, if it has ended and not only just been started."""
        if self.ended and time.monotonic() - self._started > AGAIN_SECONDS:
            telemetry.log.warning("a model server ended, and is started again", of=self.name)
            self._start()


@contextmanager
def _kept(servers: Sequence[_Server]) -> Iterator[None]:
    """Keep them running, in a thread."""
    closing = threading.Event()

    def keep() -> None:
        while not closing.wait(LOOK_SECONDS):
            for server in servers:
                server.keep()

    thread = threading.Thread(target=keep, name="model servers")
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()


@contextmanager
def model_servers(store: Path, runtime: Runtime, log: Path) -> Iterator[dict[str, str]]:
    """Start the servers of every model of the store, wait until each has answered, and start again those that end.

    Args:
        log: file that gets what the servers print.

    Yields:
        Base URL by model name.

    Raises:
        CardError, ArchiveError: a model of the store cannot be used.
        StartError: a server ended or did not answer; names the log.
    """
    models = load_models(store)
    commands: dict[str, list[str]] = {}
    endpoints: dict[str, str] = {}
    if runtime == "torchserve":
        port = free_port()
        folders = [str(archive.parent) for _, archive in models]
        commands["torchserve"] = ["-m", "handlers.torchserve", *folders, "--port", str(port)]
        endpoints = {card.name: f"http://{HOST}:{port}" for card, _ in models}
    else:
        for card, archive in models:
            port = free_port()
            commands[card.name] = ["-m", "handlers.server", str(archive), "--port", str(port)]
            endpoints[card.name] = f"http://{HOST}:{port}"
    log.parent.mkdir(parents=True, exist_ok=True)
    servers: list[_Server] = []
    with log.open("wb") as output:
        try:
            for name, arguments in commands.items():
                servers.append(_Server(name, arguments, output))
            served = [ServedModel(card, endpoints[card.name], runtime) for card, _ in models]
            asyncio.run(_wait_until_ready(served, servers, log))
            with _kept(servers):
                yield endpoints
        finally:
            _stop([server.process for server in servers])


async def _wait_until_ready(models: Sequence[ServedModel], servers: Sequence[_Server], log: Path) -> None:
    """Ask each model for one blank image until it answers: a healthy server may have no model yet."""
    client = InferenceClient(timeout_seconds=30)
    deadline = time.monotonic() + START_SECONDS
    try:
        for model in models:
            size = model.card.input
            blank = np.zeros((1, size.height, size.width, size.channels), np.uint8)
            while True:
                try:
                    await client.infer(model, blank, [])
                    break
                except (ModelUnavailable, ModelFailed) as error:
                    ended = [server.name for server in servers if server.ended]
                    if ended:
                        raise StartError(f"the model server {ended[0]} ended while starting; {log} says why") from error
                    if time.monotonic() > deadline:
                        raise StartError(f"{model.card.name} did not answer in {START_SECONDS} s; see {log}") from error
                    await asyncio.sleep(0.05)
    finally:
        await client.close()


def _stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(runtime: Runtime, port: int, data: Path) -> None:
    """Run until interrupted: model servers, router and portal; state, samples and logs in `data`.

    Raises:
        StartError, CardError, ArchiveError: as `model_servers`.
    """
    # SIGTERM ends like Ctrl+C does: through the context managers, which end the model servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _run(runtime, port, data)
    print("stopped", flush=True)


def _run(runtime: Runtime, port: int, data: Path) -> None:
    started = time.monotonic()
    samples = data / "samples"
    titles = [sample.file for sample in write_samples(samples)]
    data.mkdir(parents=True, exist_ok=True)
    base = Settings.from_environment()
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise StartError(
                f"port {port} of {HOST} is taken ({error.strerror}); name another, as in PORT=8001"
            ) from error
        print(f"starting {runtime} model servers …", flush=True)
        with model_servers(base.model_store, runtime, data / "model-servers.log") as endpoints:
            settings = base.model_copy(
                update={
                    "database_url": f"sqlite:///{data / 'dokuei.db'}",
                    "model_endpoints": endpoints,
                    "model_runtime": runtime,
                    "samples": samples,
                }
            )
            server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
            where = "" if port == DEFAULT_PORT else f" PORT={port}"
            listener.listen()  # From here on a caller waits instead of being refused.
            print(
                f"{len(endpoints)} models answer after {time.monotonic() - started:.1f} s; samples in {samples}: "
                f"{', '.join(titles)}\n\n    Dokuei is at http://{HOST}:{port}   (Ctrl+C ends it)\n\n"
                f"    make analyse FILE={samples / titles[0]}{where}   prints an answer in another terminal\n",
                flush=True,
            )
            server.run(sockets=[listener])
