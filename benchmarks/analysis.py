"""From an X-ray to its result with heat map, through the router, with everything but the client on one core.

    python benchmarks/analysis.py
    python benchmarks/analysis.py --requests 500 --json

The upload is a 224 x 224 JPEG without DICOM tags, so it costs two inferences (modality, then pneumonia), decoding in a
child process, and a database transaction. Times are of this machine at this moment; the ratio to the two bare
inferences, measured in turn with them, travels further.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from router.decode.decoder import Decoder
from router.decode.limits import UploadedFile
from router.local import free_port
from router.samples import write_samples

WARM_UP = 10


def xray_jpeg(folder: Path) -> bytes:
    """The synthetic X-ray as a small JPEG, decoded by the router's own decoder."""

    async def decode() -> np.ndarray:
        decoder = Decoder()
        await decoder.start()
        study = await decoder.decode([UploadedFile(folder / "chest-xray.dcm", "x")])
        await decoder.close()
        return study.images[0]

    buffer = io.BytesIO()
    Image.fromarray(asyncio.run(decode())).resize((224, 224)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@contextmanager
def running(data: Path, core: int | None) -> Iterator[str]:
    """`dokuei run`, with all its processes on one core where one is named; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "router.cli", "run", "--port", str(free_port()), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    assert process.stdout is not None
    try:
        yield next(match[0] for line in process.stdout if (match := re.search(r"http://[\d.:]+", line)))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def measure(url: str, picture: bytes, requests: int) -> dict[str, float]:
    """Milliseconds of whole requests and of their inference stages."""
    whole, stages = [], []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for number in range(WARM_UP + requests):
            started = time.perf_counter()
            response = client.post("/api/analyses", files={"files": picture})
            client.get(f"{response.headers['location']}/heatmap.png").raise_for_status()
            if number >= WARM_UP:
                whole.append((time.perf_counter() - started) * 1000)
                timings = response.json()["timings_ms"]
                stages.append(timings["dispatch"] + timings["inference"])
    return {
        "p50_ms": float(np.percentile(whole, 50)),
        "p95_ms": float(np.percentile(whole, 95)),
        "both_inferences_p50_ms": float(np.percentile(stages, 50)),
        "ratio_of_medians": float(np.median(whole) / np.median(stages)),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Latency of an X-ray through the router, on one core.")
    parser.add_argument("--requests", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_samples(folder)
        picture = xray_jpeg(folder)
        with running(folder / "data", cores[0]) as url:
            os.sched_setaffinity(0, {cores[-1]})
            figures = measure(url, picture, given.requests)
    if given.json:
        print(json.dumps(figures))
        return
    print(f"X-ray upload to result and heat map, {given.requests} requests, servers on one core:")
    for figure, value in figures.items():
        print(f"  {figure:24} {value:8.2f}")


if __name__ == "__main__":
    main()
