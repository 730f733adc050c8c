"""The training images, held in memory as uint8, split by patient.

Each loader returns `(train, validation)`. The folder layout is that of the public sets:

    chest-xray/{train,val}/{NORMAL,PNEUMONIA}/*.jpeg     Kermany et al. 2018
    brain-mri/TCGA_*/*.jpg with *_mask.png                Buda et al. 2019
    other/<kind>/*                                        images that no model accepts
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from handlers.contract.card import Card, Input
from handlers.contract.errors import DokueiError
from handlers.contract.preprocess import fit, fit_all

SLICE_NUMBER = re.compile(r"_(\d+)$")
FOLDS = 7
"""One of seven folds validates: about 14 % of the patients."""

GENERATED = 400
"""Blank, noise, gradient and checkerboard images among the `other` of the modality model."""

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DataError(DokueiError):
    """The data folder lacks what a training needs; the message names folder and layout."""


@dataclass
class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images and targets in memory.

    Attributes:
        pixels: uint8 [N, H, W, C].
        targets: [N] labels (int64), or uint8 [N, H, W] masks of 0 and 1.
        patients: [N] patient keys.
        augment: applied to uint8 [C, H, W] and its target, where given.
    """

    pixels: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]
    patients: np.ndarray[Any, Any]
    augment: Augment | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(self.pixels[index]).permute(2, 0, 1)
        target = torch.as_tensor(self.targets[index])
        if self.augment is not None:
            pixels, target = self.augment(pixels, target)
        return pixels.permute(1, 2, 0), target

    def split(self, strata: Sequence[Any] | np.ndarray[Any, Any], seed: int, augment: Augment) -> tuple[Images, Images]:
        """Split by patient, keeping the proportions of `strata`; only the training part is augmented."""
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        train, validation = next(iter(folds.split(self.pixels, strata, self.patients)))
        return (
            Images(self.pixels[train], self.targets[train], self.patients[train], augment),
            Images(self.pixels[validation], self.targets[validation], self.patients[validation]),
        )


Loader = Callable[[Path, Card, int, Augment], tuple[Images, Images]]
"""Data folder, card, seed and augmentation to training and validation images."""


def _files(folder: Path, pattern: str) -> list[Path]:
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"{folder / pattern}: no such images; DATA= names a folder laid out as in training/datasets.py")
    return files


def _read(file: Path) -> np.ndarray[Any, Any]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _read_all(files: Iterable[Path], to: Input, name: str) -> np.ndarray[Any, Any]:
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


def _without_duplicates(files: list[Path]) -> list[Path]:
    """Leave out byte-identical copies, which would stand on both sides of a split."""
    return list({hashlib.sha256(file.read_bytes()).digest(): file for file in reversed(files)}.values())[::-1]


def chest_xray_files(data: Path) -> list[Path]:
    """The X-rays of the published train and val folders without byte-identical copies."""
    return _without_duplicates(_files(data, "chest-xray/*/*/*.jpeg"))


def load_chest_xray(data: Path, card: Card, seed: int, augment: Augment) -> tuple[Images, Images]:
    """X-rays with label 0 (normal) or 1 (pneumonia)."""
    files = chest_xray_files(data)
    labels = np.array([file.parent.name == "PNEUMONIA" for file in files], dtype=np.int64)
    patients = np.array([chest_xray_patient(file) for file in files])
    return Images(_read_all(files, card.input, "X-rays"), labels, patients).split(labels, seed, augment)


def brain_mri_files(data: Path) -> list[Path]:
    """The MRI slices, by patient and slice number."""
    files = [file for file in _files(data, "brain-mri/TCGA_*/*.jpg") if SLICE_NUMBER.search(file.stem)]
    return sorted(files, key=lambda file: (file.parent.name, int(SLICE_NUMBER.search(file.stem)[1])))  # type: ignore[index]


def load_brain_mri(data: Path, card: Card, seed: int, augment: Augment) -> tuple[Images, Images]:
    """MRI slices with masks; strata are the institutions, the second part of a patient's name."""
    files = brain_mri_files(data)
    masks = np.stack([fit(_read(file.with_name(f"{file.stem}_mask.png")), card.input)[:, :, 0] > 127 for file in files])
    patients = np.array([file.parent.name for file in files])
    strata = [patient.split("_")[1] for patient in patients]
    return Images(_read_all(files, card.input, "slices"), masks.astype(np.uint8), patients).split(strata, seed, augment)


def _generated_negatives(count: int, size: int, seed: int) -> np.ndarray[Any, Any]:
    """Blank, noise, gradient and checkerboard images: what a broken export looks like. uint8 [count, size, size, 3]."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size)
    images = []
    for index in range(count):
        low, high = np.sort(random.uniform(0, 255, 2))
        match index % 4:
            case 0:
                plane = np.full((size, size), low)
            case 1:
                plane = random.normal((low + high) / 2, (high - low) / 2 + 1, (size, size))
            case 2:
                plane = low + (high - low) * np.outer(ramp, np.ones(size))[:, :: random.choice((-1, 1))]
                plane = plane.T if random.random() < 0.5 else plane
            case _:
                period = int(random.integers(2, size // 4))
                row = np.arange(size) // period
                plane = np.where((row[:, None] + row[None]) % 2 == 0, low, high)
        images.append(np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2))
    return np.stack(images)


def load_modality(data: Path, card: Card, seed: int, augment: Augment) -> tuple[Images, Images]:
    """Images of each label of the card; a hospital's MRI is mostly one grey sequence, so half the slices are that."""
    random = np.random.default_rng(seed)
    xray_files, brain_files = chest_xray_files(data), brain_mri_files(data)
    other_files = _files(data, "other/*/*")
    brain = _read_all(brain_files, card.input, "MRI slices")
    for index in np.flatnonzero(random.random(len(brain)) < 0.5):
        brain[index] = brain[index][:, :, [int(random.integers(3))]]
    generated = _generated_negatives(GENERATED, card.input.height, seed)
    pixels = np.concatenate(
        [_read_all(xray_files, card.input, "X-rays"), brain, _read_all(other_files, card.input, "others"), generated]
    )
    patients = [chest_xray_patient(file) for file in xray_files] + [file.parent.name for file in brain_files]
    patients += [str(file) for file in other_files] + [f"generated-{n}" for n in range(len(generated))]
    label = card.labels.index
    targets = [label("chest-xray")] * len(xray_files) + [label("brain-mri")] * len(brain_files)
    targets += [label("other")] * (len(other_files) + len(generated))
    labels = np.array(targets, dtype=np.int64)
    return Images(pixels, labels, np.array(patients)).split(labels, seed, augment)
