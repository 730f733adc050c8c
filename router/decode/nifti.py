"""NIfTI-1 and NIfTI-2 volumes through nibabel."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from router.errors import TooLarge, UndecodableImage, UnsupportedImage
from router.study import Spacing

from .images import Facts, Images
from .limits import MIB, DecodeLimits, Part

_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read(parts: Sequence[Part], images: Images, limits: DecodeLimits) -> Facts:
    """Read one volume as axial slices: rows anterior to posterior, columns patient right to left, slices upwards.

    Values are scaled by the percentiles 0.5 and 99.5 of the volume; colour of 8 bits stays as it is. A fourth axis of
    three, and the RGB data types, are colour channels.

    Raises:
        TooLarge: more voxels than the limits say, or more bytes than fit into memory; from the header.
        UndecodableImage: damaged, or without a usable orientation.
        UnsupportedImage: several volumes, a pair of .hdr and .img, a series over time, complex numbers.
    """
    part = parts[0]
    if len(parts) > 1:
        raise UnsupportedImage(f"the upload holds {len(parts)} NIfTI volumes; send one at a time")
    images.stage(part, "reading the volume")
    with part.path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    # Reading stops where the header says that the volume ends, so what more a bomb inflates to is never read.
    with gzip.open(part.path) if compressed else part.path.open("rb") as stream:
        return _read_volume(part, stream, images, limits)


def _read_volume(part: Part, stream: io.BufferedIOBase, images: Images, limits: DecodeLimits) -> Facts:
    head = stream.read(348)
    stream.seek(0)
    if b"ni1\0" in head[344:348] or b"ni2\0" in head[4:8]:
        raise UnsupportedImage(f"{part.where} is one half of a .hdr and .img pair; send the volume as one .nii file")
    image: Any = (Nifti2Image if head[4:8] == b"n+2\0" else Nifti1Image).from_stream(stream)
    voxels = _voxels(part, image, limits)

    # DICOM's patient axes: towards Left, Posterior and Superior are the columns, rows and slices of the display.
    orientation = io_orientation(image.affine)
    if np.isnan(orientation).any():
        raise UndecodableImage(f"{part.where} has an orientation matrix that loses an axis; save the volume again")
    wanted = axcodes2ornt(("L", "P", "S"))
    to_display = ornt_transform(orientation, wanted)
    voxels = apply_orientation(voxels, to_display)

    width, height, depth = voxels.shape[:3]
    images.expect(part, height, width, depth)
    slope, inter = image.dataobj.slope, image.dataobj.inter
    is_final = voxels.ndim == 4 and voxels.dtype == np.uint8 and (slope, inter) == (1, 0)
    for index in range(depth):
        axial = np.swapaxes(voxels[:, :, index], 0, 1)
        images.add(axial if is_final else (axial * slope + inter).astype(np.float32))
    images.scale(0.5, 99.5)
    return Facts(spacing=_spacing(image.header, to_display))


def _voxels(part: Part, image: Any, limits: DecodeLimits) -> NDArray[Any]:
    """The stored values, [X, Y, Z] or [X, Y, Z, 3], once the header has shown that they can be used."""
    dtype, shape = image.get_data_dtype(), image.shape
    size = math.prod(shape) * dtype.itemsize
    if not 0 < size <= limits.inflated_bytes:
        raise TooLarge(
            f"{part.where} says that it is a volume of {size / MIB:.0f} MiB; "
            f"volumes of up to {limits.inflated_bytes // MIB} MiB are taken"
        )
    if dtype.kind not in "iuf" and not dtype.names:
        raise UnsupportedImage(f"{part.where} has voxels that are neither real numbers nor RGB; convert the volume")
    space = (*shape, 1, 1)[:3]
    channels = [length for length in shape[3:] if length != 1]
    if channels not in ([], [3]) or (channels and dtype.names):
        raise UnsupportedImage(
            f"{part.where} holds {math.prod(channels)} volumes, over time or of several kinds; send one of them, "
            "or three as channels"
        )
    voxels = image.dataobj.get_unscaled()
    if dtype.names:
        voxels = np.stack([voxels[name] for name in "RGB"], axis=-1)
        channels = [3]
    return np.asarray(voxels).reshape(*space, *channels)


def _spacing(header: Any, to_display: NDArray[Any]) -> Spacing | None:
    """From `pixdim`, whose axes `to_display` takes to columns, rows and slices."""
    unit = _MM.get(header.get_xyzt_units()[0])
    zooms = [float(zoom) for zoom in (*header.get_zooms(), 0.0, 0.0)[:3]]
    if unit is None:
        return None
    column, row, slice_ = (zooms[int(np.flatnonzero(to_display[:, 0] == axis)[0])] * unit for axis in range(3))
    if not (0 < column < math.inf and 0 < row < math.inf):
        return None
    return Spacing(row, column, slice_ if 0 < slice_ < math.inf else None)
