"""The images of a data folder, held in memory as uint8, and their split by patient.

The folder layout is that of the public sets:

    chest-xray/*/{NORMAL,PNEUMONIA}/*.jpeg               Kermany et al. 2018
    brain-mri/TCGA_*/*.jpg with *_mask.png                Buda et al. 2019
    other/<kind>/*                                        images that no model accepts
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from handlers.contract.card import Card, Input
from handlers.contract.errors import DokueiError
from handlers.contract.preprocess import fit, fit_all

SLICE_NUMBER = re.compile(r"_(\d+)$")
FOLDS = 5
ALWAYS_LEARNED = -1
"""In the place of a fold: the image is in every training, and measures none."""

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DataError(DokueiError):
    """The data folder lacks what is needed; the message names folder and layout."""


@dataclass
class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images and targets in memory.

    Attributes:
        pixels: uint8 [N, H, W, C].
        targets: [N] labels (int64), or uint8 [N, H, W] masks of 0 and 1.
        patients: [N] patient keys.
        folds: [N] which of the five folds an image is in, or `ALWAYS_LEARNED`; a patient is in one.
        names: [N] file names relative to the data folder.
        digests: [N] SHA-256 of the files' bytes, in hexadecimal.
        groups: by subgroup name, [N] the value of each image, "" where it has none.
        augment: applied to uint8 [C, H, W] and its target, where given.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[Any]
    patients: NDArray[np.str_]
    folds: NDArray[np.int64]
    names: NDArray[np.str_]
    digests: NDArray[np.str_]
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    augment: Augment | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(self.pixels[index]).permute(2, 0, 1)
        target = torch.as_tensor(self.targets[index])
        if self.augment is not None:
            pixels, target = self.augment(pixels, target)
        return pixels.permute(1, 2, 0), target

    def choose(self, which: NDArray[Any], augment: Augment | None = None) -> Images:
        """The images that `which` (a mask or indices) chooses, augmented by `augment`."""
        return Images(
            self.pixels[which], self.targets[which], self.patients[which], self.folds[which], self.names[which],
            self.digests[which], {name: values[which] for name, values in self.groups.items()}, augment,
        )  # fmt: skip

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the images of each patient begin, who follow one another."""
        return np.flatnonzero(np.append(True, self.patients[1:] != self.patients[:-1]))

    @property
    def classes(self) -> NDArray[np.int64]:
        """[N] the labels, or for masks whether there is anything in them."""
        labels = self.targets if self.targets.ndim == 1 else self.targets.reshape(len(self), -1).max(1)
        return np.asarray(labels, dtype=np.int64)

    def split(self, fold: int, augment: Augment) -> tuple[Images, Images]:
        """Training part, augmented, and validation part, which is one fold."""
        return self.choose(self.folds != fold, augment), self.choose(self.folds == fold)


class Balanced(Sampler[int]):
    """Each epoch, as many images of each class as there are of the rarest, drawn anew."""

    def __init__(self, classes: NDArray[np.int64]) -> None:
        self.members = [torch.from_numpy(np.flatnonzero(classes == value)) for value in np.unique(classes)]
        self.least = min(map(len, self.members))

    def __len__(self) -> int:
        return self.least * len(self.members)

    def __iter__(self) -> Iterator[int]:
        chosen = torch.cat([indices[torch.randperm(len(indices))[: self.least]] for indices in self.members])
        yield from chosen[torch.randperm(len(chosen))].tolist()


Loader = Callable[[Path, Card, int], Images]
"""Data folder, card and seed to images."""


