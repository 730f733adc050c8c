"""What the data-quality report finds in a folder, and that it finds nothing in a clean one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import ROOT
from PIL import Image
from synthetic import PATIENTS

from training import quality
from training.datasets import DataError

Sets = dict[str, dict[str, Any]]

CLEAN = [
    "unreadable files", "patients in several folds", "byte-identical groups", "byte-identical groups across classes",
    "byte-identical groups across folds", "near-duplicate pairs within a patient",
    "near-duplicate pairs across patients", "near-duplicate pairs across folds",
]  # fmt: skip


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Path:
    for name in ("chest-xray", "brain-mri", "other"):
        shutil.copytree(data / name, tmp_path / "data" / name)
    return tmp_path / "data"


def report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sets:
    out = folder.with_name("report")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["quality", "--data", str(folder), "--out", str(out)])
    quality.main()
    sets: Sets = json.loads((out / "data-quality.json").read_text())["sets"]
    return sets


def test_a_clean_folder_has_no_duplicates_leaks_or_conflicts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = report(folder, monkeypatch)
    assert set(sets) == {"Chest X-rays", "Brain MRI", "Other images"}
    for title, found in sets.items():
        assert {check: found[check] for check in CLEAN} == dict.fromkeys(CLEAN, 0), title
    xrays, slices, others = sets.values()
    assert xrays["files by class"] == {"NORMAL": 2 * PATIENTS, "PNEUMONIA": 2 * PATIENTS}
    assert xrays["patients in both classes"] == 0
    assert xrays["numbers in both `IM-` and `NORMAL2-IM-`"] == PATIENTS
    assert slices["masks missing or unreadable"] == slices["masks of another size than the slice"] == 0
    assert slices["slice numbers missing in stacks"] == 7 * PATIENTS, "the slices are 1, 2 and 10"
    assert slices["patients by institution"] == {"CS": PATIENTS // 2, "DU": PATIENTS // 2}
    assert others["images below 128 pixels on a side"] == PATIENTS


def test_a_copy_in_the_other_class_is_a_conflict_of_labels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder / "chest-xray/train/NORMAL/IM-0003-0001.jpeg"
    shutil.copy(source, folder / "chest-xray/train/PNEUMONIA/person3_virus_9.jpeg")
    found = report(folder, monkeypatch)["Chest X-rays"]
    assert found["byte-identical groups"] == found["surplus byte-identical files"] == 1
    assert found["byte-identical groups across classes"] == found["byte-identical groups across patients"] == 1
    assert found["near-duplicate pairs across patients"] == 0, "a copy is counted once, as byte-identical"


def test_a_re_encoded_image_of_another_patient_leaks_between_folds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = folder / "chest-xray/train/NORMAL"
    with Image.open(train / "IM-0000-0001.jpeg") as picture:
        picture.save(train / f"IM-{PATIENTS:04d}-0001.jpeg", quality=90)
    found = report(folder, monkeypatch)["Chest X-rays"]
    assert found["near-duplicate pairs across patients"] == 1
    assert found["near-duplicate pairs across folds"] == 1, "folds are of consecutive patients"
    assert found["near-duplicate pairs across classes"] == found["byte-identical groups"] == 0


def test_two_images_of_one_patient_that_are_alike_are_no_leak(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = folder / "chest-xray/train/NORMAL"
    with Image.open(train / "IM-0000-0001.jpeg") as picture:
        picture.save(train / "IM-0000-0002.jpeg", quality=90)
    found = report(folder, monkeypatch)["Chest X-rays"]
    assert found["near-duplicate pairs within a patient"] == 1
    assert found["near-duplicate pairs across patients"] == found["near-duplicate pairs across folds"] == 0


def test_masks_that_fit_their_slice_badly_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, grey, *_ = sorted((folder / "brain-mri").glob("*/*_mask.png"))
    Image.fromarray(np.zeros((64, 64), bool)).save(small)
    Image.fromarray(np.arange(256, dtype=np.uint8).repeat(256).reshape(256, 256)).save(grey)
    dark = next((folder / "brain-mri").glob("*0005*/*_2.jpg"))
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(dark)
    found = report(folder, monkeypatch)["Brain MRI"]
    assert found["masks of another size than the slice"] == 1
    assert found["masks of more than two grey levels"] == 1
    assert found["masks that are mostly where the slice is black"] == 1


def test_what_training_refuses_is_counted_and_folds_are_said_to_be_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((folder / "brain-mri").glob("*/*_mask.png")).unlink()
    next((folder / "chest-xray").glob("*/*/*.jpeg")).write_bytes(b"no image")
    sets = report(folder, monkeypatch)
    assert sets["Brain MRI"]["masks missing or unreadable"] == 1
    assert sets["Brain MRI"]["files by class"]["no mask"] == 1
    assert sets["Chest X-rays"]["unreadable files"] == 1
    for title in ("Brain MRI", "Chest X-rays"):
        assert "not known" in sets[title]["near-duplicate pairs across folds"]


def test_no_patient_can_be_told_from_the_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(folder, monkeypatch)
    for file in folder.with_name("report").iterdir():
        text = file.read_text()
        assert "TCGA_CS" not in text
        assert "person1" not in text
        assert "IM-0" not in text


def test_a_folder_without_any_set_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"chest-xray/.*brain-mri/.*other/"):
        quality.inspect(tmp_path, 20)
