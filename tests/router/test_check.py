"""`dokuei check`: what `helm test` runs against an installed router."""

from __future__ import annotations

import subprocess
import sys

import httpx
from serving import StartRouter


def check(url: object, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router.cli", "check", "--url", str(url), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_every_sample_finds_its_model_and_leaves_no_study_behind(start_router: StartRouter) -> None:
    client = start_router()
    done = check(client.base_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{client.base_url} is ready",
        "chest-xray.dcm: chest-xray",
        "chest-xray-opacity.dcm: chest-xray",
        "brain-mri.zip: brain-mri",
        "not-medical.png: other",
    ]
    assert client.get("/api/analyses").json()["items"] == []


def test_a_model_that_is_missing_is_told_with_the_sample(
    start_router: StartRouter, light_servers: dict[str, str]
) -> None:
    client = start_router(model_endpoints={k: v for k, v in light_servers.items() if k != "brain-mri-tumour"})
    done = check(client.base_url)
    assert done.returncode == 1
    assert "brain-mri.zip was taken for other, and is brain-mri" in done.stderr


def test_health_alone_sends_nothing(start_router: StartRouter) -> None:
    client = start_router()
    done = check(client.base_url, "--health-only")
    assert (done.returncode, done.stdout) == (0, f"{client.base_url} is ready\n")


def test_a_router_without_models_or_none_at_all_is_told(start_router: StartRouter) -> None:
    not_ready = check(start_router(model_endpoints={}).base_url)
    assert (not_ready.returncode, "is not ready: no model is known yet" in not_ready.stderr) == (1, True)
    nobody = check(httpx.URL("http://127.0.0.1:9"))
    assert (nobody.returncode, "no router answers at" in nobody.stderr) == (1, True)
