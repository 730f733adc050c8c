"""How well a finding is told, and how far its probability can be believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure as Plot
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from training.datasets import Images
from training.reports import Figure, Report, bootstrapped, share

BINS = 15
RANGES = 5
"""Ranges of probability in a card's `reliability`: wide, as few images fall between sure and not."""
LEAST_SENSITIVITY = 0.97


def measure_classification(images: Images, probability: NDArray[np.floating], told: NDArray[np.bool_]) -> Report:
    """Measure a classifier of one finding.

    Args:
        images: whose targets are 0 or 1.
        probability: [N] of the finding.
        told: [N] whether the model tells the finding, which is its probability against its threshold.
    """
    truth = images.targets == 1
    report = Report()
    report.add("At the threshold", share("accuracy", told == truth))
    for name, of in (("sensitivity", truth), ("specificity", ~truth)):
        if of.any():
            report.add("At the threshold", share(name, (told == truth)[of]))
    if truth.any() and not truth.all():
        _add_of_both(report, images.patients, truth, probability, told)
    else:
        report.remarks.append("All images are of one class, so there is no AUC and no balanced accuracy.")
    for name, values in images.groups.items():
        for value in np.unique(values):
            chosen = values == value
            report.add(f"Right at the threshold, by {name}", share(str(value), (told == truth)[chosen]))
    return report


def _add_of_both(
    report: Report,
    patients: NDArray[np.str_],
    truth: NDArray[np.bool_],
    probability: NDArray[np.floating],
    told: NDArray[np.bool_],
) -> None:
    """Add the figures that need images of both classes."""

    def figure(
        metric: str, statistic: Callable[[NDArray[np.bool_], NDArray[Any]], float], of_what: NDArray[Any]
    ) -> Figure:
        def of(chosen: NDArray[np.int64]) -> float:
            both = 0 < truth[chosen].sum() < len(chosen)  # A draw of few patients can miss a class.
            return statistic(truth[chosen], of_what[chosen]) if both else np.nan

        return bootstrapped(metric, of, patients)

    report.add("At the threshold", figure("balanced accuracy", _balanced_accuracy, told))
    report.add(
        "Whatever the threshold",
        figure("AUC", lambda true, said: float(roc_auc_score(true, said)), probability),
        figure(f"specificity at a sensitivity of at least {LEAST_SENSITIVITY}", specificity_at, probability),
    )
    report.add(
        "Calibration",
        figure(f"expected calibration error, {BINS} bins", expected_calibration_error, probability),
        figure("Brier score", lambda true, said: float(brier_score_loss(true, said)), probability),
    )
    report.add(
        "Share with the finding, by probability", *(figure for _, figure in reliability(truth, probability, RANGES))
    )
    report.add("In all", share("share with the finding", truth))
    report.plots["curves"] = _curves(truth, probability, told)


def _balanced_accuracy(truth: NDArray[np.bool_], told: NDArray[np.bool_]) -> float:
    return float((told[truth].mean() + (~told[~truth]).mean()) / 2)


def specificity_at(
    truth: NDArray[np.bool_], probability: NDArray[np.floating], sensitivity: float = LEAST_SENSITIVITY
) -> float:
    """The best specificity of all thresholds that reach a sensitivity."""
    false_positive, true_positive, _ = roc_curve(truth, probability, drop_intermediate=False)
    return float(1 - false_positive[true_positive >= sensitivity].min())


def expected_calibration_error(truth: NDArray[np.bool_], probability: NDArray[np.floating]) -> float:
    """ECE of the finding's probability over bins of equal width (Naeini et al. 2015, Guo et al. 2017).

    Mean over the images of |mean probability - share of the finding| of each image's bin.
    """
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, probability - truth, BINS)
    return float(np.abs(gap).sum() / len(truth))


def reliability(truth: NDArray[np.bool_], probability: NDArray[np.floating], bins: int) -> list[tuple[float, Figure]]:
    """For each bin that holds images: mean probability, and the share that has the finding."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (
            float(probability[place == number].mean()),
            share(f"{number / bins:.1f} to {(number + 1) / bins:.1f}", truth[place == number]),
        )
        for number in np.unique(place)
    ]


def _curves(truth: NDArray[np.bool_], probability: NDArray[np.floating], told: NDArray[np.bool_]) -> Plot:
    plot, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    false_positive, true_positive, _ = roc_curve(truth, probability)
    left.plot(false_positive, true_positive)
    left.plot(told[~truth].mean(), told[truth].mean(), "o", label="at the threshold")
    left.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 0.3), ylim=(0.7, 1.005))
    left.legend()
    bins = reliability(truth, probability, BINS)
    mean = [probability for probability, _ in bins]
    values = np.array([[figure.value, figure.low, figure.high] for _, figure in bins], dtype=float).T
    errors = np.maximum([values[0] - values[1], values[2] - values[0]], 0)
    middle.errorbar(mean, values[0], yerr=errors, fmt="o", capsize=3)
    middle.plot([0, 1], [0, 1], linestyle=":", color="grey")
    middle.set(title="Reliability", xlabel="mean probability", ylabel="share with the finding")
    edges = np.linspace(0, 1, BINS + 1)
    right.hist([probability[~truth], probability[truth]], edges, label=["without the finding", "with it"])
    right.set(title="Probabilities", xlabel="probability", ylabel="images", yscale="log")
    right.legend()
    for axes in (left, middle):
        axes.grid(alpha=0.3)
    return plot
