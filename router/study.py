"""A study: what an upload is once it has been decoded, and all that the rest of the router sees of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from handlers.contract.card import DicomKeyword

DISPATCH_TAGS = get_args(DicomKeyword)
"""The DICOM keywords (PS3.6) that leave the decoder: code strings (VR CS) about the acquisition, not the patient."""

Kind = Literal["dicom", "nifti", "png", "jpeg", "tiff"]
BurnedIn = Literal["yes", "no", "undeclared", "not-dicom"]


@dataclass(frozen=True)
class Spacing:
    """Distance in mm between the centres of neighbouring rows, columns and slices.

    `slice_mm` is None for one image, and where the slices are no stack of even spacing.
    """

    row_mm: float
    column_mm: float
    slice_mm: float | None


@dataclass(frozen=True)
class Study:
    """One decoded upload: one series, or one image.

    Attributes:
        kind: format of the files.
        images: uint8 [H, W] or [H, W, 3] each, read-only, in series order and ready for display; sizes may differ.
        tags: the `DISPATCH_TAGS` that the header holds; empty where the files are not DICOM.
        spacing: None where the header does not say.
        sha256: of the file's bytes; of several files: of their sorted digests, so that their order does not matter.
        key: what sticky routing hashes: SHA-256 of StudyInstanceUID in DICOM, else `sha256`.
        burned_in: DICOM BurnedInAnnotation (0028,0301): "undeclared" where any image leaves it out.
        patient: `patient_digest` of DICOM PatientID (0010,0020); None where the files name nobody.
    """

    kind: Kind
    images: list[NDArray[np.uint8]]
    tags: Mapping[str, str]
    spacing: Spacing | None
    sha256: str
    key: str
    burned_in: BurnedIn
    patient: str | None = None


def patient_digest(patient_id: str) -> str:
    """What stands for a DICOM PatientID (VR LO: spaces around it mean nothing), so that it need not leave the decoder.

    It is no secret: whoever guesses the id can compute it. `Sealer.pseudonym` makes of it what may be stored.
    """
    return hashlib.sha256(patient_id.strip().encode()).hexdigest()
