"""The build context: what .dockerignore lets through, with the same times in every working copy.

A builder takes a step from its cache only where the copied files are those of last time, their times included; Git
gives a file the time of its checkout.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TIME = 315532800
"""Seconds: the start of 1980, before which the format of wheels knows no time."""
IGNORED = shutil.ignore_patterns("__pycache__")


def let_through(root: Path) -> list[str]:
    """The patterns of what .dockerignore lets into a build."""
    lines = (root / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def copy(root: Path, folder: Path) -> None:
    """Copy the build context of the repository in `root` into a folder that does not exist yet."""
    folder.mkdir()
    for pattern in let_through(root):
        for source in root.glob(pattern):
            target = folder / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=IGNORED)
            else:
                shutil.copy(source, target)
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (TIME, TIME))
