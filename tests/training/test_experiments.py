"""An experiment is its model's recipe but for what its file assigns."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from training import recipes
from training.recipes import RECIPES, RecipeError, experiments, recipe_of


@pytest.mark.parametrize(("model", "experiment"), [(model, name) for model in RECIPES for name in experiments(model)])
def test_each_experiment_changes_one_thing(model: str, experiment: str) -> None:
    changed = recipe_of(model, experiment)
    names = [field.name for field in fields(changed)]
    assert sum(getattr(changed, name) != getattr(RECIPES[model], name) for name in names) == 1


def test_a_file_that_changes_nothing_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modality").mkdir()
    (tmp_path / "modality/slip.py").write_text("learning_rat = 1\n")
    monkeypatch.setattr(recipes, "EXPERIMENTS", tmp_path)
    with pytest.raises(RecipeError, match=r"slip\.py assigns to none of: .*learning_rate"):
        recipe_of("modality", "slip")
