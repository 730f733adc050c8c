"""Uploads for the decoder, and the decoder run on them."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hostile import Upload
from PIL import Image

from router.decode.decoder import Decoder
from router.decode.limits import DecodeLimits, UploadedFile
from router.study import Study

Decode = Callable[..., Study]


@contextmanager
def decoding(folder: Path, limits: DecodeLimits | None = None) -> Iterator[Decode]:
    """A running decoder: a function from uploads to their study."""
    with asyncio.Runner() as runner:
        decoder = Decoder(limits)
        runner.run(decoder.start())

        def run(*uploads: Upload) -> Study:
            files = []
            for n, (name, content) in enumerate(uploads):
                (folder / str(n)).write_bytes(content)
                files.append(UploadedFile(folder / str(n), name))
            return runner.run(decoder.decode(files))

        yield run
        runner.run(decoder.close())


def encoded(pixels: np.ndarray, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_, **options)
    return stream.getvalue()


def flat(value: int, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def zipped(members: Sequence[Upload]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def first_pixels(study: Study) -> list[int]:
    return [int(image.flat[0]) for image in study.images]


def png_bytes(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def read_image(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))
