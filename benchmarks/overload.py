"""What a router does with ten times the uploads that it can read: how many it answers, and how long those take.

python benchmarks/overload.py [--seconds 20]

The same router is asked by as few clients as keep it busy, then by ten times as many: first in the minute in which a
rush waits in line, then when it goes on. One that is told to come again does so when it was told to, as urllib3's Retry
does; `--impolite` ones come again at once, and cost this machine, whose processors they share with the router, what the
router would read with.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter

import httpx
import numpy as np

from router.room import RUSH_SECONDS
from router.samples import samples_with_content

WORKERS = 2
BUSY = WORKERS * 2
TIMES = 10


def ask(url: str, clients: int, seconds: float, upload: bytes, impolite: bool) -> tuple[list[float], Counter[int]]:
    """Milliseconds of the uploads that were analysed, and how many ended with which status."""
    taken: list[float] = []
    statuses: Counter[int] = Counter()
    end = time.monotonic() + seconds

    def client() -> None:
        with httpx.Client(timeout=120, trust_env=False) as http:
            while time.monotonic() < end:
                began = time.perf_counter()
                answer = http.post(f"{url}/api/analyses", files={"files": upload})
                statuses[answer.status_code] += 1
                if answer.status_code == 201:
                    taken.append((time.perf_counter() - began) * 1000)
                elif not impolite:
                    time.sleep(int(answer.headers["Retry-After"]))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, statuses


def main() -> None:
    """Ask, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a running router, such as `make run` starts", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--impolite", action="store_true", help="come again at once")
    given = parser.parse_args()
    upload = next(content for sample, content in samples_with_content() if sample.modality == "chest-xray")
    print("| clients | seconds | answered | told to come again | others | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for clients, seconds in ((BUSY, given.seconds), (BUSY * TIMES, RUSH_SECONDS), (BUSY * TIMES, given.seconds)):
        taken, statuses = ask(given.url, clients, seconds, upload, given.impolite)
        others = sum(statuses.values()) - statuses[201] - statuses[503]
        p50, p99 = np.quantile(taken, (0.5, 0.99))
        print(
            f"| {clients} | {seconds:.0f} | {statuses[201]} | {statuses[503]} | {others} | {p50:.0f} | {p99:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
