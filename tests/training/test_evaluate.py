"""From five folds to an archive and its figures, on synthetic images, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT, STORE
from synthetic import PATIENTS

from handlers.contract.archive import load_model
from handlers.contract.card import load_card
from handlers.server import load_handler
from training import datasets

MODEL = "chest-xray-pneumonia"
IMAGES = 4 * PATIENTS

# Five trainings and an export, which share the processors with whatever else is built.
pytestmark = pytest.mark.timeout(1200)


def command(place: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"training.{module}", *arguments], cwd=place, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one model was cross-validated, exported and evaluated."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "model-store" / MODEL).mkdir(parents=True)
    shutil.copy(STORE / MODEL / "card.yaml", folder / "model-store" / MODEL)
    for module, arguments in (
        ("crossvalidate", [MODEL, "--data", str(data)]),
        ("export", [MODEL]),
        ("evaluate", [MODEL, "--data", str(data)]),
    ):
        done = command(folder, module, *arguments)
        assert done.returncode == 0, done.stderr
    return folder


def report(place: Path, name: str) -> dict:
    return json.loads((place / "model-store" / MODEL / f"{name}.json").read_text())


def test_cross_validation_measures_every_image_once(place: Path) -> None:
    found = report(place, "CROSS-VALIDATION")
    assert found["images"] == IMAGES
    assert found["figures"]["At the threshold"][0]["count"] == IMAGES
    assert len(found["folds"]) == datasets.FOLDS


def test_folds_that_are_trained_are_not_trained_again(place: Path, data: Path, tmp_path: Path) -> None:
    weights = place / f"build/training/{MODEL}/fold-0/weights.pt"
    before = weights.stat().st_mtime_ns
    done = command(place, "crossvalidate", MODEL, "--data", str(data), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert weights.stat().st_mtime_ns == before
    again = json.loads((tmp_path / "CROSS-VALIDATION.json").read_text())
    assert again == report(place, "CROSS-VALIDATION")


def test_the_archive_is_the_last_fold_s_model_calibrated(place: Path, data: Path) -> None:
    card, archive = load_model(place / "model-store" / MODEL)
    runs = place / "build/training" / MODEL
    fitted = json.loads((runs / "calibration.json").read_text())
    assert card.threshold == round(fitted["threshold"], 3)
    images = datasets.load_chest_xray(data, card, 20)
    images = images.choose(images.folds == datasets.FOLDS - 1)
    with np.load(runs / f"fold-{datasets.FOLDS - 1}/predictions.npz") as kept:
        logits = kept["as they are"][:, 0] / fitted["temperature"]
    served = load_handler(archive).predict(images.pixels)["probabilities"][:, 1]
    assert served == pytest.approx(1 / (1 + np.exp(-logits)), abs=5e-3)


def test_only_images_that_the_model_did_not_learn_from_are_measured(place: Path, data: Path) -> None:
    found = report(place, "EVALUATION")
    images = datasets.load_chest_xray(data, load_card(place / "model-store" / MODEL), 20)
    assert found["images"] == int((images.folds == datasets.FOLDS - 1).sum())
    assert found["images"] + found["left_out"] == IMAGES
    assert (place / f"build/evaluation/{MODEL}/worst.png").read_bytes().startswith(b"\x89PNG")


def test_the_archive_holds_the_record_of_its_training(place: Path) -> None:
    _, archive = load_model(place / "model-store" / MODEL)
    with zipfile.ZipFile(archive) as packed:
        record = json.loads(packed.read("training.json"))
    assert record["arguments"]["fold"] == datasets.FOLDS - 1
    assert record["data"]["images"] == IMAGES - report(place, "EVALUATION")["images"]
    assert "torch" in record["versions"]


def test_a_folder_of_images_that_were_all_learned_from_is_refused(place: Path, data: Path, tmp_path: Path) -> None:
    images = datasets.load_chest_xray(data, load_card(place / "model-store" / MODEL), 20)
    for name in images.names[images.folds == 0]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / name, tmp_path / name)
    done = command(place, "evaluate", MODEL, "--data", str(tmp_path))
    assert done.returncode == 1
    assert "learned from all of these" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_without_a_trained_fold_says_what_trains_it(tmp_path: Path) -> None:
    (tmp_path / "model-store").mkdir()
    shutil.copytree(STORE / MODEL, tmp_path / "model-store" / MODEL)
    done = command(tmp_path, "export", MODEL)
    assert done.returncode == 1
    assert f"make crossvalidate-{MODEL}" in done.stderr
