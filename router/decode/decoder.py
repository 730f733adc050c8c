"""Decoding of uploads, each in a process of its own with limits on memory and time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import queue
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from router.errors import InvalidUpload, TooLarge
from router.study import Spacing, Study

from . import child
from .limits import MIB, DecodeLimits, UploadedFile
from .worker import Worker

_PROBLEMS = {problem.__name__: problem for problem in child.PROBLEMS}


class Decoder:
    """Turns uploads into studies.

    Every upload is decoded in a fresh process, forked from a server that has the libraries loaded and has seen no
    image; it is killed when it exceeds the limits. Damaged and hostile files end that process, never this one.

    Args:
        limits: of each upload.
        workers: uploads decoded at the same time; further ones wait.
    """

    def __init__(self, limits: DecodeLimits | None = None, workers: int = 2) -> None:
        self._limits = limits or DecodeLimits()
        self._workers = workers
        self._spares: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        # Apart, so that no answer waits for it; one thread, so that a process is gone before its folder is deleted.
        self._clean_up = ThreadPoolExecutor(1, thread_name_prefix="decode-clean-up")

    async def start(self) -> None:
        """Start the processes that wait for the first uploads.

        Raises:
            OSError: the system starts no more processes.
        """
        for _ in range(self._workers):
            await asyncio.wrap_future(self._clean_up.submit(self._add_spare))

    async def close(self) -> None:
        """Finish the uploads that are being decoded, take no more, and end the processes that wait."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._clean_up.shutdown)
        while not self._spares.empty():
            self._spares.get().end()

    async def decode(self, files: Sequence[UploadedFile]) -> Study:
        """Decode one upload: one file, the files of one series, or one zip of either.

        The format is told from the content of the files; their names only order images without positions.

        Raises:
            InvalidUpload: no file was sent.
            TooLarge: more files, bytes or pixels than the limits say.
            UndecodableImage: a file is damaged, hostile, of an unknown format, or exceeds memory or time.
            Overloaded: this machine is too busy to decode it in time.
            UnsupportedImage: good files that are not one image or one series of one format.
            OSError: this machine has no more memory or processes for a decoding.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, files)

    def _decode(self, files: Sequence[UploadedFile]) -> Study:
        limits = self._limits
        if not files:
            raise InvalidUpload("the upload holds no file; send one image, one series, or one zip")
        if len(files) > limits.files:
            raise TooLarge(f"the upload holds {len(files)} files; at most {limits.files} are taken")
        size = sum(file.path.stat().st_size for file in files)
        if size > limits.upload_bytes:
            raise TooLarge(
                f"the upload holds {size / MIB:.0f} MiB; at most {limits.upload_bytes / MIB:.0f} MiB are taken"
            )
        sha256 = _sha256(files)
        folder = Path(tempfile.mkdtemp(prefix="dokuei-decode-"))
        try:
            self._run(files, folder, limits.seconds_for(size))
            return _read_study(folder, sha256)
        finally:
            self._clean_up.submit(shutil.rmtree, folder)

    def _run(self, files: Sequence[UploadedFile], folder: Path, seconds: float) -> None:
        """Have `files` decoded by a spare process; if the system has ended it while it waited, by a new one."""
        for spare in (self._spare(), None):
            worker = spare or Worker(self._limits)
            try:
                if worker.decode(files, folder, seconds):
                    return
            finally:
                self._clean_up.submit(self._replace, worker)
        raise OSError("decoding processes end before they take an upload; the machine may be out of memory")

    def _spare(self) -> Worker | None:
        try:
            return self._spares.get_nowait()
        except queue.Empty:
            return None

    def _replace(self, used: Worker) -> None:
        used.end()
        if self._spares.qsize() < self._workers:
            self._add_spare()

    def _add_spare(self) -> None:
        self._spares.put(Worker(self._limits))


def _sha256(files: Sequence[UploadedFile]) -> str:
    digests = []
    for file in files:
        with file.path.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(sorted(digest.digest() for digest in digests))).hexdigest()


def _read_study(folder: Path, sha256: str) -> Study:
    answer = json.loads((folder / child.ANSWER).read_bytes())
    if "problem" in answer:
        raise _PROBLEMS[answer["problem"]](answer["detail"])
    spacing = answer["spacing"]
    # Mapped, so that the pages of a large series can leave memory; the mapping outlives the folder.
    pixels = np.asarray(np.memmap(folder / child.PIXELS, np.uint8, "r"))
    return Study(
        kind=answer["kind"],
        images=[pixels[offset : offset + math.prod(shape)].reshape(shape) for offset, shape in answer["images"]],
        tags=answer["tags"],
        spacing=None if spacing is None else Spacing(**spacing),
        sha256=sha256,
        key=answer["key"] or sha256,
        burned_in=answer["burned_in"],
        patient=answer["patient"],
    )
