"""The parent's side of one decoding process."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from router.errors import Overloaded, UndecodableImage

from . import child
from .limits import MIB, DecodeLimits, UploadedFile

PATIENCE = 10
"""How many times its limit a process may take by the clock, where others keep it from the processors."""

_context = multiprocessing.get_context("forkserver")
_lock = threading.Lock()  # multiprocessing looks at all children whenever one starts, and is not safe for threads there


class Worker:
    """A process that waits for the one upload of its life, forked from a server that has the libraries loaded.

    Raises:
        OSError: the system starts no more processes.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._pipe, far_end = _context.Pipe()
        with _lock:
            _context.set_forkserver_preload(["router.decode.preload"])
            self._process = _context.Process(target=child.main, args=(far_end, limits), daemon=True)
            self._process.start()
        far_end.close()

    def decode(self, files: Sequence[UploadedFile], folder: Path, seconds: float) -> bool:
        """Have `files` decoded; the answer lies in `folder` afterwards.

        Returns:
            False where the system had ended the process before it took the upload, which is no fault of the files.

        Raises:
            UndecodableImage: the process died of the files, or computed longer than `seconds`; says at what.
            Overloaded: it was not given the time to compute that long.
        """
        try:
            self._pipe.send((files, folder, seconds))
            if self._pipe.poll(PATIENCE * seconds):
                self._pipe.recv_bytes()
                return True
        except (EOFError, ConnectionResetError, BrokenPipeError):
            stage = child.read_stage(folder)
            if stage is None:
                return False
            with _lock:
                self._process.join()
                slow = self._process.exitcode == -signal.SIGPROF
            why = (
                f"this took longer than the {seconds:.1f} s that an upload of its size has; "
                "the file is damaged, or too large to decode"
                if slow
                else "the decoding process died of it; "
                f"the file is damaged, or needs more than {self._limits.memory_bytes // MIB} MiB of memory"
            )
            raise UndecodableImage(f"{stage}: {why}") from None
        raise Overloaded(f"the upload was not decoded within {PATIENCE * seconds:.0f} s, as this machine is too busy")

    def end(self) -> None:
        """End the process, whatever it is doing; to be called once."""
        self._pipe.close()
        with _lock:
            self._process.kill()
            self._process.join()
            self._process.close()
