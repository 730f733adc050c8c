"""The images that the modality model learns to tell apart.

What no model accepts comes from `other/<kind>/`, and from images made here. A hospital's brain MRI is not all like
the public set's: most series hold one grey sequence, and many are coronal or sagittal. So half of the slices become
one of their sequences, T1 before or after contrast or FLAIR, planes are cut through each stack, and planes of a
skull-stripped T1 brain stand beside them: the MNI152 template (Fonov et al. 2009) that nilearn ships.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlers.contract.card import Card, Input
from handlers.contract.preprocess import fit_all

from .datasets import (
    ALWAYS_LEARNED,
    Images,
    Loader,
    brain_mri_files,
    chest_xray_files,
    chest_xray_patient,
    digests_of,
    files_in,
    names_of,
    random_folds,
    read_all,
)  # fmt: skip

GENERATED = 400
"""Blank, noise, gradient and checkerboard images among the `other`."""

DARK = 40
"""Grey levels up to this are all that slices beyond the head hold."""

CUTS = 5
"""Planes that are cut through each patient's stack in either direction."""

STACK_HEIGHT = (0.6, 0.95)
"""Height of a stack as a share of the side of its slices: from some 14 of 24 cm to an image that the head fills."""

SEQUENCES_APART = 0.5
"""Share of the MRI that is one grey sequence."""


TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
TEMPLATE_BRAIN = "MNI152"
TEMPLATE_PLANES = 20
"""Planes of the template along each of its axes."""


