"""Temperature and threshold are found where they are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from training import calibration


def told_by(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels whose chance is exactly what the logits say."""
    return (np.random.default_rng(seed).random(len(logits)) < expit(logits)).astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_logits_were_multiplied_by_is_found(temperature: float) -> None:
    true = np.random.default_rng(1).normal(0, 2, 20000)
    fitted = calibration.fit_finding(true * temperature, told_by(true))
    assert fitted.temperature == pytest.approx(temperature, rel=0.06)


def test_the_threshold_is_at_or_above_the_best_for_balanced_accuracy_and_no_worse_than_its_error() -> None:
    logits = np.random.default_rng(2).normal(1, 2, 4000)
    targets = told_by(logits)
    fitted = calibration.fit_finding(logits, targets)
    probability = expit(logits / fitted.temperature)

    def balanced(threshold: float) -> float:
        told = probability >= threshold
        return float((told[targets == 1].mean() + (~told[targets == 0]).mean()) / 2)

    thresholds = np.linspace(0.02, 0.98, 97)
    best = max(thresholds, key=balanced)
    assert fitted.threshold >= best - 0.01
    assert balanced(best) - balanced(fitted.threshold) < 0.02


def test_a_fold_is_calibrated_by_the_others_alone() -> None:
    true = np.random.default_rng(3).normal(0, 2, 5000)
    folds = np.arange(5000) % 5
    targets = told_by(true)
    scaled, thresholds = calibration.cross_fitted(calibration.fit_finding, true, targets, folds)
    spoiled = np.where(folds == 2, 1 - targets, targets)
    other, other_thresholds = calibration.cross_fitted(calibration.fit_finding, true, spoiled, folds)
    assert np.array_equal(scaled[folds == 2], other[folds == 2])
    assert np.array_equal(thresholds[folds == 2], other_thresholds[folds == 2])
    assert not np.array_equal(scaled[folds == 1], other[folds == 1])


def kinds(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three kinds, and labels whose chance is exactly what the logits say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, 3))
    chance = softmax(logits, axis=1).cumsum(1)
    return logits, (random.random((count, 1)) > chance).sum(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_three_kinds_is_found(temperature: float) -> None:
    logits, targets = kinds(20000)
    fitted = calibration.fit_kinds(2)(logits * temperature, targets)
    assert fitted.temperature == pytest.approx(temperature, rel=0.06)


def test_the_threshold_of_kinds_costs_no_more_right_images_than_it_may() -> None:
    logits, targets = kinds(20000)
    fitted = calibration.fit_kinds(2)(logits, targets)
    right = (logits.argmax(1) == targets) & (targets != 2)
    largest = softmax(logits[right] / fitted.temperature, axis=1).max(1)
    refused = largest < fitted.threshold
    assert refused.mean() == pytest.approx(calibration.REFUSED_AS_UNSURE, abs=2e-4)


def test_the_least_similarity_costs_no_more_images_of_the_models_kinds_than_it_may() -> None:
    similarity = np.random.default_rng(0).normal(0.7, 0.1, 20000)
    least = calibration.least_similarity(similarity)
    assert (similarity < least).mean() == pytest.approx(calibration.REFUSED_AS_UNLIKE, abs=1e-4)


def test_a_calibration_comes_back_as_it_was_kept_and_a_missing_one_is_named(tmp_path: Path) -> None:
    kept = calibration.Calibration(temperature=0.8, threshold=0.43, least_similarity=0.46)
    calibration.save(tmp_path / "kept.json", kept)
    assert calibration.load(tmp_path / "kept.json") == kept
    with pytest.raises(calibration.CalibrationError, match=r"missing\.json is missing; `make crossvalidate"):
        calibration.load(tmp_path / "missing.json")
