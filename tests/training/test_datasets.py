"""What the loaders make of the public sets' layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import STORE
from synthetic import PATIENTS

from handlers.contract.card import load_card
from training import augment, datasets, modality_images
from training.recipes import RECIPES


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person100_bacteria_475.jpeg", "person100"),
        ("person100_virus_184.jpeg", "person100"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("NORMAL2-IM-0115-0001-0002.jpeg", "IM-0115"),
    ],
)
def test_the_patient_is_told_by_the_file_name(name: str, patient: str) -> None:
    assert datasets.chest_xray_patient(Path(name)) == patient


def test_a_name_without_a_patient_is_refused() -> None:
    with pytest.raises(datasets.DataError, match="tells no patient"):
        datasets.chest_xray_patient(Path("scan.jpeg"))


@pytest.mark.parametrize(
    ("name", "load", "change"),
    [
        ("chest-xray-pneumonia", datasets.load_chest_xray, augment.ChestXray()),
        ("brain-mri-tumour", datasets.load_brain_mri, augment.BrainMri()),
        ("modality", modality_images.load_modality, augment.modality),
    ],
)
def test_every_image_is_held_out_once_and_no_patient_is_on_both_sides(
    data: Path, name: str, load: datasets.Loader, change: datasets.Augment
) -> None:
    images = load(data, load_card(STORE / name), 1)
    held_out = []
    for fold in range(datasets.FOLDS):
        train, validation = images.split(fold, change)
        assert len(train) > len(validation) > 0
        assert not set(train.patients) & set(validation.patients)
        held_out += validation.names.tolist()
    assert sorted(held_out) == sorted(images.names[images.folds != datasets.ALWAYS_LEARNED])


@pytest.mark.parametrize("name", ["chest-xray-pneumonia", "modality"])
def test_images_have_the_shape_of_the_card(data: Path, name: str) -> None:
    card = load_card(STORE / name)
    recipe = RECIPES[name]
    train, validation = recipe.load(data, card, 1).split(0, recipe.augment)
    for images in (train, validation):
        assert images[0][0].dtype == torch.uint8
        assert tuple(images[0][0].shape) == (card.input.height, card.input.width, card.input.channels)
    assert np.array_equal(validation[0][0].numpy(), validation.pixels[0]), "held-out images are not augmented"


def test_folds_of_x_rays_are_blocks_of_consecutive_patients(data: Path) -> None:
    images = datasets.load_chest_xray(data, load_card(STORE / "chest-xray-pneumonia"), 1)
    for label in (0, 1):
        chosen = images.targets == label
        numbers = np.array([int("".join(filter(str.isdigit, patient))) for patient in images.patients[chosen]])
        order = np.argsort(numbers, kind="stable")
        assert (np.diff(images.folds[chosen][order]) >= 0).all()


def test_an_epoch_draws_every_class_as_often_as_the_rarest() -> None:
    classes = np.array([0] * 5 + [1] * 50 + [2] * 20)
    torch.manual_seed(0)
    one, other = (list(datasets.Balanced(classes)) for _ in range(2))
    assert np.bincount(classes[one]).tolist() == [5, 5, 5]
    assert len(set(one)) == 15
    assert one != other


def test_byte_identical_copies_are_left_out(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "chest-xray", tmp_path / "chest-xray")
    source = tmp_path / "chest-xray/train/NORMAL/IM-0003-0001.jpeg"
    shutil.copy(source, source.with_name("IM-0999-0001.jpeg"))
    assert len(datasets.chest_xray_files(tmp_path)) == 4 * PATIENTS


def test_slices_are_in_the_order_of_their_numbers(data: Path) -> None:
    numbers = [int(file.stem.rsplit("_", 1)[1]) for file in datasets.brain_mri_files(data)]
    assert numbers == [1, 2, 10] * PATIENTS


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(datasets.DataError, match="chest-xray"):
        datasets.chest_xray_files(tmp_path)


def test_slice_and_mask_change_shape_together() -> None:
    torch.manual_seed(1)
    for _ in range(20):
        pixels = torch.zeros((3, 256, 256), dtype=torch.uint8)
        mask = torch.zeros((256, 256), dtype=torch.uint8)
        pixels[:, 90:150, 100:160] = 255
        mask[90:150, 100:160] = 1
        changed, moved = augment.BrainMri()(pixels, mask)
        inside, outside = changed[1][moved == 1].float().mean(), changed[1][moved == 0].float().mean()
        assert set(moved.unique().tolist()) <= {0, 1}
        assert inside > outside + 80


@pytest.mark.parametrize(
    ("change", "like_flair"),
    [
        (augment.BrainMri(flair_alone=1), {(True, True)}),
        (augment.BrainMri(flair_alone=0, sequence_missing=1), {(True, False), (False, True)}),
        (augment.BrainMri(flair_alone=0, sequence_missing=0), {(False, False)}),
    ],
)
def test_flair_stands_for_all_or_for_one_sequence_where_asked_for(
    change: augment.BrainMri, like_flair: set[tuple[bool, bool]]
) -> None:
    torch.manual_seed(1)
    patches = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    before, flair, after = torch.repeat_interleave(patches, 32, 1).repeat_interleave(32, 2)
    seen = set()
    for _ in range(20):
        changed, _ = change(torch.stack([before, flair, after]), torch.zeros((256, 256), dtype=torch.uint8))
        alike = torch.corrcoef(changed.flatten(1).float()) > 0.9
        seen.add((bool(alike[0, 1]), bool(alike[2, 1])))
    assert seen == like_flair
