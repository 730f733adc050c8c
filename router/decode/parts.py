"""The files of an upload: told apart by their content, taken out of a zip, and rid of what is no image."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from router.errors import TooLarge, UndecodableImage, UnsupportedImage
from router.study import Kind

from .images import Stage
from .limits import MIB, DecodeLimits, Part, UploadedFile

_FORMATS = "DICOM, NIfTI, PNG, JPEG, TIFF, or a zip of one of them"
_HEAD = 544  # bytes: the longest header that a format is told from, NIfTI-2 with its extension flag
_VR_OR_LENGTH = slice(4, 8)


def parts_of(files: Sequence[UploadedFile], folder: Path, limits: DecodeLimits, stage: Stage) -> list[Part]:
    """The parts that an upload consists of, in the order sent; a zip is unfolded into `folder`.

    Raises:
        TooLarge: a zip holds more files or bytes than the limits say.
        UndecodableImage: a file is empty; a zip is damaged, encrypted, or names a place outside itself.
        UnsupportedImage: nothing that could be an image; a zip beside other files, or inside another.
    """
    sent = [Part(file.path, file.name, f"file {n} of {len(files)}") for n, file in enumerate(files, 1)]
    zips = [part for part in sent if _head(part).startswith((b"PK\x03\x04", b"PK\x05\x06"))]
    if zips and len(sent) > 1:
        raise UnsupportedImage(f"{zips[0].where} is a zip among other files; send one zip, or the files themselves")
    parts = [part for part in (_unzip(sent[0], folder, limits, stage) if zips else sent) if not _is_clutter(part)]
    if not parts:
        raise UnsupportedImage(f"the upload holds no image; send {_FORMATS}")
    for part in parts:
        if part.path.stat().st_size == 0:
            raise UndecodableImage(f"{part.where} is empty; send {_FORMATS}")
    return parts


def kind_of(part: Part) -> Kind:
    """The format of a part, told from its content alone.

    Sources: PS3.10 section 7.1 (DICOM), NIfTI-1 and -2 (`magic`), PNG (ISO/IEC 15948) 5.2, JPEG (ITU-T T.81) B.1.1.3,
    TIFF 6.0 section 2 and BigTIFF.

    Raises:
        UndecodableImage: none of the formats; the message says what it is instead, where that is plain.
    """
    head = _head(part)
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if _is_nifti(_inflated_head(part) if head.startswith(b"\x1f\x8b") else head):
        return "nifti"
    if _is_bare_dicom(head):
        return "dicom"
    raise UndecodableImage(f"{part.where} is {_looks_like(head)}; send {_FORMATS}")


def _head(part: Part) -> bytes:
    with part.path.open("rb") as stream:
        return stream.read(_HEAD)


def _inflated_head(part: Part) -> bytes:
    try:
        with gzip.open(part.path) as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        raise UndecodableImage(f"{part.where} is a damaged gzip file; send the volume again") from None


def _is_nifti(head: bytes) -> bool:
    if head[344:348] in (b"ni1\0", b"n+1\0"):
        return True
    return head[4:8] in (b"ni2\0", b"n+2\0")


def _is_bare_dicom(head: bytes) -> bool:
    """A dataset without preamble: it begins with group 0002 or 0008, in either byte order, and a sound VR or length."""
    if len(head) < 12 or head[:2] not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        return False
    vr_or_length = head[_VR_OR_LENGTH]
    return (vr_or_length[:2].isalpha() and vr_or_length[:2].isupper()) or int.from_bytes(vr_or_length, "little") < _HEAD


def _looks_like(head: bytes) -> str:
    if head.startswith(b"\x1f\x8b"):
        return "a gzip file of something other than NIfTI"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "a zip inside a zip"
    if head.isascii() and b"\0" not in head:
        return "text"
    return "of no known image format"


def _is_clutter(part: Part) -> bool:
    """Files that systems and DICOM media put beside the images."""
    path = PurePosixPath(part.name.replace("\\", "/"))
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name in (".DS_Store", "DICOMDIR", "Thumbs.db")


def _unzip(sent: Part, folder: Path, limits: DecodeLimits, stage: Stage) -> list[Part]:
    """Unfold a zip under names of our own; the bytes that come out are counted, whatever sizes it declares."""
    stage(sent, "unfolding the zip")
    try:
        with zipfile.ZipFile(sent.path) as zipped:
            members = [member for member in zipped.infolist() if not member.is_dir()]
            if len(members) > limits.files:
                raise TooLarge(f"the zip holds {len(members)} files; at most {limits.files} are taken")
            left = limits.unzipped_bytes
            if sum(member.file_size for member in members) > left:
                raise TooLarge(f"the zip unfolds to more than {left // MIB} MiB; send fewer images at a time")
            parts = []
            for n, member in enumerate(members, 1):
                part = Part(folder / f"{n}.part", member.filename, f"file {n} of {len(members)} in the zip")
                _refuse_traps(part, member)
                if not _is_clutter(part):
                    left -= _extract(zipped, member, part, left, limits)
                    parts.append(part)
            return parts
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise UndecodableImage(f"{sent.where} is a damaged zip ({type(error).__name__}); pack it again") from None


def _refuse_traps(part: Part, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise UndecodableImage(f"{part.where} has a name that leads outside the zip; pack it again with plain names")
    if member.flag_bits & 0x1:
        raise UndecodableImage(f"{part.where} is encrypted; send the zip without a password")


def _extract(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, part: Part, left: int, limits: DecodeLimits) -> int:
    size = 0
    with zipped.open(member) as source, part.path.open("wb") as target:
        while block := source.read(MIB):
            size += len(block)
            if size > left:
                raise TooLarge(
                    f"the zip unfolds to more than {limits.unzipped_bytes // MIB} MiB at {part.where}; "
                    "send fewer images at a time"
                )
            target.write(block)
    return size
