"""DICOM series through pydicom: which frames there are, in which order, and how they are shown."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pydicom
from natsort import natsort_keygen
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import data_element_generator
from pydicom.pixels.utils import get_expected_length, iter_pixels
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from router.errors import TooLarge, UndecodableImage, UnsupportedImage
from router.study import DISPATCH_TAGS, BurnedIn, patient_digest

from . import display
from .geometry import Frame, in_order, spacing_of
from .images import Facts, Images
from .limits import MIB, DecodeLimits, Part

_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices")
_HEADER = (
    *DISPATCH_TAGS,
    *_GEOMETRY,
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "BurnedInAnnotation"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("WindowCenter", "WindowWidth", "VOILUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""What is read of every file before the first pixel; all the rest of the header is skipped."""

_TRANSFER_SYNTAX = 0x00020010
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")  # VR CS, PS3.5 section 6.2
_natural = natsort_keygen()


def read(parts: Sequence[Part], images: Images, limits: DecodeLimits) -> Facts:
    """Read one series in the order of its positions (else instance numbers, else names), as it is to be displayed.

    Modality LUT and the first VOI LUT or window are applied, MONOCHROME1 is inverted, colour becomes RGB. Where any
    grey frame declares no window, the whole series is scaled by its percentiles 0.5 and 99.5.

    Raises:
        TooLarge: more pixels than the limits say, or a deflated dataset that inflates too far.
        UndecodableImage: damaged, or compressed in a way that cannot be decoded.
        UnsupportedImage: no pixels (a report, a plan, a document), or several series or patients.
    """
    headers = []
    for part in parts:
        images.stage(part, "reading the DICOM header")
        _check_inflation(part, limits)
        headers.append((part, _read_file(part, header_only=True)))
    series = {str(header.get("SeriesInstanceUID", "")) for _, header in headers}
    if len(series) > 1:
        raise UnsupportedImage(f"the upload holds images of {len(series)} DICOM series; send one series at a time")
    patients = {str(header.get("PatientID") or "").strip() for _, header in headers}
    if len(patients) > 1:
        raise UnsupportedImage(
            f"the images of the series have {len(patients)} different patient ids; send those of one patient"
        )

    for part, header in headers:
        images.expect(part, header.Rows, header.Columns, int(header.get("NumberOfFrames") or 1))
    frames = [
        Frame(part, index, display.frame_header(header, index))
        for part, header in sorted(headers, key=lambda pair: _natural(pair[0].name))
        for index in range(int(header.get("NumberOfFrames") or 1))
    ]
    frames = in_order(frames)
    windowed = all(display.has_window(frame.header) for frame in frames)
    for image in _decode(frames, images):
        images.add(display.render(*image, windowed=windowed))
    images.scale(0.5, 99.5)

    first = headers[0][1]
    study_uid = str(first.get("StudyInstanceUID") or "")
    return Facts(
        tags=_tags(first),
        spacing=spacing_of(frames),
        key=hashlib.sha256(study_uid.encode()).hexdigest() if study_uid else None,
        burned_in=_burned_in([header for _, header in headers]),
        patient=next((patient_digest(patient) for patient in patients if patient), None),
    )


def _check_inflation(part: Part, limits: DecodeLimits) -> None:
    """Refuse a deflated dataset that would not fit into memory: pydicom inflates it in one go."""
    with part.path.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return
        # The file meta information, group 0002, is explicit little endian and never deflated (PS3.10 section 7.1).
        meta = data_element_generator(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        syntax = next((element.value for element in meta if element.tag == _TRANSFER_SYNTAX), None)
        if not isinstance(syntax, bytes) or syntax.strip(b"\0 ") != DeflatedExplicitVRLittleEndian.encode():
            return
        for _ in meta:  # on to the deflated bytes
            pass
        inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while block := inflater.unconsumed_tail or stream.read(MIB):
            size += len(inflater.decompress(block, MIB))
            if size > limits.inflated_bytes:
                raise TooLarge(
                    f"{part.where} is a deflated DICOM dataset of more than {limits.inflated_bytes // MIB} MiB; "
                    "send it uncompressed, in fewer frames"
                )


def _read_file(part: Part, header_only: bool) -> FileDataset:
    dataset = pydicom.dcmread(
        part.path,
        force=True,
        stop_before_pixels=header_only,
        specific_tags=list(_HEADER) if header_only else None,
    )
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UnsupportedImage(
            f"{part.where} is DICOM without an image, such as a report, a plan or a document, or is cut off before it; "
            "send the image"
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _decode(frames: Sequence[Frame], images: Images) -> Iterator[tuple[NDArray[Any], Dataset]]:
    """Decode the frames in their order, reading a file once where its frames follow each other."""
    for part, group in groupby(frames, key=lambda frame: frame.part):
        indices = [frame.index for frame in group]
        dataset = _read_file(part, header_only=False)
        _check_pixels(part, dataset)
        pixels = iter_pixels(dataset, indices=indices)
        for index in indices:
            syntax = dataset.file_meta.TransferSyntaxUID.name
            images.stage(part, f"decoding frame {index + 1} ({syntax})")
            try:
                frame = next(pixels)
            except RuntimeError:  # how pydicom says that all decoders failed
                raise UndecodableImage(
                    f"{part.where}: frame {index + 1} is damaged, or is a kind of {syntax} that is not supported; "
                    "send it uncompressed"
                ) from None
            yield frame, display.frame_header(dataset, index)


def _check_pixels(part: Part, dataset: FileDataset) -> None:
    keywords = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    data = next((dataset[keyword].value for keyword in keywords if dataset.get(keyword)), None)
    if data is None:
        raise UndecodableImage(f"{part.where} has no pixels behind its DICOM header: the file is cut off or damaged")
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated and len(data) < (expected := get_expected_length(dataset)):
        raise UndecodableImage(
            f"{part.where} is cut off: its DICOM header needs {expected} bytes of pixels, and the file has {len(data)}"
        )


def _tags(header: Dataset) -> dict[str, str]:
    """The dispatch tags that are sound code strings; anything else in them could be text about the patient."""
    values = {keyword: str(header.get(keyword) or "").strip().upper() for keyword in DISPATCH_TAGS}
    return {keyword: value for keyword, value in values.items() if _CODE_STRING.fullmatch(value)}


def _burned_in(headers: Sequence[Dataset]) -> BurnedIn:
    declared = {str(header.get("BurnedInAnnotation") or "").strip().upper() for header in headers}
    if "YES" in declared:
        return "yes"
    return "no" if declared == {"NO"} else "undeclared"