def random_folds(strata: Iterable[Any], patients: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """Folds by patient that keep the proportions of `strata`; all 0 where there are fewer patients than folds."""
    labels = np.array(list(strata))
    folds = np.zeros(len(labels), np.int64)
    if len(np.unique(patients)) >= FOLDS:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for number, (_, chosen) in enumerate(splitter.split(labels, labels, patients)):
            folds[chosen] = number
    return folds


def digests_of(files: Iterable[Path]) -> NDArray[np.str_]:
    """SHA-256 of each file's bytes, in hexadecimal."""
    return np.array([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])


def names_of(files: Iterable[Path], data: Path) -> NDArray[np.str_]:
    """File names relative to the data folder."""
    return np.array([file.relative_to(data).as_posix() for file in files])


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern finds, in order.

    Raises:
        DataError: there is none; says where.
    """
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"{folder / pattern}: no such images; DATA= names a folder laid out as in training/datasets.py")
    return files


def _read(file: Path) -> np.ndarray[Any, Any]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def read_all(files: Iterable[Path], to: Input, name: str) -> NDArray[np.uint8]:
    """Images fitted to a card's input, uint8 [N, H, W, C]; `name` is for the progress bar."""
    return fit_all((_read(file) for file in tqdm(list(files), desc=f"reading {name}", unit="image")), to)


def chest_xray_patient(file: Path) -> str:
    """The patient of a Kermany file name: the digits after `person`, else the first number after `IM`.

    >>> chest_xray_patient(Path("person100_bacteria_475.jpeg"))
    'person100'
    >>> chest_xray_patient(Path("NORMAL2-IM-0528-0001.jpeg"))
    'IM-0528'
    """
    match = re.match(r"(person\d+)_|(?:NORMAL2-)?(IM-\d+)-", file.name)
    if match is None:
        raise DataError(f"{file}: the name tells no patient (expected person<n>_… or IM-<n>-…)")
    return match[1] or match[2]


def chest_xray_folds(patients: NDArray[np.str_], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Folds of consecutive patient numbers, as many images of each class in each.

    The numbers follow the time of acquisition, and the official test folder holds the lowest. So the first fold is the
    one that is nearest to that folder, and every fold is a test of images from another time than those learned from.
    """
    folds = np.zeros(len(labels), np.int64)
    numbers = np.array([int(re.sub(r"\D", "", patient)) for patient in patients])
    for label in np.unique(labels):
        chosen = np.flatnonzero(labels == label)
        values, counts = np.unique(numbers[chosen], return_counts=True)
        block = (np.cumsum(counts) - counts / 2) * FOLDS // len(chosen)
        folds[chosen] = block.astype(np.int64)[np.searchsorted(values, numbers[chosen])]
    return folds


def chest_xray_files(data: Path) -> list[Path]:
    """The X-rays without byte-identical copies, which would count twice."""
    files = files_in(data, "chest-xray/*/*/*.jpeg")
    return list(dict(zip(digests_of(reversed(files)), reversed(files), strict=True)).values())[::-1]


def load_chest_xray(data: Path, card: Card, seed: int) -> Images:
    """X-rays with label 0 (normal) or 1 (pneumonia); the folds do not depend on the seed."""
    del seed
    files = chest_xray_files(data)
    labels = np.array([file.parent.name == "PNEUMONIA" for file in files], dtype=np.int64)
    patients = np.array([chest_xray_patient(file) for file in files])
    causes = [next((cause for cause in ("bacteria", "virus") if cause in file.name), "normal") for file in files]
    return Images(
        read_all(files, card.input, "X-rays"), labels, patients, chest_xray_folds(patients, labels),
        names_of(files, data), digests_of(files), {"cause": np.array(causes)},
    )  # fmt: skip


def brain_mri_files(data: Path) -> list[Path]:
    """The MRI slices, by patient and slice number."""
    files = [file for file in files_in(data, "brain-mri/TCGA_*/*.jpg") if SLICE_NUMBER.search(file.stem)]
    return sorted(files, key=lambda file: (file.parent.name, int(SLICE_NUMBER.search(file.stem)[1])))  # type: ignore[index]


def load_brain_mri(data: Path, card: Card, seed: int) -> Images:
    """MRI slices with masks; subgroups are the institution (the second part of a patient's name) and the position."""
    files = brain_mri_files(data)
    masks = np.stack([fit(_read(file.with_name(f"{file.stem}_mask.png")), card.input)[:, :, 0] > 127 for file in files])
    patients = np.array([file.parent.name for file in files])
    institutions = np.array([patient.split("_")[1] for patient in patients])
    return Images(
        read_all(files, card.input, "slices"), masks.astype(np.uint8), patients,
        random_folds(institutions, patients, seed), names_of(files, data), digests_of(files),
        {"institution": institutions, "position": _positions(patients)},
    )  # fmt: skip


def _positions(patients: NDArray[np.str_]) -> NDArray[np.str_]:
    """Which third of its patient's stack, in file order, each slice is in."""
    positions = np.empty(len(patients), "U16")
    for patient in np.unique(patients):
        chosen = np.flatnonzero(patients == patient)
        for part, third in zip(np.array_split(chosen, 3), ("first third", "middle third", "last third"), strict=True):
            positions[part] = third
    return positions
