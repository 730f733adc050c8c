"""Install Python packages with uv, from where this machine's pip would take them.

    python images/install.py --constraint constraints.txt PACKAGE …      # arguments of `uv pip install`

uv is several times as fast as pip, but does not read pip's configuration, and there a hospital names its own index,
proxy and certificates. This needs nothing but pip and uv beside it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

SECTIONS = ("global", "install", ":env:")
"""Of pip's configuration; the later ones win."""
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
    "cert": "SSL_CERT_FILE",
}
"""uv's names of the settings that say where packages come from."""


def listed() -> str:
    """What pip is configured to here, as `pip config list` tells it."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def settings(listing: str) -> dict[str, str]:
    """pip's settings by name, from the answer of `pip config list`."""
    known: dict[str, str] = {}
    for section in SECTIONS:
        for line in listing.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                known[key.removeprefix(f"{section}.").removeprefix("default-")] = ast.literal_eval(value)
    return known


def environment(listing: str) -> Mapping[str, str]:
    """uv's variables for what `pip config list` answered."""
    known = settings(listing)
    given = {variable: " ".join(known[name].split()) for name, variable in VARIABLES.items() if name in known}
    if "UV_FIND_LINKS" in given:  # The one list that uv wants with commas.
        given["UV_FIND_LINKS"] = given["UV_FIND_LINKS"].replace(" ", ",")
    # pip takes the best version of all indexes; uv would take it from the first that has the package.
    return {**given, "UV_INDEX_STRATEGY": "unsafe-best-match"}


def main() -> int:
    """Run `uv pip install` with this program's arguments."""
    command = [sys.executable, "-m", "uv", "pip", "install", *sys.argv[1:]]
    return subprocess.run(command, check=False, env={**environment(listed()), **os.environ}).returncode


if __name__ == "__main__":
    raise SystemExit(main())
