"""The parent's side of one decoding process."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from pathlib import Path

from router.errors import UndecodableImage

from . import child
from .limits import MIB, DecodeLimits, UploadedFile

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
            UndecodableImage: the process died of the files, or took longer than `seconds`; the message says at what.
        """
        try:
            self._pipe.send((files, folder))
            if self._pipe.poll(seconds):
                self._pipe.recv_bytes()
                return True
        except (EOFError, ConnectionResetError, BrokenPipeError):
            stage = child.read_stage(folder)
            if stage is None:
                return False
            raise UndecodableImage(
                f"{stage}: the decoding process died of it; "
                f"the file is damaged, or needs more than {self._limits.memory_bytes // MIB} MiB of memory"
            ) from None
        raise UndecodableImage(
            f"{child.read_stage(folder) or 'the upload'}: this took longer than the {seconds:.1f} s that an upload of "
            "its size has; the file is damaged, or too large to decode"
        )

    def end(self) -> None:
        """End the process, whatever it is doing; to be called once."""
        self._pipe.close()
        with _lock:
            self._process.kill()
            self._process.join()
            self._process.close()
