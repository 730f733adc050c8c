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
from training import augment, datasets


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
        ("chest-xray-pneumonia", datasets.load_chest_xray, augment.chest_xray),
        ("brain-mri-tumour", datasets.load_brain_mri, augment.brain_mri),
        ("modality", datasets.load_modality, augment.modality),
    ],
)
def test_no_patient_is_on_both_sides_and_shapes_fit_the_card(
    data: Path, name: str, load: datasets.Loader, change: datasets.Augment
) -> None:
    card = load_card(STORE / name)
    train, validation = load(data, card, 1, change)
    assert len(train) > len(validation) > 0
    assert not set(train.patients) & set(validation.patients)
    pixels, _ = train[0]
    assert pixels.dtype == torch.uint8
    assert tuple(pixels.shape) == (card.input.height, card.input.width, card.input.channels)
    assert np.array_equal(validation[0][0].numpy(), validation.pixels[0]), "validation images are not augmented"


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
        pixels = torch.zeros((3, 128, 128), dtype=torch.uint8)
        mask = torch.zeros((128, 128), dtype=torch.uint8)
        pixels[:, 40:80, 50:90] = 255
        mask[40:80, 50:90] = 1
        changed, moved = augment.brain_mri(pixels, mask)
        inside, outside = changed[1][moved == 1].float().mean(), changed[1][moved == 0].float().mean()
        assert set(moved.unique().tolist()) <= {0, 1}
        assert inside > outside + 80


def test_a_share_of_the_slices_becomes_flair_alone() -> None:
    torch.manual_seed(1)
    alone = 0
    for _ in range(100):
        pixels = torch.stack([torch.full((64, 64), level, dtype=torch.uint8) for level in (50, 120, 200)])
        changed, _ = augment.brain_mri(pixels, torch.zeros((64, 64), dtype=torch.uint8))
        alone += bool((changed[0] == changed[1]).all() and (changed[2] == changed[1]).all())
    assert 20 <= alone <= 55
