"""What the fork server imports, once, so that a decoding process starts in milliseconds.

Only the fork server imports this module.
"""

import os

# One thread each: OpenBLAS reserves 32 MiB of address space a thread, and a decoding process has little of it.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_variable] = "1"

import gc
from multiprocessing import spawn

import pydicom.pixels.decoders.gdcm
import pydicom.pixels.decoders.pillow
import pydicom.pixels.decoders.rle  # noqa: F401
from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401

import router.decode.child  # noqa: F401


def _without_main(_main: str) -> None:
    """A decoding process needs nothing of the service's __main__, which multiprocessing would import in each."""


spawn._fixup_main_from_name = _without_main  # type: ignore[attr-defined]
spawn._fixup_main_from_path = _without_main  # type: ignore[attr-defined]

gc.freeze()  # the children share these pages: a collection that touched them would copy them
