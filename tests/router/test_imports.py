"""The router stays light."""

from __future__ import annotations

import subprocess
import sys

from paths import ROOT

HEAVY = {"torch", "onnxruntime", "ts", "kserve", "pandas", "matplotlib", "timm", "monai"}


def test_the_router_loads_neither_torch_nor_onnx_runtime() -> None:
    program = (
        "import sys, router.app, router.local, router.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "fastapi" in loaded
    assert not loaded & HEAVY
