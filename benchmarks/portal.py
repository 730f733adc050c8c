"""The portal in Chromium with WebGL in software: sizes, Lighthouse, slices to paint, frames of the point cloud.

    python benchmarks/portal.py                # or: make portal-bench
    python benchmarks/portal.py --json

Lighthouse comes by npx. Times are of this machine at this moment, the browser and all servers beside each other.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import struct
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from analysis import running
from playwright.sync_api import Route, ViewportSize, sync_playwright

from router.samples import write_samples

ROOT = Path(__file__).parent.parent
DIST = ROOT / "portal/dist"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
]  # fmt: skip
LIGHTHOUSE = "lighthouse@12.8.2"
SLICES = 24
SCREEN: ViewportSize = {"width": 1280, "height": 800}

# Milliseconds from a key press to the frame after the one that shows the other slice, for each of the presses.
SLICE_TO_PAINT = """async presses => {
  const stack = document.querySelector('.pane');
  const painted = () => new Promise(done => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  const shown = () => stack.querySelector('canvas').getAttribute('aria-label');
  const times = [];
  for (let n = 0; n < presses; n += 1) {
    const key = Math.floor(n / 20) % 2 ? 'ArrowUp' : 'ArrowDown';
    const before = shown();
    const start = performance.now();
    stack.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    while (shown() === before) await new Promise(done => setTimeout(done));
    await painted();
    times.push(performance.now() - start);
  }
  return times;
}"""

# Frames a second while the cloud is turned on each of them; reading a pixel waits until the frame is drawn.
FRAMES = """async seconds => {
  const space = document.querySelector('.space');
  const gl = space.querySelector('canvas').getContext('webgl2');
  const pixel = new Uint8Array(4);
  const end = performance.now() + seconds * 1000;
  let frames = 0;
  while (performance.now() < end) {
    space.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    await new Promise(requestAnimationFrame);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    frames += 1;
  }
  return frames / seconds;
}"""


def cloud(count: int) -> bytes:
    """A point cloud of `count` points in a ball, a tenth of them tumour (docs/api.md, "The point cloud")."""
    random = np.random.default_rng(0)
    points = random.normal(size=(count, 3))
    points *= 80 * random.random((count, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    slices = np.clip((points[:, 2] + 80) / 160 * SLICES, 0, SLICES - 1).astype("<u2")
    kinds = (np.arange(count) >= 0.9 * count).astype("u1")
    header = b"DKPC" + struct.pack("<III", 1, count, SLICES)
    return header + points.astype("<f4").tobytes() + slices.tobytes() + kinds.tobytes()


def sizes() -> dict[str, float]:
    """Kilobytes of JavaScript after gzip: what is loaded first, and the 3-D view."""

    def kilobytes(files: list[Path]) -> float:
        return sum(len(gzip.compress(file.read_bytes())) for file in files) / 1000

    first = re.findall(r'/static/(assets/[^"]+\.js)', (DIST / "index.html").read_text())
    return {
        "first_js_kb": kilobytes([DIST / path for path in first]),
        "cloud_js_kb": kilobytes(list((DIST / "assets").glob("CloudView-*.js"))),
    }


def lighthouse(url: str, folder: Path) -> dict[str, float]:
    """Lighthouse's scores of the start page, from 0 to 100."""
    report = folder / "lighthouse.json"
    command = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json", f"--output-path={report}"]
    flags = f"--chrome-flags=--headless=new {' '.join(ARGUMENTS)}"
    subprocess.run(
        [*command, flags, "--only-categories=performance,accessibility", "--preset=desktop"],
        check=True,
        env={**os.environ, "CHROME_PATH": CHROMIUM},
        stdout=subprocess.DEVNULL,
    )
    scores = json.loads(report.read_text())["categories"]
    return {f"lighthouse_{name}": 100 * scores[name]["score"] for name in ("performance", "accessibility")}


def send(body: bytes, route: Route) -> None:
    """Answer with `body`."""
    route.fulfill(body=body)


def measure(url: str, sample: bytes) -> dict[str, float]:
    """Slice to paint, and frames a second of clouds of 50,000 and 200,000 points."""
    study = httpx.post(f"{url}/api/analyses", files={"files": sample}, timeout=60, trust_env=False).json()["id"]
    figures = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport=SCREEN)
        page.goto(f"{url}/studies/{study}")
        page.get_by_role("slider", name="Slice").press("Home")
        page.wait_for_load_state("networkidle")
        times = page.evaluate(SLICE_TO_PAINT, 200)
        figures |= {
            "slice_to_paint_p50_ms": np.percentile(times, 50),
            "slice_to_paint_p95_ms": np.percentile(times, 95),
        }
        page.close()
        for count in (50_000, 200_000):
            page = browser.new_page(viewport=SCREEN)
            page.route("**/points.bin", partial(send, cloud(count)))
            page.goto(f"{url}/studies/{study}")
            page.wait_for_selector(".stage canvas")
            page.wait_for_load_state("networkidle")
            figures[f"cloud_{count // 1000}k_frames_per_s"] = page.evaluate(FRAMES, 5)
            page.close()
        browser.close()
    return {name: float(value) for name, value in figures.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Sizes and speed of the portal.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_samples(folder)
        with running(folder / "data", None) as url:
            figures = {
                **sizes(),
                **lighthouse(url, folder),
                **measure(url, (folder / "brain-mri.zip").read_bytes()),
                "load_average": os.getloadavg()[0],
            }
    if given.json:
        print(json.dumps(figures))
        return
    print("The portal, in Chromium with WebGL in software:")
    for figure, value in figures.items():
        print(f"  {figure:28} {value:8.1f}")


if __name__ == "__main__":
    main()
