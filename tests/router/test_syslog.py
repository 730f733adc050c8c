"""The audit log at a syslog server: every event, in order, also after the server or the router was away."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from analyses import analysis
from serving import StartProcess

from handlers.contract.errors import SettingsError
from router.audit.syslog import Forwarder
from router.database import Database
from router.local import free_port
from router.store import Store

MESSAGE = re.compile(
    r"<85>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00) ([!-~]{1,255}) dokuei - AuditEvent - (\{.*\})", re.ASCII
)
"""RFC 5424, section 6: priority, version, time, host, program, no process, kind, no structured data, and the event."""
RSYSLOG = """
global(workDirectory="{folder}" defaultNetstreamDriver="{driver}" defaultNetstreamDriverCAFile="{folder}/ca.crt"
       defaultNetstreamDriverCertFile="{folder}/server.crt" defaultNetstreamDriverKeyFile="{folder}/server.key")
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="{auth}")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{folder}/received" template="raw")
"""


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Of the server's and the client's certificates, whose files are in `tmp_path`."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    for name, issued in (("server", ca.issue_cert("localhost")), ("tls", ca.issue_cert("router.example"))):
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        (tmp_path / f"{name}.crt").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return ca


@contextmanager
def rsyslog(folder: Path, port: int, driver: str = "ossl", auth: str = "x509/certvalid") -> Iterator[None]:
    """A real syslog server, which asks for a client's certificate unless told not to."""
    configured = folder / "rsyslog.conf"
    configured.write_text(RSYSLOG.format(folder=folder, port=port, driver=driver, auth=auth))
    with (folder / "rsyslog.log").open("w") as log:
        command = ["rsyslogd", "-n", "-f", str(configured), "-i", str(folder / "rsyslog.pid")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: connects(port))
            yield
        finally:
            process.terminate()
            process.wait(20)


def connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def eventually(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it has not come to it"
        time.sleep(0.1)


def events(lines: list[str]) -> list[dict[str, Any]]:
    """What messages tell; each has to be one by the standard."""
    found = [MESSAGE.fullmatch(line) for line in lines]
    assert all(found), lines
    told = [json.loads(each[3]) for each in found if each is not None]
    assert [event["recorded"] for event in told] == [each[1] for each in found if each is not None]
    return told


def numbers(folder: Path) -> list[int]:
    received = folder / "received"
    lines = received.read_text().splitlines() if received.exists() else []
    return [int(event["id"]) for event in events(lines)]


@pytest.mark.parametrize("driver", ["ossl", "gtls"])
def test_a_router_sends_what_happens_and_what_has_happened_while_the_server_was_away(
    authority: trustme.CA,  # noqa: ARG001
    start_process: StartProcess,
    tmp_path: Path,
    driver: str,
) -> None:
    port = free_port()
    settings = {"DOKUEI_AUDIT_SYSLOG": f"localhost:{port}", "DOKUEI_AUDIT_SYSLOG_TLS": str(tmp_path)}
    router, log = start_process(**settings)
    router.get("/api/analyses?limit=1").raise_for_status()
    eventually(lambda: "audit events wait for the syslog server" in log.read_text())
    assert waiting_seconds(router) > 0
    with rsyslog(tmp_path, port, driver):
        eventually(lambda: numbers(tmp_path) == [1])
        router.get("/api/analyses?limit=2").raise_for_status()
        router.get("/api/analyses?limit=3").raise_for_status()
        eventually(lambda: numbers(tmp_path) == [1, 2, 3])
    eventually(lambda: waiting_seconds(router) == 0)


def waiting_seconds(router: httpx.Client) -> float:
    found = re.search(r"^dokuei_audit_waiting_seconds (\S+)$", router.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


@dataclass
class Receiver:
    """A server that reads by RFC 5425, section 4.3, and misbehaves as told.

    Attributes:
        resets: how many connections it ends in the middle, before it reads on.
        batches: the messages of each connection that it has read to its end.
    """

    context: ssl.SSLContext
    resets: int = 0
    batches: list[list[str]] = field(default_factory=list)
    port: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError):
                self._take(plain)

    def _take(self, plain: socket.socket) -> None:
        if self.resets > 0:
            self.resets -= 1
            plain.recv(100)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            plain.close()
            return
        with self.context.wrap_socket(plain, server_side=True) as connection:
            data = b""
            while part := connection.recv(65536):
                data += part
            batch = []
            while data:
                length, _, data = data.partition(b" ")
                batch.append(data[: int(length)].decode("ascii"))
                data = data[int(length) :]
            self.batches.append(batch)
            connection.unwrap()


@pytest.fixture
def receiver(authority: trustme.CA) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("localhost", 0)) as listener:
        running = Receiver(context, port=listener.getsockname()[1])
        thread = threading.Thread(target=running.serve, args=(listener,))
        thread.start()
        yield running
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def forward(
    runner: asyncio.Runner, forwarders: list[Forwarder], until: Callable[[], bool], seconds: float = 30
) -> None:
    """Let forwarders run until something is so."""

    async def run() -> None:
        for each in forwarders:
            await each.start()
        try:
            async with asyncio.timeout(seconds):
                while not until():
                    await asyncio.sleep(0.05)
        finally:
            for each in forwarders:
                await each.close()

    runner.run(run())


def test_many_events_arrive_once_and_in_order_from_several_routers(
    store: Store, opened: Database, runner: asyncio.Runner, url: str, receiver: Receiver, tmp_path: Path
) -> None:
    for number in range(450):
        runner.run(store.add(analysis(number), {}))
    others = [Database(url) for _ in range(2)]
    forwarders = [Forwarder(each, ("localhost", receiver.port), tmp_path) for each in (opened, *others)]
    forward(runner, forwarders if url.startswith("postgresql") else forwarders[:1], lambda: received(receiver) >= 450)
    told = [event for batch in receiver.batches for event in events(batch)]
    assert [int(event["id"]) for event in told] == list(range(1, 451))
    assert len(receiver.batches) == 3
    for each in others:
        runner.run(each.close())


def received(receiver: Receiver) -> int:
    return sum(map(len, receiver.batches))


def test_a_batch_that_was_not_read_to_its_end_is_sent_again(
    store: Store, opened: Database, runner: asyncio.Runner, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.resets = 1
    for number in range(5):
        runner.run(store.add(analysis(number), {}))
    forward(runner, [Forwarder(opened, ("localhost", receiver.port), tmp_path)], lambda: received(receiver) > 0)
    assert [int(event["id"]) for event in events(receiver.batches[0])] == [1, 2, 3, 4, 5]
    assert receiver.resets == 0


def test_nothing_is_sent_to_a_server_that_the_authority_has_not_signed(
    store: Store, opened: Database, runner: asyncio.Runner, receiver: Receiver, tmp_path: Path
) -> None:
    runner.run(store.add(analysis(1), {}))
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    with pytest.raises(TimeoutError):
        forward(
            runner,
            [Forwarder(opened, ("localhost", receiver.port), tmp_path)],
            lambda: received(receiver) > 0,
            seconds=3,
        )
    assert receiver.batches == []


def test_a_folder_without_what_tls_needs_is_said(tmp_path: Path) -> None:
    database = Database("sqlite://")
    with pytest.raises(SettingsError, match=r"DOKUEI_AUDIT_SYSLOG_TLS is a folder with ca\.crt.*No such file"):
        Forwarder(database, ("localhost", 6514), tmp_path)
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"ca\.crt"):
        Forwarder(database, ("localhost", 6514), tmp_path)
