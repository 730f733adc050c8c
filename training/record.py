"""The record of a training run, which travels in the archive as `training.json`."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import platform
import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .datasets import Images

RECORD_FILE = "training.json"
PACKAGES = ("torch", "torchvision", "timm", "monai", "segmentation-models-pytorch", "numpy", "pillow")
PREFIX = 8
"""Bytes kept of each image's SHA-256: enough to tell 10^4 images from others, at a quarter of the size."""


def of_a_run(arguments: dict[str, Any], recipe: dict[str, Any], train: Images) -> dict[str, Any]:
    """Arguments, recipe, data, code and versions: what is needed to do the same again."""
    return {
        "arguments": arguments,
        "recipe": recipe,
        "data": {
            "images": len(train),
            "patients": len(np.unique(train.patients)),
            "sha256": digest_of(train.digests),
            "trained_on": _pack(train.digests),
        },
        "code": _commit(),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
    }


def digest_of(digests: NDArray[np.str_]) -> str:
    """One digest of a set of images, whatever their order and place."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def trained_on(record: dict[str, Any], digests: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which of the images, by the SHA-256 of their files, the model of `record` learned from."""
    known = base64.b64decode(record["data"]["trained_on"])
    learned = {known[start : start + PREFIX] for start in range(0, len(known), PREFIX)}
    return np.array([bytes.fromhex(digest)[:PREFIX] in learned for digest in digests], dtype=bool)


def _pack(digests: NDArray[np.str_]) -> str:
    return base64.b64encode(b"".join(bytes.fromhex(digest)[:PREFIX] for digest in sorted(digests))).decode()


def _commit() -> str:
    """The commit of the code, marked where training or handlers differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

    commit = git("rev-parse", "HEAD") or "not in a git repository"
    return f"{commit}-changed" if git("status", "--porcelain", "training", "handlers") else commit
