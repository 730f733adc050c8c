"""What one upload may cost, and the files it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True)
class DecodeLimits:
    """Limits of one upload; past one of them it is refused, and the message names the limit.

    Attributes:
        files: files sent, or files in the zip that was sent.
        upload_bytes: bytes of all files as they were sent.
        unzipped_bytes: bytes that a zip may unfold to, counted while it unfolds.
        memory_bytes: address space of the decoding process (RLIMIT_AS), so its resident memory stays below.
        pixels: pixels of one image, compared before it is decoded.
        series_pixels: pixels of all images together.
        seconds: time that the decoding of a small upload may compute.
        bytes_per_second: larger uploads get one second more for each so many bytes.
    """

    files: int = 2000
    upload_bytes: int = 512 * MIB
    unzipped_bytes: int = 1024 * MIB
    memory_bytes: int = 512 * MIB
    pixels: int = 64 * MIB
    series_pixels: int = 512 * MIB
    seconds: float = 1.5
    bytes_per_second: int = 4 * MIB

    @property
    def inflated_bytes(self) -> int:
        """Bytes that a compressed DICOM dataset or volume may unfold to in memory: half of it."""
        return self.memory_bytes // 2

    def seconds_for(self, size: int) -> float:
        """Time in seconds that the decoding of an upload of `size` bytes may compute."""
        return self.seconds + size / self.bytes_per_second


@dataclass(frozen=True)
class UploadedFile:
    """One file of an upload, stored on this machine.

    Attributes:
        path: where the bytes lie.
        name: the sender's name of it; it orders images and finds files to skip, and no message repeats it.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Part:
    """One file to decode.

    Attributes:
        path: where the bytes lie.
        name: as the sender or the zip names it.
        where: how messages call it, such as "file 3 of 20".
    """

    path: Path
    name: str
    where: str
