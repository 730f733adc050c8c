"""What tests of rollouts share: the program as an operator has it, and a plan of few studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

PLAN: dict[str, Any] = {
    "steps": [0, 50, 100],
    "error": 0.1,
    "gates": {
        "errors": {"acceptable": 0.001, "unacceptable": 0.02},
        # On a node of two processors one request in many is slow, whoever answers.
        "latency": {"acceptable": 0.4, "unacceptable": 0.9},
        "flips": {"acceptable": 0.001, "unacceptable": 0.02},
    },
}
_ENTRY = "import sys; sys.modules['kubernetes_validate'] = None; from router.cli import entry; entry()"
"""Without what only tests have installed: the kubernetes client imports it where it is there, which takes 2 s."""


def dokuei(*arguments: str) -> list[str]:
    """The command `dokuei` with these arguments."""
    return [sys.executable, "-c", _ENTRY, *arguments]


def write_plan(folder: Path) -> Path:
    """The plan as a file in a folder."""
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(PLAN))
    return file
