"""Training runs on synthetic images, through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from paths import ROOT

from training.recipes import RECIPES
from training.record import trained_on

COMMAND = [sys.executable, "-m", "training.train"]

# Up to three trainings a test, which share the processors with whatever else is built.
pytestmark = pytest.mark.timeout(1200)


def arguments(model: str, data: Path, out: Path, epochs: int) -> list[str]:
    return [*COMMAND, model, "--data", str(data), "--out", str(out), "--epochs", str(epochs)]


def train(model: str, data: Path, out: Path, epochs: int = 1) -> dict[str, Any]:
    done = subprocess.run(arguments(model, data, out, epochs), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads((out / "training.json").read_text())
    return record


@pytest.mark.parametrize("model", ["chest-xray-pneumonia", "brain-mri-tumour", "modality"])
def test_a_run_leaves_weights_figures_and_its_curve(model: str, data: Path, tmp_path: Path) -> None:
    record = train(model, data, tmp_path)
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(w, w.half().float()) for name, w in weights.items() if name.endswith("weight"))
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert record["arguments"]["seed"] == 20
    assert record["arguments"]["fold"] == 0
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    for figures in record["held_out"].values():
        assert all(0 <= value <= 1 for name, value in figures.items() if name != "patients")
    with np.load(tmp_path / "predictions.npz") as predictions:
        similarity = {"similarity"} if model == "modality" else set()
        assert set(predictions.files) == {"digests", "as they are", *RECIPES[model].views, *similarity}
        held_out = predictions["digests"]
        assert all(len(predictions[view]) == len(held_out) for view in predictions.files)
    assert len(held_out) > 0
    assert not trained_on(record, held_out).any()


def test_an_interrupted_run_goes_on_and_ends_where_an_uninterrupted_one_does(data: Path, tmp_path: Path) -> None:
    whole = train("modality", data, tmp_path / "whole", epochs=2)
    out = tmp_path / "interrupted"
    process = subprocess.Popen(
        arguments("modality", data, out, 2), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (out / "checkpoint.pt").exists():
            assert process.poll() is None, "the run ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "weights.pt").exists()
    resumed = train("modality", data, out, epochs=2)
    for one, other in zip(whole["history"], resumed["history"], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.02)


def test_a_checkpoint_of_other_arguments_is_not_mixed_in(data: Path, tmp_path: Path) -> None:
    train("modality", data, tmp_path)
    done = subprocess.run(arguments("modality", data, tmp_path, 3), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--fresh" in done.stderr


def test_a_data_folder_without_images_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(arguments("modality", tmp_path, tmp_path, 1), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_experiment_is_one_of_those_that_are_there(data: Path, tmp_path: Path) -> None:
    command = [*arguments("chest-xray-pneumonia", data, tmp_path, 1), "--experiment", "more-luck"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is one of" in done.stderr
