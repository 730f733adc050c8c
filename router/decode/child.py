"""The decoding process: its limits, its answer, and the one path through it.

It leaves its answer in a folder: `answer.json`, and the pixels of all images in one file. Nothing is pickled on the way
back.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import resource
import signal
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from router.errors import InvalidUpload, Problem, TooLarge, UndecodableImage, UnsupportedImage
from router.study import Kind

from . import dicom, nifti, raster
from .images import PIXELS, Facts, Images
from .limits import MIB, DecodeLimits, Part, UploadedFile
from .parts import kind_of, parts_of

__all__ = ["ANSWER", "PIXELS", "PROBLEMS", "answer", "main", "read_stage"]

ANSWER = "answer.json"
PROBLEMS: tuple[type[Problem], ...] = (InvalidUpload, TooLarge, UndecodableImage, UnsupportedImage)
_STAGE = "stage"
_STAGE_LENGTH = 200  # bytes: each stage overwrites the last, which is cheaper than a new file for every image
_NAMES = {"dicom": "DICOM", "nifti": "NIfTI", "png": "PNG", "jpeg": "JPEG", "tiff": "TIFF"}


def read_stage(folder: Path) -> str | None:
    """What the process was doing when it ended; None: it had not taken the upload."""
    stage = folder / _STAGE
    return stage.read_text().rstrip() if stage.exists() else None


def main(pipe: Connection, limits: DecodeLimits) -> None:
    """Wait for one upload, decode it, and say when the answer lies in its folder.

    Takes (files: Sequence[UploadedFile], folder: Path, seconds: float) from `pipe`, and sends b"done" back; SIGPROF
    ends it once it has computed for `seconds`.
    """
    _confine(limits)
    try:
        files, folder, seconds = pipe.recv()
    except EOFError:  # the service has ended, or needs this process no more
        return
    # Counted is what this process computes, and not what it waits for processors that others use.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    (folder / ANSWER).write_text(json.dumps(answer(files, folder, limits)))
    pipe.send_bytes(b"done")


def answer(files: Sequence[UploadedFile], folder: Path, limits: DecodeLimits) -> dict[str, object]:
    """The study's facts, or the problem that its files are; leaves stage and pixels in `folder`."""
    (folder / _STAGE).write_text("the upload: looking at its files".ljust(_STAGE_LENGTH))
    try:
        return _decode(files, folder, limits)
    except PROBLEMS as problem:
        return {"problem": type(problem).__name__, "detail": problem.detail}
    except MemoryError:
        detail = f"{read_stage(folder)}: this needs more than {limits.memory_bytes // MIB} MiB of memory; send less"
        return {"problem": UndecodableImage.__name__, "detail": detail}
    except Exception as error:
        # The decoders of three libraries raise whatever a damaged file makes them trip over. Their messages can quote
        # the header, so only the kind of error is told.
        detail = f"{read_stage(folder)}: the file is damaged or cut off ({type(error).__name__})"
        return {"problem": UndecodableImage.__name__, "detail": detail}


def _confine(limits: DecodeLimits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What libraries print about a file can quote its header, and these streams are the service's log.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    logging.disable()
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # `limits.pixels` is compared instead


def _decode(files: Sequence[UploadedFile], folder: Path, limits: DecodeLimits) -> dict[str, object]:
    with (folder / _STAGE).open("r+b", buffering=0) as stage_file:

        def stage(part: Part, doing: str) -> None:
            said = f"{part.where}: {doing}".ljust(_STAGE_LENGTH).encode()[:_STAGE_LENGTH]
            os.pwrite(stage_file.fileno(), said, 0)

        parts = parts_of(files, folder, limits, stage)
        kind = _kind(parts)
        facts: Facts
        with Images(folder, limits, stage) as images:
            if kind == "dicom":
                facts = dicom.read(parts, images, limits)
            elif kind == "nifti":
                facts = nifti.read(parts, images, limits)
            else:
                facts = raster.read(parts, images)
        return {"kind": kind, "images": images.places, **dataclasses.asdict(facts)}


def _kind(parts: Sequence[Part]) -> Kind:
    """The one format of all parts."""
    kinds = [kind_of(part) for part in parts]
    for part, kind in zip(parts, kinds, strict=True):
        if kind != kinds[0]:
            raise UnsupportedImage(
                f"{parts[0].where} is {_NAMES[kinds[0]]} and {part.where} is {_NAMES[kind]}; "
                "send files of one format at a time"
            )
    return kinds[0]
