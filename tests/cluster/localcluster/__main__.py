"""Commands: see `python -m localcluster --help`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from handlers.contract.errors import DokueiError

from . import addons, configuration, images, machine, programs
from .errors import ClusterError
from .layout import KUBECONFIG, PROGRAMS, ROOT

TEST_SECONDS = 900
"""What one test may take: whole releases come and go in it."""


def build() -> None:
    """Build the programs and images that are missing or no longer what they are made of."""
    programs.build()
    images.build()


def up() -> None:
    """Build what is missing, start the cluster, and install what it needs."""
    started = time.monotonic()
    missing = configuration.missing_packages()
    if missing:
        raise ClusterError(f"this machine lacks Debian's packages {' '.join(missing)}; `apt-get install` them")
    build()
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


def test(arguments: Sequence[str], kubeconfig: Path | None) -> int:
    """Run the tests, or those that `arguments` name, on a new cluster, and take it away again; or on another's."""
    named = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    command = [
        *(sys.executable, "-m", "pytest", f"--timeout={TEST_SECONDS}"),
        *([] if named else ["tests/cluster"]),
        *arguments,
    ]
    if kubeconfig is not None:
        programs.build(("kubectl",))
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig.resolve(strict=True))}
        return subprocess.run(command, check=False, env=environment).returncode
    up()
    try:
        return subprocess.run(machine.inside(command), check=False, env=machine.environment()).returncode
    finally:
        machine.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m localcluster", description="A Kubernetes on this machine, for tests."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build its programs and images, and start nothing")
    commands.add_parser("up", help="start a cluster with KServe, and leave it running")
    commands.add_parser("down", help="end it, and take away what it left")
    testing = commands.add_parser("test", help="start one, run the tests on it, and end it")
    testing.add_argument("--kubeconfig", type=Path, help="of another cluster with KServe, to run them on instead")
    testing.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for pytest")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    os.chdir(ROOT)
    if given.command == "test":
        return test(given.arguments, given.kubeconfig)
    {"build": build, "up": up, "down": machine.stop}[given.command]()
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DokueiError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
