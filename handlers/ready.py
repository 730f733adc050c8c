"""Whether TorchServe can answer for its models: what a readiness probe runs inside the container.

    python -m handlers.ready 8081        # its --management-port

TorchServe's /ping is healthy before any model is loaded, and its management API, which knows, listens on loopback.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

SECONDS = 3


def waited_for(port: int) -> str | None:
    """What is still waited for, in words; None where every model has a worker that is ready."""
    opener = build_opener(ProxyHandler({}))

    def ask(path: str) -> Any:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
            return json.load(answer)

    try:
        names = [model["modelName"] for model in ask("/models")["models"]]
        for name in names:
            if not any(
                worker["status"] == "READY" for version in ask(f"/models/{name}") for worker in version["workers"]
            ):
                return f"no worker of {name} is ready"
    except (URLError, OSError) as error:
        return f"the management API on port {port} does not answer: {error}"
    return None if names else "no model is registered yet"


def main() -> int:
    """Exit status 0 where TorchServe is ready; else 1, and why on standard error."""
    parser = argparse.ArgumentParser(prog="python -m handlers.ready", description="Whether TorchServe is ready.")
    parser.add_argument("port", type=int, help="its --management-port, on loopback")
    missing = waited_for(parser.parse_args().port)
    if missing is not None:
        print(missing, file=sys.stderr)
    return 0 if missing is None else 1


if __name__ == "__main__":
    raise SystemExit(main())
