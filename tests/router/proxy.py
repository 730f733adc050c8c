"""oauth2-proxy as the chart starts it in the router's pod, on loopback."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from identity import Provider
from paths import ROOT
from rendering import CHART, template, values_of

from router.local import free_port

PROGRAM = ROOT / ".cache/bin/oauth2-proxy"
START_SECONDS = 30


def arguments(provider: Provider, router: httpx.Client, port: int) -> list[str]:
    """Those of the rendered container, but for what differs on loopback: three addresses."""
    changes = {
        "--oidc-issuer-url": provider.issuer,
        "--http-address": f"127.0.0.1:{port}",
        "--upstream": str(router.base_url),
    }
    (deployment,) = [
        found
        for found in template(CHART, *values_of("everything"))
        if (found["kind"], found["metadata"]["name"]) == ("Deployment", "dokuei-router")
    ]
    (container,) = [each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == "oidc"]
    words = [argument.partition("=") for argument in container["args"]]
    assert changes.keys() <= {name for name, _, _ in words}
    return [f"{name}={changes.get(name, value)}" for name, _, value in words]


@contextmanager
def proxy(provider: Provider, router: httpx.Client, log: Path) -> Iterator[str]:
    """Run it before a router, and give its address."""
    assert PROGRAM.is_file(), f"{PROGRAM} is missing; `make test` builds it"
    port = free_port()
    environment = {
        "OAUTH2_PROXY_CLIENT_SECRET": "secret",
        "OAUTH2_PROXY_COOKIE_SECRET": secrets.token_hex(16),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, *arguments(provider, router, port)], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://localhost:{port}"
            _wait_until_ready(f"{address}/ready", process, log)
            yield address
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.ConnectError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
