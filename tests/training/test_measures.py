"""Published figures are what their names say, and their intervals hold them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from paths import STORE

from handlers.contract.card import load_card
from training.datasets import Images
from training.measures.classification import expected_calibration_error, measure_classification, specificity_at
from training.measures.modality import measure_modality
from training.measures.segmentation import measure_segmentation
from training.predictions import AS_IS
from training.reports import Figure, Report, bootstrapped, share


def images_of(targets: np.ndarray, patients: list[str], **groups: list[str]) -> Images:
    count = len(targets)
    return Images(
        np.zeros((count, 4, 4, 3), np.uint8), targets, np.array(patients), np.zeros(count, np.int64),
        np.array([str(number) for number in range(count)]), np.array([f"{number:064x}" for number in range(count)]),
        {name: np.array(values) for name, values in groups.items()},
    )  # fmt: skip


def figure(report: Report, metric: str) -> Figure:
    (found,) = [figure for figures in report.tables.values() for figure in figures if figure.metric == metric]
    return found


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263 has the score interval 0.2553 to 0.3662.
    found = share("share", np.arange(263) < 81)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_the_bootstrap_draws_whole_patients() -> None:
    values = np.repeat([0.0, 1.0], 500)
    by_patient = bootstrapped("mean", lambda of: float(values[of].mean()), np.repeat(["a", "b"], 500))
    by_image = bootstrapped("mean", lambda of: float(values[of].mean()), np.arange(1000))
    assert (by_patient.low, by_patient.high, by_patient.count) == (0, 1, 2)
    assert by_image.low is not None
    assert by_image.low > 0.45


def test_a_classifier_is_measured_at_its_threshold() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probability = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.8, 0.9, 0.95])
    images = images_of(targets, list("abcdefgh"), cause=["normal"] * 4 + ["virus"] * 2 + ["bacteria"] * 2)
    report = measure_classification(images, probability, probability >= 0.5)
    assert figure(report, "accuracy").value == 0.75
    assert figure(report, "sensitivity").value == 0.75
    assert figure(report, "specificity").value == 0.75
    assert figure(report, "AUC").value == pytest.approx(15 / 16)
    assert figure(report, "virus").value == 0.5
    assert figure(report, "bacteria").value == 1.0


def test_images_of_one_class_are_measured_as_far_as_they_can_be() -> None:
    images = images_of(np.zeros(4, np.int64), list("abcd"), cause=["normal"] * 4)
    report = measure_classification(images, np.array([0.1, 0.2, 0.9, 0.3]), np.array([False, False, True, False]))
    assert figure(report, "specificity").value == 0.75
    assert {figure.metric for figures in report.tables.values() for figure in figures} == {
        "accuracy", "specificity", "normal",
    }  # fmt: skip
    assert "one class" in report.remarks[0]


def test_specificity_is_told_at_the_sensitivity_asked_for() -> None:
    truth = np.array([True] * 4 + [False] * 4)
    probability = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.05])
    assert specificity_at(truth, probability, 0.75) == 1.0
    assert specificity_at(truth, probability, 1.0) == 0.5


def test_the_calibration_error_is_zero_for_true_chances_and_the_gap_for_false_ones() -> None:
    truth = np.array([True] * 80 + [False] * 20)
    assert expected_calibration_error(truth, np.full(100, 0.8)) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(truth, np.full(100, 0.99)) == pytest.approx(0.19, abs=1e-9)


def test_a_segmenter_is_measured_by_volume_and_by_the_easier_readings() -> None:
    truth = np.zeros((4, 16, 16), np.uint8)
    truth[1, :4, :4] = truth[2, :4, :8] = 1
    predicted = truth.copy()
    predicted[1] = 0
    images = images_of(truth, ["CS_1"] * 3 + ["DU_2"], institution=["CS"] * 3 + ["DU"], position=["first third"] * 4)
    images = replace(images, pixels=np.zeros((4, 16, 16, 3), np.uint8))
    report = measure_segmentation(images, {AS_IS: predicted, "perfect": truth})
    assert figure(report, "mean volume Dice, as they are").value == pytest.approx((2 * 32 / (32 + 48) + 1) / 2)
    assert figure(report, "mean volume Dice, perfect").value == 1.0
    assert figure(report, "CS: mean").value == pytest.approx(0.8)
    assert figure(report, "mean Dice over slices, where an empty slice left empty counts as 1").value == 0.75
    assert figure(report, "mean Dice over slices with a tumour").value == 0.5
    assert figure(report, "share of pixels that are right").value == pytest.approx(1 - 16 / (4 * 256))
    assert figure(report, "share of slices where a tumour is drawn").value == 0.0
    assert figure(report, "HD95: mean").value > 0


def test_a_tumour_drawn_on_a_slice_without_one_is_counted() -> None:
    truth = np.zeros((2, 16, 16), np.uint8)
    truth[0, :4, :4] = 1
    predicted = truth.copy()
    predicted[1, 0, :3] = 1
    images = images_of(truth, ["a", "b"], institution=["CS", "DU"], position=["first third"] * 2)
    report = measure_segmentation(images, {AS_IS: predicted})
    assert figure(report, "share of slices where a tumour is drawn").value == 1.0
    assert figure(report, "pixels drawn, mean over these slices").value == 3.0


def test_the_modality_is_measured_with_its_refusals() -> None:
    card = load_card(STORE / "modality")
    targets = np.array(
        [card.labels.index(label) for label in ("chest-xray", "chest-xray", "brain-mri", "other", "other")]
    )
    said = np.array([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.96, 0.02, 0.02], [0.1, 0.1, 0.8], [0.02, 0.97, 0.01]])
    kinds = ["chest-xray", "chest-xray", "brain-mri", "ct", "photo"]
    report = measure_modality(images_of(targets, list("abcde"), kind=kinds), said, np.full(5, 0.8), card)
    assert figure(report, "the label is right").value == 0.6
    assert figure(report, "images of a model's kind that are let through to it").value == pytest.approx(1 / 3)
    assert figure(report, "images of a model's kind that go to another model").value == pytest.approx(1 / 3)
    assert figure(report, "other images that are let through to a model").value == 0.5
    assert figure(report, "photo").value == 1.0
    assert figure(report, "ct").value == 0.0


def test_a_report_is_published_as_text_numbers_and_pictures(tmp_path: Path) -> None:
    probability = np.linspace(0.01, 0.99, 40)
    targets = (probability > 0.6).astype(np.int64)
    images = images_of(targets, [str(number) for number in range(40)], cause=["normal"] * 40)
    report = measure_classification(images, probability, probability >= 0.5)
    files = report.write(tmp_path / "EVALUATION", "A title", ["What was measured."], {"model": "x"})
    assert sorted(file.name for file in files) == ["EVALUATION-curves.png", "EVALUATION.json", "EVALUATION.md"]
    text = (tmp_path / "EVALUATION.md").read_text()
    assert "| accuracy | 0.9" in text
    assert "![curves](EVALUATION-curves.png)" in text
    numbers = json.loads((tmp_path / "EVALUATION.json").read_text())
    assert numbers["model"] == "x"
    assert numbers["figures"]["At the threshold"][0]["count"] == 40
