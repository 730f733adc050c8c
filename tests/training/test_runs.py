"""Trainings that are there are taken only for what was asked."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from training.recipes import recipe_of
from training.runs import RunError, train_all
from training.train import Arguments


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arguments:
    """A finished run."""
    monkeypatch.chdir(tmp_path)
    arguments = Arguments.of("modality", "no-such-data")
    arguments.folder.mkdir(parents=True)
    record = {"arguments": asdict(arguments), "recipe": recipe_of("modality").described(), "held_out": {}}
    (arguments.folder / "training.json").write_text(json.dumps(record))
    return arguments


def test_a_finished_run_is_not_repeated(there: Arguments) -> None:
    assert train_all([there])[0]["arguments"] == asdict(there)


def test_a_run_of_other_arguments_is_refused_by_its_folder(there: Arguments) -> None:
    with pytest.raises(RunError, match=r"build/training/modality/fold-0 is of another training: its seed was 20"):
        train_all([replace(there, seed=7)])


def test_a_run_of_other_epochs_than_the_recipe_s_is_kept_apart(there: Arguments) -> None:
    assert replace(there, epochs=99).folder != there.folder


def test_a_run_of_another_recipe_is_refused(there: Arguments) -> None:
    file = there.folder / "training.json"
    record = json.loads(file.read_text())
    record["recipe"]["learning_rate"] = "7"
    file.write_text(json.dumps(record))
    with pytest.raises(RunError, match="learning_rate was 7"):
        train_all([there])


def test_a_training_that_fails_is_told_with_its_log(there: Arguments) -> None:
    other = replace(there, fold=1)
    with pytest.raises(RunError, match=r"fold-1 failed, see the end of .*train\.log"):
        train_all([other])
    assert "the card cannot be read" in (other.folder / "train.log").read_text()
