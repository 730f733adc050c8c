"""`dokuei run` and `dokuei analyse`, as `make run` and `make analyse` start them, on both runtimes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from paths import ROOT

from router.local import free_port

DOKUEI = [sys.executable, "-m", "router.cli"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("DOKUEI_")}


@contextmanager
def running(runtime: str, data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A `dokuei run` that has said its address, which it does once every model has answered."""
    command = [*DOKUEI, "run", "--runtime", runtime, "--port", str(free_port()), "--data", str(data)]
    with (data.parent / f"{runtime}.err").open("w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if address := re.search(r"http://[\d.:]+", line):
                    yield address[0], process
                    break
            else:
                pytest.fail(f"it ended without an address: {Path(errors.name).read_text()}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            process.stdout.close()


def analyse(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DOKUEI, "analyse", *more, "--url", url], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )


def results(url: str, samples: Path) -> dict[str, Any]:
    answers = {}
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        for name in ("chest-xray.dcm", "chest-xray-opacity.dcm", "brain-mri.zip"):
            answer = client.post("/api/analyses", files={"files": (samples / name).read_bytes()})
            assert answer.status_code == 201, answer.text
            answers[name] = answer.json()
    return answers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The answers of both runtimes to the samples, by runtime; also that nothing of a run stays behind."""
    by_runtime = {}
    for runtime in ("light", "torchserve"):
        data = tmp_path_factory.mktemp(runtime) / "data"
        with running(runtime, data) as (url, process):
            by_runtime[runtime] = results(url, data / "samples")
            family = psutil.Process(process.pid).children(recursive=True)
            port = int(url.rpartition(":")[2])
        assert process.returncode == 0
        _, left = psutil.wait_procs(family, timeout=5)  # the decoder's fork server sees a moment later that we ended
        assert left == []
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    return by_runtime


@pytest.mark.timeout(600)
def test_both_runtimes_give_the_same_results(answers: dict[str, dict[str, Any]]) -> None:
    for name, light in answers["light"].items():
        torchserve = answers["torchserve"][name]
        assert light["model"]["runtime"] == "light"
        assert torchserve["model"]["runtime"] == "torchserve"
        if light["result"]["task"] == "classification":
            assert torchserve["result"]["probabilities"] == pytest.approx(light["result"]["probabilities"], abs=1e-4)
            regions = light["result"]["heatmap"]["regions"]
            assert torchserve["result"]["heatmap"]["regions"] == pytest.approx(regions, abs=1e-3)
        else:
            assert torchserve["result"] == light["result"]


def test_analyse_prints_the_answer_and_keeps_it_for_the_browser(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running("light", data) as (url, _):
        done = analyse(url, str(data / "samples/chest-xray.dcm"), "--language", "ja")
        assert done.returncode == 0, done.stderr
        for said in ("chest-xray", "chest-xray-pneumonia", "light", "研究用", f"{url}/studies/"):
            assert said in re.sub(r"\s+", "", done.stdout)
        refused = analyse(url, str(data / "samples/not-medical.png"))
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: No model accepts this image")
        listed = httpx.get(f"{url}/api/analyses", trust_env=False).json()["items"]
        assert [item["explanation"]["language"] for item in listed] == ["ja"]
        index = json.loads((data / "samples/index.json").read_text(encoding="utf-8"))
        assert len(index["items"]) == 4


def test_a_model_server_that_ended_is_started_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running("light", data) as (url, process), httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        xray = (data / "samples/chest-xray.dcm").read_bytes()

        def send() -> httpx.Response:
            return client.post("/api/analyses", files={"files": xray})

        assert send().status_code == 201
        for server in psutil.Process(process.pid).children():
            if "handlers.server" in server.cmdline():
                server.kill()
        refused = send()
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        deadline = time.monotonic() + 60
        while send().status_code != 201:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert "a model server ended, and is started again" in (tmp_path / "light.err").read_text()


def test_analyse_without_a_router_says_how_to_start_one(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"x")
    done = analyse(f"http://127.0.0.1:{free_port()}", str(file))
    assert done.returncode == 1
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*DOKUEI, "run", "--port", str(port), "--data", str(tmp_path)],
            cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr
