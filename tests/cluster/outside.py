"""An address outside the cluster: a network namespace of its own behind a link, as the internet would be."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from localcluster.machine import run_inside, running
from release import eventually

ADDRESS = "203.0.113.10"
"""Of the block that RFC 5737 keeps for documentation."""
GATEWAY = "203.0.113.1"
PORT = 8443
NAMESPACE = "outside"


def _listens() -> bool:
    try:
        socket.create_connection((ADDRESS, PORT), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def outside_server() -> Iterator[None]:
    """Listens at ADDRESS and PORT while it is entered."""
    run_inside("ip", "netns", "add", NAMESPACE)
    run_inside("ip", "link", "add", "outside0", "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    run_inside("ip", "address", "add", f"{GATEWAY}/24", "dev", "outside0")
    run_inside("ip", "link", "set", "outside0", "up")
    for command in (
        ("address", "add", f"{ADDRESS}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("route", "add", "default", "via", GATEWAY),
    ):
        run_inside("ip", "-n", NAMESPACE, *command)
    process = running()
    assert process is not None
    serve = [sys.executable, "-m", "http.server", "--bind", ADDRESS, str(PORT)]
    server = subprocess.Popen(["nsenter", f"--net=/proc/{process.pid}/root/run/netns/{NAMESPACE}", *serve])
    try:
        eventually(_listens, "the server outside", 20)
        yield
    finally:
        server.terminate()
        server.wait()
        run_inside("ip", "link", "del", "outside0")
        run_inside("ip", "netns", "del", NAMESPACE)
