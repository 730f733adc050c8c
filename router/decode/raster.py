"""PNG, JPEG and TIFF through Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from natsort import natsorted
from PIL import Image, ImageOps, TiffImagePlugin

from router.errors import UndecodableImage

from .images import Facts, Images
from .limits import Part

_DEEP_MODES = ("I", "F")
"""First letters of the modes with more than 8 bits a pixel: I, I;16, I;16B, F."""


def read(parts: Sequence[Part], images: Images) -> Facts:
    """Read the images of `parts` in the natural order of their names, the pages of a TIFF one after the other.

    EXIF orientation is applied, transparency dropped, palettes become RGB. Greys deeper than 8 bits are scaled by the
    range of the whole series.

    Raises:
        TooLarge: more pixels than the limits say, in the header already.
        UndecodableImage: damaged, or a TIFF whose list of pages runs in a circle.
    """
    for part in natsorted(parts, key=lambda part: part.name):
        images.stage(part, "decoding the image")
        with Image.open(part.path, formats=("PNG", "JPEG", "TIFF")) as picture:
            # Only the pages of a TIFF are a series: an animated PNG and the previews in a JPEG are one image.
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                _read_pages(part, picture, images)
            else:
                _read_image(part, picture, images)
    images.scale(0, 100)
    return Facts()


def _read_pages(part: Part, picture: TiffImagePlugin.TiffImageFile, images: Images) -> None:
    while True:
        _read_image(part, picture, images)
        try:
            picture.seek(picture.tell() + 1)
        except EOFError:
            break
    # Pillow stops where a directory names an earlier one as the next; a sound file ends with 0 (TIFF 6.0 section 2).
    if picture.tag_v2.next:
        raise UndecodableImage(f"{part.where}: the list of pages of the TIFF runs in a circle; save the file again")


def _read_image(part: Part, picture: Image.Image, images: Images) -> None:
    images.expect(part, picture.height, picture.width)
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(_DEEP_MODES):
        images.add(np.asarray(upright))
    else:
        images.add(np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA", "La") else "RGB")))
