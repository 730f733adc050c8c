"""A CPU and a GPU side by side: start to first answer, latency of one image and of a series, and whether they agree.

    python benchmarks/devices.py                          # on a machine with a GPU and the `gpu` extra
    python benchmarks/devices.py --devices cpu --json

Each device has a process of its own, as in a pod, and each model is loaded as a model server loads it: its golden set
must come out, or there is no row. Times are without HTTP.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from handlers.contract.archive import load_models
from handlers.server import load_handler
from handlers.settings import PROVIDERS

SERIES = 25
"""Slices of an MRI series, no multiple of what one run of a graph takes; X-rays are measured in the same number."""
WARM_UP = 5


def milliseconds(handler: Any, images: np.ndarray[Any, Any], repeats: int) -> float:
    """Median time of one prediction."""
    taken = []
    for _ in range(WARM_UP + repeats):
        started = time.perf_counter()
        handler.predict(images)
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken[WARM_UP:]))


def measure_here(archive: Path, repeats: int) -> dict[str, Any]:
    """Load an archive on the device of this process's environment, and time it."""
    started = time.perf_counter()
    handler = load_handler(archive)
    size = handler.card.input
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (SERIES, size.height, size.width, size.channels), np.uint8)
    handler.predict(images[:1])
    first = time.perf_counter() - started
    row = {"load to first answer, s": first, "one image, ms": milliseconds(handler, images[:1], repeats)}
    row[f"{SERIES} images, ms"] = milliseconds(handler, images, max(3, repeats // 10))
    return row


def measure(archive: Path, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """The same in a new process, on a device."""
    done = subprocess.run(
        [sys.executable, __file__, "--here", str(archive), "--repeats", str(repeats)],
        env=os.environ | {"DOKUEI_EXECUTION_PROVIDER": device, "DOKUEI_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"error: {archive} on {device} failed, see above")
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Compare a CPU and a GPU.")
    parser.add_argument("--store", type=Path, default=Path("model-store"), help="default: %(default)s")
    parser.add_argument(
        "--devices", nargs="+", default=["cpu", "cuda"], choices=sorted(PROVIDERS), help="default: cpu cuda"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=100, help="of one image (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure_here(given.here, given.repeats)))
        return
    rows = [
        {"model": card.name, "device": device, **measure(archive, device, given.threads, given.repeats)}
        for card, archive in load_models(given.store)
        for device in given.devices
    ]
    if given.json:
        print(json.dumps({"threads": given.threads, "rows": rows}, indent=2))
        return
    figures = list(rows[0])[2:]
    print(f"{given.threads} CPU threads")
    print(f"{'':<34}" + "".join(f"{figure:>26}" for figure in figures))
    for row in rows:
        print(f"{row['model'] + ', ' + row['device']:<34}" + "".join(f"{row[figure]:>26.2f}" for figure in figures))


if __name__ == "__main__":
    main()
