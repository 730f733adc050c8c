"""Inputs to begin from, made anew for each run: the more kinds of files, the more of the code is reached."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import numpy as np
import pydicom.uid
from fuzz_targets import BOUNDARY, MIB
from hostile import HOSTILE, dicom_bytes
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from paths import STORE
from uploads import encoded, zipped

from handlers.contract import oip

ENDS_ITS_PROCESS = {"zero_length_jp2_box"}
"""Without an end in a library of C++, where the decoder's limits end its process (test_hostile_uploads)."""
NOISE = np.random.default_rng(5)


def of(target: str) -> Iterator[bytes]:
    """The seeds of a target."""
    yield from {"image": _images, "form": _forms, "request": _requests, "card": _cards, "planted": _planted}[target]()


def _images() -> Iterator[bytes]:
    grey = NOISE.integers(0, 256, (12, 10), np.uint8)
    deep = NOISE.integers(0, 4096, (12, 10)).astype(np.uint16)
    colours = NOISE.integers(0, 256, (12, 10, 3), np.uint8)
    for pixels, format_ in ((grey, "PNG"), (deep, "PNG"), (colours, "PNG"), (grey, "JPEG"), (colours, "JPEG")):
        yield encoded(pixels, format_)
    for pixels in (grey, deep, colours):
        for compression in ("raw", "tiff_lzw", "tiff_deflate"):
            yield encoded(pixels, "TIFF", compression=compression)
    for pixels in (deep, np.stack([deep, deep]), deep.astype(np.int16), grey):
        yield dicom_bytes(pixels)
        yield dicom_bytes(pixels, pydicom.uid.ImplicitVRLittleEndian)
        yield dicom_bytes(pixels, pydicom.uid.DeflatedExplicitVRLittleEndian)
    yield dicom_bytes(deep, PhotometricInterpretation="MONOCHROME1", RescaleSlope="2", RescaleIntercept="-1024",
                      WindowCenter="40", WindowWidth="400", PixelSpacing=[0.5, 0.5], SliceThickness="5",
                      ImagePositionPatient=[0, 0, 1], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])  # fmt: skip
    for volume in (NOISE.normal(size=(6, 5, 4)).astype(np.float32), NOISE.integers(0, 9, (6, 5, 4)).astype(np.int16)):
        for kind in (Nifti1Image, Nifti2Image):
            raw = kind(volume, np.diag([1, 1, 3, 1])).to_bytes()
            yield raw
            yield gzip.compress(raw, mtime=0)
    yield zipped([("1.png", encoded(grey, "PNG")), ("secret/2.png", encoded(grey, "PNG"))])
    yield zipped([(f"{n}.dcm", dicom_bytes(deep, InstanceNumber=n)) for n in (1, 2)])
    for name, make in HOSTILE.items():
        content = make()[1]
        if name not in ENDS_ITS_PROCESS and len(content) < MIB // 16:
            yield content


def _forms() -> Iterator[bytes]:
    def part(name: str, content: bytes, more: str = "") -> bytes:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + content + b"\r\n"

    file = part("files", b"content", '; filename="secret.png"')
    end = f"--{BOUNDARY}--\r\n".encode()
    yield file + end
    yield file + file + part("language", b"ja") + part("model", b"modality") + part("department", b"a") + end
    yield part("files", b"no file") + end
    yield part("secret", b"unknown") + end
    yield part("language", b"secret") + file + end


def _requests() -> Iterator[bytes]:
    yield b'{"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2.5]}],"outputs":[{"name":"b"}],"id":"1"}'
    yield b'{"model_name":"m","outputs":[{"name":"a","shape":[1,2],"datatype":"BOOL","data":[[true,false]]}]}'
    for dtype in ("u1", "<f4", "<i8", "<f2"):
        message = oip.encode_request({"a": np.ones((2, 3), dtype), "b": np.zeros((0,), dtype)}, ["c"], "id")
        at = int(message.headers[oip.HEADER_LENGTH])
        yield message.body[:at] + b"\n" + message.body[at:]


def _cards() -> Iterator[bytes]:
    for file in sorted(STORE.glob("*/card.yaml")):
        yield file.read_bytes()
    yield b"a: 2020-01-02\nb: 0x1F\nc: [1, {d: 2001-12-14t21:59:43.10-05:00}]\ne: !!binary aGk=\nf: &x 1.5\ng: *x\n"


def _planted() -> Iterator[bytes]:
    yield b"0000"
