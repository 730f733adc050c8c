"""Studies that say who their patient is wherever a format lets them, in words that occur nowhere else."""

from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from hostile import dicom_bytes
from nibabel.nifti1 import Nifti1Extension, Nifti1Image
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

STANDARD = "dicomfields_2026c"
"""Table E.1-1 of DICOM PS3.15, 2026c, as dicom-anonymizer lists it."""
SHOWN = {"Rows", "Columns", "PixelData", "Modality", "BodyPartExamined", "BurnedInAnnotation"}
"""Attributes that make the image what it is; those of dispatch are told, and identify nobody."""
FORMS: dict[str, Callable[[int], str]] = {
    "DA": lambda n: f"18{n % 90 + 10}{n % 12 + 1:02}{n % 28 + 1:02}",
    "TM": lambda n: f"235959.{n:06}",
    "DT": lambda n: f"18{n % 90 + 10}1231235959.{n:06}",
    "AS": lambda n: f"{n % 800 + 200}Y",
    "UI": lambda n: f"2.25.8675309{n:012}",
    "IS": lambda n: f"86753{n:06}",
    "DS": lambda n: f"0.86753{n:06}",
    "AE": lambda n: f"QXAE{n:08}",
    "CS": lambda n: f"QXCS{n:08}",
    "SH": lambda n: f"QXSH{n:08}",
    "PN": lambda n: f"QXPN{n:08}^氏名QX{n:08}",
}
"""What a value representation lets a canary look like; texts of any other are as `_word`."""
CANARY = re.compile(
    rb"QX[A-Z]*\d{8}|2\.25\.8675309\d{12}|86753\d{6}|235959\.\d{6}"  # The last of these stands in DT, too.
)
"""Finds every canary, wherever it stands."""
UNSEEN = {"AS", "DA"}
"""Too short to be found for sure: what looks like them may be something else. They stand in the header all the same."""
TEXTS = {"LO", "LT", "ST", "UC", "UR", "UT"}
NUMBERS = {"FD": 8.6753, "FL": 8.6753, "SL": 86753, "SS": 8675, "SV": 86753, "UL": 86753, "US": 8675, "UV": 86753}


@dataclass
class Study:
    """A file to send.

    Attributes:
        canaries: what must be found nowhere but in it.
        usable: whether it is to be analysed, and not refused.
        pictures: whether an LLM may see its pictures; where not, a name stands in the pixels.
    """

    name: str
    data: bytes
    usable: bool
    pictures: bool
    canaries: list[bytes] = field(default_factory=list)


def identifying() -> list[int]:
    """The tags of the Basic Profile, but for messages between machines and the file's own head (groups 0 to 6)."""
    table = dicom_anonymization_database_selector(STANDARD)
    tags = {tag[0] << 16 | tag[1] for tags in table.values() for tag in tags if len(tag) == 2}
    return sorted(tag for tag in tags if tag >> 16 > 6 and keyword_for_tag(tag) and keyword_for_tag(tag) not in SHOWN)


def canaries_in(data: bytes) -> list[bytes]:
    """What looks like a canary."""
    return CANARY.findall(data)


