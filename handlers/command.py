"""How both model servers run as a command: errors in one line, and an orderly end on a signal."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from .contract import signature
from .contract.archive import find_archive
from .contract.errors import DokueiError
from .settings import Settings

MOUNT_SECONDS = 60
"""How long a model's image may take to be mounted."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(main: Callable[[], int]) -> int:
    """Run `main` and return its exit status; 1 after a Dokuei error, which is printed in one line.

    SIGTERM and SIGINT raise SystemExit(0) in the main thread, so context managers remove folders and end processes.
    """
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        return main()
    except DokueiError as error:
        print(f"error: {'; '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
        return 1


def archive_at(path: Path, settings: Settings) -> Path:
    """The archive at `path`, waited for where it is mounted after the start, and signed where it has to be.

    Raises:
        ArchiveError: see `find_archive` and `signature.verify`.
        SettingsError: see `signature.public_keys`.
    """
    deadline = time.monotonic() + MOUNT_SECONDS
    while settings.mounted_later and not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    archive = find_archive(path)
    if keys := signature.public_keys(settings.trusted_keys):
        signature.verify(archive, keys)
    return archive


def _stop(_number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:  # A second signal must not cut off the end that the first one began.
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)
