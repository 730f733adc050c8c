"""Builders of hostile and broken uploads, as (file name, bytes). Each is small; what it asks for is not."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from nibabel.nifti1 import Nifti1Image
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    generate_uid,
)

Upload = tuple[str, bytes]

_GIB = 2**30


def dicom_bytes(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> bytes:
    """A one-frame or multi-frame MR image, grey and 16 bits unless `attributes` say otherwise."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Secret^Name", "secret-id", "MR"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW" if syntax == ExplicitVRLittleEndian and pixels.itemsize > 1 else "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _zip(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return stream.getvalue()


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def _zeros(size: int) -> bytes:
    """`size` zero bytes, deflated a thousandfold (RFC 1951), without ever lying in memory."""
    deflater, block = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS), bytes(2**24)
    # A full flush makes the block independent of what came before, so it can be repeated.
    deflated = deflater.compress(block) + deflater.flush(zlib.Z_FULL_FLUSH)
    return deflated * (size // len(block)) + deflater.flush()


def _gzip_zeros(size: int) -> bytes:
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + _zeros(size) + bytes(8)


def truncated_dicom() -> Upload:
    return "image.dcm", dicom_bytes(np.zeros((64, 64), np.uint16))[:-1000]


def dicom_cut_in_its_header() -> Upload:
    return "image.dcm", dicom_bytes(np.zeros((64, 64), np.uint16))[:400]


def deflate_bomb() -> Upload:
    """A deflated dataset whose private element inflates to more than 2 GiB."""
    sound = dicom_bytes(np.zeros((8, 8), np.uint16), DeflatedExplicitVRLittleEndian)
    header = sound[: 132 + 12 + struct.unpack_from("<I", sound, 140)[0]]
    return "image.dcm", header + _zeros(2 * _GIB + 2**24)


def zero_length_jp2_box() -> Upload:
    """A JP2 file whose second box says that it is 0 bytes long: a reader that skips boxes stays there for ever."""
    jp2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x00ftyp" + bytes(64)
    return "image.dcm", dicom_bytes(
        np.zeros((64, 64), np.uint16), JPEG2000Lossless, PixelData=encapsulate([jp2]), BitsStored=12, HighBit=11
    )


def huge_dicom() -> Upload:
    return "image.dcm", dicom_bytes(np.zeros((8, 8), np.uint16), Rows=65535, Columns=65535, NumberOfFrames=1000)


def huge_png() -> Upload:
    """A header of 100,000 x 100,000 pixels with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return "image.png", b"\x89PNG\r\n\x1a\n" + data


def png_that_needs_much_memory() -> Upload:
    """64 million pixels of colour, as many as are taken: decoded and copied they need more than 512 MiB."""
    stream = io.BytesIO()
    Image.new("RGB", (8192, 8192)).save(stream, "PNG", compress_level=1)
    return "image.png", stream.getvalue()


def truncated_jpeg() -> Upload:
    stream = io.BytesIO()
    Image.effect_noise((256, 256), 80).save(stream, "JPEG")
    return "image.jpg", stream.getvalue()[:5000]


def text_called_png() -> Upload:
    return "image.png", b"This is no image. It only says so."


def text_called_dicom() -> Upload:
    return "image.dcm", "読影".encode() * 20


def empty_file() -> Upload:
    return "image.dcm", b""


def random_bytes() -> Upload:
    return "image.dcm", random.Random(1).randbytes(4096)


def random_bytes_behind_a_dicom_preamble() -> Upload:
    return "image.dcm", bytes(128) + b"DICM" + random.Random(2).randbytes(4096)


def pdf() -> Upload:
    return "report.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


def zip_slip() -> Upload:
    return "images.zip", _zip({"../../outside.png": _png()})


def _zip_of_zeros(declared: int) -> bytes:
    """A zip whose one member unfolds to 3 GiB, and is declared as `declared` bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("image.png", _zeros(3 * _GIB))
    content = bytearray(stream.getvalue())
    directory = content.rindex(b"PK\x01\x02")
    for position in (8, directory + 10):  # method: deflated, in both headers
        struct.pack_into("<H", content, position, zipfile.ZIP_DEFLATED)
    for position in (22, directory + 24):
        struct.pack_into("<I", content, position, declared)
    return bytes(content)


def zip_bomb() -> Upload:
    return "images.zip", _zip_of_zeros(3 * _GIB)


def zip_bomb_that_lies() -> Upload:
    return "images.zip", _zip_of_zeros(1000)


def nested_zip() -> Upload:
    return "images.zip", _zip({"inner.zip": _zip({"image.png": _png()})})


def encrypted_zip() -> Upload:
    content = bytearray(_zip({"image.png": _png()}))
    for position in (6, content.rindex(b"PK\x01\x02") + 8):  # the flag bit, in both headers
        content[position] |= 1
    return "images.zip", bytes(content)


def zip_of_too_many_files() -> Upload:
    return "images.zip", _zip({f"{n}.png": b"" for n in range(2001)})


def zip_of_text() -> Upload:
    return "images.zip", _zip({"image.png": _png(), "readme.txt": b"These are the images."})


def empty_zip() -> Upload:
    return "images.zip", _zip({})


def truncated_zip() -> Upload:
    return "images.zip", _zip({"image.png": _png()})[:60]


def gzip_bomb() -> Upload:
    return "volume.nii.gz", _gzip_zeros(2 * _GIB)


def gzip_bomb_with_nifti_header() -> Upload:
    """A volume that says it has 1000 x 1000 x 1000 voxels, and 2 GiB of zeros that would fill them."""
    volume = Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    header = bytearray(volume.to_bytes()[:352])
    struct.pack_into("<8h", header, 40, 3, 1000, 1000, 1000, 1, 1, 1, 1)
    return "volume.nii.gz", gzip.compress(bytes(header)) + _gzip_zeros(2 * _GIB)


def truncated_nifti() -> Upload:
    volume = Nifti1Image(np.zeros((32, 32, 32), np.int16), np.eye(4))
    return "volume.nii.gz", gzip.compress(volume.to_bytes()[:10_000])


def tiff_of_pages_in_a_circle() -> Upload:
    """Two pages, the second of which names the first as the next one."""
    stream = io.BytesIO()
    page = Image.new("L", (8, 8))
    page.save(stream, "TIFF", save_all=True, append_images=[page])
    content = bytearray(stream.getvalue())
    first = struct.unpack_from("<I", content, 4)[0]
    second = struct.unpack_from("<I", content, first + 2 + 12 * struct.unpack_from("<H", content, first)[0])[0]
    struct.pack_into("<I", content, second + 2 + 12 * struct.unpack_from("<H", content, second)[0], first)
    return "image.tif", bytes(content)


HOSTILE: dict[str, Callable[[], Upload]] = {
    builder.__name__: builder
    for builder in (
        truncated_dicom,
        dicom_cut_in_its_header,
        deflate_bomb,
        zero_length_jp2_box,
        huge_dicom,
        huge_png,
        png_that_needs_much_memory,
        truncated_jpeg,
        text_called_png,
        text_called_dicom,
        empty_file,
        random_bytes,
        random_bytes_behind_a_dicom_preamble,
        pdf,
        zip_slip,
        zip_bomb,
        zip_bomb_that_lies,
        nested_zip,
        encrypted_zip,
        zip_of_too_many_files,
        zip_of_text,
        empty_zip,
        truncated_zip,
        gzip_bomb,
        gzip_bomb_with_nifti_header,
        truncated_nifti,
        tiff_of_pages_in_a_circle,
    )
}
"""Every one of them is refused with a problem of status 4xx."""