class Maker:
    """Makes studies, each from a number of its own."""

    def __init__(self) -> None:
        self._tags = identifying()
        self._next = 0

    def study(self, number: int) -> Study:
        """One of each format in turn; some of them cannot be used, each in its way."""
        random_ = random.Random(number)
        make = (self._dicom, self._dicom, self._dicom, self._png, self._jpeg, self._tiff, self._nifti, self._zip)[
            number % 8
        ]
        study = make(np.random.default_rng(number))
        if number % 5 == 4:  # Damaged: what is said of it comes from within the decoders.
            cut = random_.randrange(len(study.data) // 3, len(study.data) - 1)
            study.data, study.usable = study.data[:cut], False
        return study

    def _word(self, form: str = "LO") -> str:
        self._next += 1
        return FORMS.get(form, lambda n: f"QXCANARY{n:08}")(self._next)

    def _named(self, ending: str) -> Study:
        name = self._word()
        return Study(f"{name}.{ending}", b"", usable=True, pictures=ending != "nii", canaries=[name.encode()])

    def _dicom(self, random_: np.random.Generator) -> Study:
        study, declared = self._named("dcm"), random_.choice(["NO", "YES", ""])
        study.pictures = declared == "NO"
        pixels = _pixels(random_) if study.pictures else _with_words(_pixels(random_), self._word())
        dataset = dcmread(io.BytesIO(dicom_bytes(pixels.astype(np.uint16), Modality="DX")))
        dataset.BodyPartExamined, dataset.BurnedInAnnotation = "CHEST", str(declared)
        dataset.SpecificCharacterSet, dataset.PixelSpacing = "ISO_IR 192", [0.5, 0.5]
        for tag in self._tags:
            self._put(dataset, tag, study)
        block = dataset.private_block(0x0009, self._seen(study), create=True)
        block.add_new(0x01, "LO", self._seen(study))
        block.add_new(0x02, "UN", self._seen(study).encode())
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        study.data = stream.getvalue()
        return study

    def _seen(self, study: Study, form: str = "LO") -> str:
        word = self._word(form)
        study.canaries += [] if form in UNSEEN else canaries_in(word.encode())
        return word

    def _put(self, dataset: Dataset, tag: int, study: Study) -> None:
        """Give an attribute a value that its value representation allows, and that nothing else has."""
        form = dictionary_VR(tag).split(" or ")[0]
        value: object
        if form == "SQ":
            item = Dataset()
            item.PatientName, item.CodeMeaning = self._seen(study, "PN"), self._seen(study)
            value = [item]
        elif form in NUMBERS:
            value = NUMBERS[form]
        elif form in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
            value = (self._seen(study) * 2).encode()[:16]
        elif form in FORMS or form in TEXTS:
            value = self._seen(study, form)
        else:
            raise AssertionError(f"no canary of {form}")
        dataset[tag] = DataElement(tag, form, value)

    def _png(self, random_: np.random.Generator) -> Study:
        study, told = self._named("png"), PngInfo()
        told.add_text("Patient", self._seen(study))
        told.add_text("Description", self._seen(study), zip=True)
        told.add_itxt("XML:com.adobe.xmp", f"<x>{self._seen(study)}</x>")
        study.data = _saved(random_, "PNG", pnginfo=told)
        return study

    def _jpeg(self, random_: np.random.Generator) -> Study:
        study, exif = self._named("jpg"), Image.Exif()
        exif[0x010E], exif[0x013B] = self._seen(study), self._seen(study)  # ImageDescription, Artist
        study.data = _saved(random_, "JPEG", exif=exif, comment=self._seen(study).encode())
        return study

    def _tiff(self, random_: np.random.Generator) -> Study:
        study, told = self._named("tiff"), ImageFileDirectory_v2()
        told[270], told[315], told[65000] = self._seen(study), self._seen(study), self._seen(study)
        study.data = _saved(random_, "TIFF", tiffinfo=told)
        return study

    def _nifti(self, random_: np.random.Generator) -> Study:
        study = self._named("nii")
        volume = Nifti1Image(np.stack([_pixels(random_)] * 3, axis=-1), np.eye(4))
        volume.header["descrip"], volume.header["db_name"] = self._seen(study), self._seen(study)
        volume.header["aux_file"], volume.header["intent_name"] = self._seen(study), self._seen(study)
        volume.header.extensions.append(Nifti1Extension("comment", self._seen(study).encode()))
        study.data = volume.to_bytes()
        return study

    def _zip(self, random_: np.random.Generator) -> Study:
        study, inner, stream = self._named("zip"), self._png(random_), io.BytesIO()
        with zipfile.ZipFile(stream, "w") as zipped:
            zipped.writestr(f"{self._seen(study)}/{inner.name}", inner.data)
            zipped.comment = self._seen(study).encode()
        study.canaries += inner.canaries
        study.data = stream.getvalue()
        return study


def _pixels(random_: np.random.Generator) -> np.ndarray:
    return random_.integers(0, 255, (48, 48), dtype=np.uint8)


def _with_words(pixels: np.ndarray, words: str) -> np.ndarray:
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((2, 20), words, fill=255)
    return np.asarray(image)


def _saved(random_: np.random.Generator, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_pixels(random_)).save(stream, format_, **options)
    return stream.getvalue()
