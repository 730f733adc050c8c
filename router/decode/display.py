"""How a DICOM frame is to be displayed: the grey-scale transformations of PS3.4 annex N.2, by pydicom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from .images import bands, to_uint8


def frame_header(dataset: Dataset, index: int) -> Dataset:
    """The header of frame `index`: the functional groups (PS3.3 section C.7.6.16) laid over the dataset's own."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*shared[:1], *per_frame[index : index + 1]]
    if not groups:
        return dataset
    header = Dataset()
    header.update(dataset)
    header.set_original_encoding(*dataset.original_encoding)
    header.file_meta = dataset.file_meta
    for group in groups:
        for element in group:
            if element.VR == "SQ" and element.value:
                header.update(element.value[0])
    return header


def has_window(header: Dataset) -> bool:
    """Whether the frame says how it is to be displayed: a VOI LUT or a window, or colour, which needs neither."""
    if _is_colour(header) or header.get("VOILUTSequence"):
        return True
    return header.get("WindowCenter") is not None and header.get("WindowWidth") is not None


def render(pixels: NDArray[Any], header: Dataset, *, windowed: bool) -> NDArray[Any]:
    """Bring one frame to the display.

    Args:
        pixels: stored values, [H, W], or [H, W, 3] already in RGB.
        header: of this frame.
        windowed: whether all frames of the series declare a window.

    Returns:
        uint8 [H, W] or [H, W, 3]; float32 [H, W] where grey is not windowed, with bright meaning high, to be scaled.
    """
    if _is_colour(header):
        if header.PhotometricInterpretation == "PALETTE COLOR":
            coloured: NDArray[Any] = apply_color_lut(pixels, header)[..., :3]
            return np.asarray(coloured >> (8 * coloured.itemsize - 8), np.uint8)
        return np.asarray(pixels >> max(0, header.BitsStored - 8), np.uint8)
    inverted = header.PhotometricInterpretation == "MONOCHROME1"
    if not windowed:
        values: NDArray[np.float32] = apply_modality_lut(pixels, header).astype(np.float32)
        return -values if inverted else values
    bottom, top = _output_range(header)
    out = np.empty(pixels.shape, np.uint8)
    for band, target in bands(pixels, out):
        grey = apply_voi_lut(apply_modality_lut(band, header), header)
        target[...] = to_uint8(grey, bottom, top)
    return 255 - out if inverted else out


def _output_range(header: Dataset) -> tuple[float, float]:
    """The least and the greatest value that the VOI LUT or window puts out."""
    if header.get("VOILUTSequence"):
        return 0.0, float(2 ** header.VOILUTSequence[0].LUTDescriptor[2] - 1)
    # A window puts out the range of the stored values, rescaled: what lies far outside on either side becomes its ends.
    bottom, top = apply_voi_lut(np.array([-1e30, 1e30]), header)
    return float(bottom), float(top)


def _is_colour(header: Dataset) -> bool:
    return header.PhotometricInterpretation == "PALETTE COLOR" or int(header.get("SamplesPerPixel") or 1) == 3
