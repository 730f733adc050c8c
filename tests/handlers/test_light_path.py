"""The light server starts fast because it imports little."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from processes import Served, answers, command, environment, free_port, running

from handlers.contract.card import load_card

HEAVY = {"torch", "torchvision", "ts", "kserve", "pandas", "scipy", "sklearn", "timm", "monai", "fastapi", "onnx"}


def started(arguments: list[str], served: Served, log: Path) -> float:
    """Seconds from the start of the process to its first answer."""
    begun = time.monotonic()
    with running(arguments, answers(served), log):
        return time.monotonic() - begun


def test_serving_imports_nothing_heavy(store: Path, tmp_path: Path) -> None:
    port = free_port()
    served = Served(load_card(store / "modality"), f"http://127.0.0.1:{port}")
    python, *rest = command("handlers.server", store / "modality", "--port", port)
    started([python, "-X", "importtime", *rest], served, tmp_path / "log")
    imported = {
        name.split(".")[0]
        for name in re.findall(r"^import time:.*\| +(\S+)$", (tmp_path / "log").read_text(), re.MULTILINE)
    }
    assert {"onnxruntime", "starlette", "uvicorn"} <= imported  # Or the log was not understood.
    assert imported & HEAVY == set()


def test_the_first_answer_comes_soon_after_the_imports_it_needs(store: Path, tmp_path: Path) -> None:
    """As a ratio to bare imports, measured in turns, because the machine may be busy."""
    port = free_port()
    served = Served(load_card(store / "modality"), f"http://127.0.0.1:{port}")
    bare = [sys.executable, "-c", "import onnxruntime, starlette.applications, uvicorn"]
    ratios = []
    for _ in range(5):
        begun = time.monotonic()
        subprocess.run(bare, check=True, env=environment(ORT_DISABLE_TELEMETRY="1"))
        imports = time.monotonic() - begun
        arguments = command("handlers.server", store / "modality", "--port", port)
        ratios.append(started(arguments, served, tmp_path / "log") / imports)
    assert statistics.median(ratios) < 6, ratios
