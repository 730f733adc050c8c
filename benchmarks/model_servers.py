"""TorchServe and the light server side by side: start to first answer, and latency of one image at concurrency 1.

    python benchmarks/model_servers.py
    python benchmarks/model_servers.py --runs 10 --requests 200 --json

Each model has a process of its own, as in a pod. Both servers run the same archive with the same number of threads.
Times are of this machine at this moment, the load average is printed with them; the ratios travel further.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from handlers.contract import oip
from handlers.contract.archive import load_models
from handlers.contract.card import Card
from router.local import free_port

RUNTIMES = {"light": "handlers.server", "torchserve": "handlers.torchserve"}
HOST = "127.0.0.1"
START_SECONDS = 180
WARM_UP = 5


def one_image(card: Card) -> oip.Message:
    """A request with one image of noise."""
    size = card.input
    noise = np.random.default_rng(0).integers(0, 256, (1, size.height, size.width, size.channels), np.uint8)
    return oip.encode_request({"images": noise})


def answers(client: httpx.Client, url: str, message: oip.Message) -> bool:
    """Whether the model answered one request."""
    try:
        return client.post(url, content=message.body, headers=message.headers).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def serving(runtime: str, card: Card, archive: Path, client: httpx.Client) -> Iterator[tuple[str, float]]:
    """Start a server and end it.

    Yields:
        The URL of inference, and the seconds from the start of the process to its first answer.
    """
    port = free_port()
    url = f"http://{HOST}:{port}/v2/models/{card.name}/infer"
    message = one_image(card)
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", RUNTIMES[runtime], str(archive), "--port", str(port)], stdout=log, stderr=log
        )
        try:
            while not answers(client, url, message):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    log.seek(0)
                    raise SystemExit(f"error: {runtime} did not start:\n{log.read().decode(errors='replace')}")
                time.sleep(0.01)
            yield url, time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def latencies(client: httpx.Client, url: str, message: oip.Message, requests: int) -> list[float]:
    """Seconds of each of `requests` requests, one after the other, after a few that do not count."""
    seconds = []
    for _ in range(WARM_UP + requests):
        started = time.perf_counter()
        client.post(url, content=message.body, headers=message.headers).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return seconds[WARM_UP:]


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in seconds."""
    return {"median": float(np.median(seconds)), "p95": float(np.percentile(seconds, 95)), "n": len(seconds)}


def measure(store: Path, runs: int, requests: int) -> list[dict[str, Any]]:
    """Measure every model of the store, the two servers in turns; one row a model and figure, times in seconds."""
    rows = []
    with httpx.Client(timeout=60) as client:
        for card, archive in load_models(store):
            starts: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
            answered: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
            for _ in range(runs):
                for runtime in RUNTIMES:
                    with serving(runtime, card, archive, client) as (url, seconds):
                        starts[runtime].append(seconds)
                        answered[runtime] += latencies(client, url, one_image(card), max(1, requests // runs))
            for figure, values in (("start to first answer", starts), ("one image", answered)):
                measured = {runtime: summary(values[runtime]) for runtime in RUNTIMES}
                ratio = measured["torchserve"]["median"] / measured["light"]["median"]
                rows.append({"model": card.name, "figure": figure, **measured, "torchserve / light": ratio})
    return rows


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Compare the two model servers.")
    parser.add_argument("--store", type=Path, default=Path("model-store"), help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=5, help="starts of each server and model (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100, help="requests to each in all (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, times in seconds")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    rows = measure(given.store, given.runs, given.requests)
    machine = {
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "load average before": round(load, 2),
    }
    if given.json:
        print(json.dumps({**machine, "rows": rows}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'milliseconds: median (p95)':<48}{'light':>18}{'torchserve':>18}{'ratio':>8}")
    for row in rows:
        times = [f"{1000 * row[name]['median']:.1f} ({1000 * row[name]['p95']:.1f})" for name in RUNTIMES]
        print(f"{row['model'] + ', ' + row['figure']:<48}{times[0]:>18}{times[1]:>18}{row['torchserve / light']:>8.2f}")


if __name__ == "__main__":
    main()
