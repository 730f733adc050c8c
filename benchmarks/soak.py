"""`make run` for a long time, while its model servers are killed: is every answer the right patient's, is any lost?

    python benchmarks/soak.py --minutes 20 --kills 100
    python benchmarks/soak.py --minutes 20 --kills 0

Each client sends an X-ray that nobody else has, reads result, picture and heat map back, and compares them with what it
got before any fault. What fails is asked once more, after the wait that the router names. The last line of the table
tells whether memory and descriptors of the router have grown from the first third of the time to the last.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from analysis import running, xray_jpeg
from PIL import Image

CLIENTS = 4
STUDIES_A_SECOND = 5
"""Each is four requests: upload, picture, heat map, deletion."""
SAMPLE_SECONDS = 2
SERVER = "handlers.server"


@dataclass
class Seen:
    """What came of it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    back: list[float] = field(default_factory=list)
    """Seconds from a kill until the server's port answers again."""
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


class Client:
    """One with an X-ray of its own."""

    def __init__(self, url: str, number: int, xray: bytes) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        pixels = np.asarray(Image.open(io.BytesIO(xray)).convert("L")).copy()
        pixels[8:16, 8:16] = np.random.default_rng(number).integers(0, 255, (8, 8))  # Its fingerprint.
        pixels = np.roll(pixels, 3 * number, 1)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        self._upload = buffer.getvalue()
        self._due = self._read(self._send().json())

    def study(self) -> str:
        """Send, read back and delete; what came of it."""
        again = ""
        try:
            answer = self._send()
        except httpx.TransportError:
            return "lost"
        if answer.status_code in (502, 503):
            time.sleep(int(answer.headers.get("Retry-After", 2)))
            answer, again = self._send(), " after one retry"
        if answer.status_code != 201:
            return f"lost ({answer.status_code})"
        document = answer.json()
        right = self._read(document) == self._due
        self._http.delete(f"/api/analyses/{document['id']}")
        return f"right{again}" if right else "wrong"

    def _send(self) -> httpx.Response:
        return self._http.post("/api/analyses", files={"files": self._upload})

    def _read(self, analysis: dict[str, object]) -> tuple[object, ...]:
        """Result, picture and heat map."""
        path = f"/api/analyses/{analysis['id']}"
        pictures = (self._http.get(f"{path}/{name}.png").content for name in ("images/0", "heatmap"))
        return (str(analysis["result"]), *(hashlib.sha256(picture).hexdigest() for picture in pictures))


def every(seconds: float, ending: threading.Event, act: Callable[[], None]) -> threading.Thread:
    """Act so often until it ends."""

    def go() -> None:
        next_ = time.monotonic() + seconds
        while not ending.wait(max(0, next_ - time.monotonic())):
            next_ += seconds
            act()

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def kill_one(number: int, seen: Seen) -> None:
    """Kill a model server, each in turn, and wait until it answers again."""
    servers = sorted(
        (each for each in psutil.Process().children(recursive=True) if SERVER in each.cmdline()),
        key=lambda process: process.cmdline(),
    )
    server = servers[number % len(servers)]
    port = server.cmdline()[server.cmdline().index("--port") + 1]
    began = time.monotonic()
    server.kill()
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/v2/health/ready", trust_env=False)
            break
        except httpx.TransportError:
            time.sleep(0.02)
    seen.back.append(time.monotonic() - began)


def sample(seen: Seen) -> None:
    """Memory and descriptors of the router: `dokuei run` itself, without its children."""
    (router,) = (each for each in psutil.Process().children() if "router.cli" in each.cmdline())
    seen.memory.append(router.memory_info().rss)
    seen.descriptors.append(router.num_fds())


def soak(seconds: float, kills: int) -> Seen:
    """Run for so long."""
    seen, ending = Seen(), threading.Event()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), None) as url:
        xray = xray_jpeg(Path(folder) / "samples")
        clients = [Client(url, number, xray) for number in range(CLIENTS)]

        def work(client: Client) -> Callable[[], None]:
            return lambda: seen.outcomes.update([client.study()])

        threads = [every(CLIENTS / STUDIES_A_SECOND, ending, work(client)) for client in clients]
        threads.append(every(SAMPLE_SECONDS, ending, lambda: sample(seen)))
        end = time.monotonic() + seconds
        for number in range(kills):
            time.sleep(max(0, end - time.monotonic() - seconds * (1 - (number + 0.5) / kills)))
            kill_one(number, seen)
        time.sleep(max(0, end - time.monotonic()))
        ending.set()
        for thread in threads:
            thread.join()
    return seen


def grown(samples: list[int]) -> float:
    """The last third of the samples by the first."""
    third = len(samples) // 3
    return statistics.median(samples[-third:]) / statistics.median(samples[:third])


def main() -> int:
    """Run, print a Markdown table, and fail where an answer was wrong or too many were lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--kills", type=int, default=100, help="of model servers, spread over the time")
    given = parser.parse_args()
    seen = soak(given.minutes * 60, given.kills)
    studies = seen.outcomes.total()
    right = seen.outcomes["right"] + seen.outcomes["right after one retry"]
    print("| | |\n|---|---|")
    print(f"| studies of {CLIENTS} clients | {studies}, {studies / given.minutes / 60:.1f} a second |")
    for outcome, count in seen.outcomes.most_common():
        print(f"| {outcome} | {count} |")
    print(f"| right at once or after one retry | {right / studies:.2%} |")
    if seen.back:
        p50, p95 = np.quantile(seen.back, (0.5, 0.95))
        print(f"| a killed model server is back | p50 {p50:.1f} s, p95 {p95:.1f} s of {len(seen.back)} |")
    print(f"| router's memory, last third by first | {grown(seen.memory):.2f}, {seen.memory[-1] / 2**20:.0f} MiB |")
    print(f"| its descriptors | {grown(seen.descriptors):.2f}, {seen.descriptors[-1]} |")
    return 0 if seen.outcomes["wrong"] == 0 and right / studies >= 0.999 else 1


if __name__ == "__main__":
    raise SystemExit(main())
