"""Synthetic sample images for the portal: drawn by formulas, from no patient and no data set.

They show what an upload looks like and exercise the whole way from DICOM to explanation. They are not made to be read.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from .brain import SIZE, SLICES, draw_brain
from .chest import draw_chest
from .shapes import WHITE

INDEX = "index.json"
SLICE_MM, PIXEL_MM = 5.0, 0.9


@dataclass(frozen=True)
class Sample:
    """A sample file.

    Attributes:
        title: for people, by language.
        modality: label that dispatch should find; `other`: every model refuses it.
    """

    file: str
    title: dict[str, str]
    modality: str


SAMPLES = [
    Sample("chest-xray.dcm", {"en": "Chest X-ray, clear lungs", "ja": "胸部X線、異常陰影なし"}, "chest-xray"),
    Sample("chest-xray-opacity.dcm", {"en": "Chest X-ray, opacity", "ja": "胸部X線、浸潤影あり"}, "chest-xray"),
    Sample("brain-mri.zip", {"en": "Brain MRI (FLAIR), lesion", "ja": "脳MRI（FLAIR）、病変あり"}, "brain-mri"),
    Sample("not-medical.png", {"en": "Not a medical image", "ja": "医用画像でないもの"}, "other"),
]


def samples_with_content() -> list[tuple[Sample, bytes]]:
    """The samples with the bytes of their files, the same every time."""
    contents = [_chest_file(opacity=False), _chest_file(opacity=True), _brain_zip(), _picture()]
    return list(zip(SAMPLES, contents, strict=True))


def write_samples(folder: Path) -> list[Sample]:
    """Write the samples and `index.json` (`{"items": [{file, title, modality}]}`) into `folder`, made where missing.

    The same bytes every time.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for sample, content in samples_with_content():
        (folder / sample.file).write_bytes(content)
    index = {"items": [asdict(sample) for sample in SAMPLES]}
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return list(SAMPLES)


def _dicom(name: str, sop_class: str, number: int, pixels: NDArray[np.uint16], **attributes: Any) -> bytes:
    """A DICOM file (PS3.10) of one image; its UIDs follow from `name` and `number`."""

    def uid(*parts: object) -> UID:
        return generate_uid(entropy_srcs=["dokuei sample", name, *map(str, parts)])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), uid(number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = Dataset()
    file.file_meta = meta
    common = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid(number),
        "StudyInstanceUID": uid("study"),
        "SeriesInstanceUID": uid("series"),
        "PatientName": "SYNTHETIC^SAMPLE",
        "PatientID": "SYNTHETIC",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyDate": "20000101",
        "StudyTime": "000000",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Manufacturer": "Dokuei",
        "SeriesNumber": 1,
        "InstanceNumber": number,
        "ImageType": ["DERIVED", "SECONDARY"],
        "SyntheticData": "YES",
        "BurnedInAnnotation": "NO",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": (WHITE + 1) // 2,
        "WindowWidth": WHITE + 1,
    }
    for keyword, value in (common | attributes).items():
        setattr(file, keyword, value)
    file.Rows, file.Columns = pixels.shape
    file.PixelData = pixels.astype("<u2").tobytes()
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _chest_file(opacity: bool) -> bytes:
    return _dicom(
        f"chest opacity={opacity}",
        DigitalXRayImageStorageForPresentation,
        1,
        draw_chest(opacity),
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="AP",
        PatientOrientation=["L", "F"],
        ImageLaterality="U",
        ImagerPixelSpacing=[0.25, 0.25],
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=-1,
        PresentationIntentType="FOR PRESENTATION",
        PresentationLUTShape="IDENTITY",
        RescaleIntercept=0,
        RescaleSlope=1,
        RescaleType="US",
        LossyImageCompression="00",
    )


def _brain_zip() -> bytes:
    """The slices as files of a zip, in an order that is not that of the slices, as exports often are."""
    rng = np.random.default_rng(1977)
    slices = draw_brain(rng)
    corner = -PIXEL_MM * (SIZE - 1) / 2
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for place, n in enumerate(rng.permutation(SLICES).tolist()):
            content = _dicom(
                "brain",
                MRImageStorage,
                n + 1,
                slices[n],
                Modality="MR",
                BodyPartExamined="BRAIN",
                SeriesDescription="AX FLAIR",
                ScanningSequence=["SE", "IR"],
                SequenceVariant="SK",
                ScanOptions="",
                MRAcquisitionType="2D",
                RepetitionTime=9000,
                EchoTime=120,
                InversionTime=2500,
                EchoTrainLength=16,
                FrameOfReferenceUID=generate_uid(entropy_srcs=["dokuei sample", "brain", "frame"]),
                PositionReferenceIndicator="",
                SliceThickness=SLICE_MM,
                SpacingBetweenSlices=SLICE_MM,
                PixelSpacing=[PIXEL_MM, PIXEL_MM],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[corner, corner, SLICE_MM * (n - SLICES // 2)],
            )
            zipped.writestr(zipfile.ZipInfo(f"IM{place:04d}.dcm"), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _picture() -> bytes:
    """A colourful chequerboard, PNG of 640 x 480."""
    y, x = np.mgrid[0:480, 0:640]
    colours = np.stack([x * 255 // 639, y * 255 // 479, 255 - x * 255 // 639], axis=-1)
    colours[(x // 40 + y // 40) % 2 == 0] = [250, 200, 40]
    buffer = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