def _generated_negatives(count: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Blank, noise, gradient and checkerboard images: what a broken export looks like. uint8 [count, size, size, 3].

    None is as dark as the slices beyond the head are, of which no network could tell them.
    """
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size)
    images = []
    for index in range(count):
        low, high = np.sort(random.uniform(DARK, 255, 2))
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


def cut(stack: NDArray[np.uint8], plane: str, position: float, share: float) -> NDArray[np.uint8]:
    """A coronal or sagittal plane of axial slices, with the last slice on top, in the middle of a black square.

    Args:
        stack: uint8 [slices, side, side, 3].
        plane: "coronal" or "sagittal".
        position: from 0 to 1, along the axis that the plane stands on.
        share: height of the stack as a share of the side.

    Returns:
        uint8 [side, side, 3].
    """
    side = stack.shape[1]
    index = round(position * (side - 1))
    rows = (stack[:, index] if plane == "coronal" else stack[:, :, index])[::-1]
    height = round(share * side)
    picture = Image.fromarray(np.ascontiguousarray(rows)).resize((side, height), Image.Resampling.BICUBIC)
    square = np.zeros((side, side, 3), np.uint8)
    top = (side - height) // 2
    square[top : top + height] = np.asarray(picture)
    return square


def _of_kinds(
    pixels: NDArray[np.uint8], kinds: list[str], patients: list[str], names: Iterable[str], digests: NDArray[np.str_]
) -> Images:
    """Images whose labels and folds are still to come."""
    undecided = np.zeros(len(pixels), np.int64)
    return Images(
        pixels, undecided, np.array(patients), undecided, np.array(list(names)), digests, {"kind": np.array(kinds)}
    )


def _cuts(brain: Images, random: np.random.Generator) -> Images:
    """Planes through the middle of each patient's stack; their digests are of the stack's, whatever the position."""
    pixels, patients, kinds, digests = [], [], [], []
    for stack in np.split(np.arange(len(brain)), brain.starts[1:]):
        for number in range(2 * CUTS):
            plane = ("coronal", "sagittal")[number % 2]
            pixels.append(cut(brain.pixels[stack], plane, random.uniform(0.3, 0.7), random.uniform(*STACK_HEIGHT)))
            patients.append(brain.patients[stack[0]])
            kinds.append(f"brain-mri, {plane}")
            whole = "".join([*brain.digests[stack], str(number)])
            digests.append(hashlib.sha256(whole.encode()).hexdigest())
    return _of_kinds(np.stack(pixels), kinds, patients, [f"cut/{digest}" for digest in digests], np.array(digests))


def _template(to: Input, random: np.random.Generator) -> Images:
    """Sagittal, coronal and axial planes of the template, the head upright."""
    with as_file(files("nilearn") / TEMPLATE) as file:
        volume = np.asanyarray(nibabel.load(file).dataobj)
    volume = (volume / volume.max() * 255).astype(np.uint8)
    planes, kinds = [], []
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        for position in random.uniform(0.25, 0.75, TEMPLATE_PLANES):
            planes.append(np.rot90(volume.take(round(position * volume.shape[axis]), axis)))
            kinds.append(f"brain-mri, skull-stripped {plane}")
    names = [f"template/{number}" for number in range(len(planes))]
    digests = np.array([hashlib.sha256(name.encode()).hexdigest() for name in names])
    return _of_kinds(
        fit_all(map(np.ascontiguousarray, planes), to), kinds, [TEMPLATE_BRAIN] * len(planes), names, digests
    )


def _of_files(data: Path, files: list[Path], kinds: list[str], patients: list[str], card: Card, name: str) -> Images:
    return _of_kinds(
        read_all(files, card.input, name), kinds, patients, names_of(files, data).tolist(), digests_of(files)
    )


def load_modality(data: Path, card: Card, seed: int) -> Images:
    """Images of each label of the card.

    The subgroup `kind` is the label, with the plane of what was cut, or the folder's name for what no model accepts.
    """
    random = np.random.default_rng(seed)
    template = _template(card.input, random)
    found = chest_xray_files(data)
    xrays = _of_files(
        data, found, ["chest-xray"] * len(found), [chest_xray_patient(file) for file in found], card, "X-rays"
    )
    found = brain_mri_files(data)
    brain = _of_files(data, found, ["brain-mri"] * len(found), [file.parent.name for file in found], card, "MRI slices")
    cuts = _cuts(brain, random)
    for images in (brain, cuts):
        for index in np.flatnonzero(random.random(len(images)) < SEQUENCES_APART):
            images.pixels[index] = images.pixels[index][:, :, [int(random.integers(3))]]
    found = files_in(data, "other/*/*")
    others = _of_files(
        data, found, [file.parent.name for file in found], names_of(found, data).tolist(), card, "others"
    )
    made = [f"generated/{seed}/{number}" for number in range(GENERATED)]
    digests = np.array([hashlib.sha256(name.encode()).hexdigest() for name in made])
    pixels = _generated_negatives(GENERATED, card.input.height, seed)
    generated = _of_kinds(pixels, ["generated"] * GENERATED, made, made, digests)

    parts = (xrays, brain, cuts, template, others, generated)
    kinds = np.concatenate([part.groups["kind"] for part in parts])
    labels = [kind.partition(",")[0] for kind in kinds]
    targets = np.array([card.labels.index(label if label in card.labels else "other") for label in labels])
    patients = np.concatenate([part.patients for part in parts])
    folds = random_folds(targets, patients, seed)
    folds[patients == TEMPLATE_BRAIN] = ALWAYS_LEARNED
    return Images(
        np.concatenate([part.pixels for part in parts]), targets, patients, folds,
        np.concatenate([part.names for part in parts]), np.concatenate([part.digests for part in parts]),
        {"kind": kinds},
    )  # fmt: skip


def without_kinds(*kinds: str) -> Loader:
    """`load_modality` with every image of some kinds of `other` in the first fold, whose model never sees them."""

    def load(data: Path, card: Card, seed: int) -> Images:
        images = load_modality(data, card, seed)
        images.folds[np.isin(images.groups["kind"], kinds)] = 0
        return images

    return load


def never_seen(images: Images, fold: int) -> NDArray[np.bool_]:
    """[N] the images of kinds of which none was learned from where `fold` was held out."""
    kinds = images.groups["kind"]
    return ~np.isin(kinds, kinds[images.folds != fold])
