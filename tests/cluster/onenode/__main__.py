"""Commands: see `python -m onenode --help`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from handlers.contract.errors import DokueiError

from . import addons, configuration, images, machine, programs
from .errors import ClusterError
from .layout import KUBECONFIG, PROGRAMS, ROOT


def up() -> None:
    """Build what is missing, start the cluster, and install what it needs."""
    started = time.monotonic()
    missing = configuration.missing_packages()
    if missing:
        raise ClusterError(f"this machine lacks Debian's packages {' '.join(missing)}; `apt-get install` them")
    programs.build()
    images.build()
    machine.start()
    try:
        addons.wait_for_node()
        images.load()
        addons.install()
    except BaseException:
        machine.stop()
        raise
    process = machine.running()
    assert process is not None
    print(f"the cluster is ready after {time.monotonic() - started:.0f} s; it has a network of its own:")
    print(f"  nsenter --target={process.pid} --net env KUBECONFIG={KUBECONFIG} {PROGRAMS / 'kubectl'} get pods -A")


def test(arguments: list[str]) -> int:
    """Run the tests on a new cluster, and take it away again."""
    up()
    try:
        command = [sys.executable, "-m", "pytest", "tests/cluster", *arguments]
        return subprocess.run(machine.inside(command), check=False, cwd=ROOT, env=machine.environment()).returncode
    finally:
        machine.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m onenode", description="A Kubernetes of one node, for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start a cluster with KServe, and leave it running")
    commands.add_parser("down", help="end it, and take away what it left")
    testing = commands.add_parser("test", help="start one, run the tests on it, and end it")
    testing.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for pytest")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    os.chdir(ROOT)
    if given.command == "test":
        return test(given.arguments)
    (up if given.command == "up" else machine.stop)()
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DokueiError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
