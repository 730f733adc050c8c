"""Lock what is installed now: versions, and the digests of their files, which uv compares before it installs one.

    python -m images.lock       # or: make lock

Without a digest of it, a file that somebody exchanges in an index would be installed like the one that was tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from images.install import environment, listed

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def main() -> int:
    """Write constraints.txt."""
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"], check=True, capture_output=True, text=True
    )
    # No file may name the index that these came from: `--no-annotate` and `--no-header` keep to versions and digests.
    options = (
        "--quiet",
        "--no-deps",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
        "--output-file",
        CONSTRAINTS,
    )
    return subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", *options, "-"],
        input=frozen.stdout,
        text=True,
        check=False,
        env={**environment(listed()), **os.environ},
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
