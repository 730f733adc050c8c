"""Temperature and threshold of a model that tells labels, fitted on images that it did not learn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, roc_curve

from handlers.contract.errors import DokueiError

CALIBRATION_FILE = "calibration.json"
POSSIBLE = (0.01, 0.99)
"""Thresholds that a card may hold."""

REFUSED_AS_UNSURE = 0.0005
REFUSED_AS_UNLIKE = 0.004
"""Shares of the images of a model's kind that the modality model's threshold may cost, and its least similarity.

Similarity tells kinds never seen better than probability does, so nearly all of what may be lost is lost to it.
"""


class CalibrationError(DokueiError):
    """There is no calibration; the message names the file and what writes it."""


@dataclass(frozen=True)
class Calibration:
    """Logits are divided by `temperature` (Guo et al. 2017); from `threshold` on the finding is told.

    What is less similar than `least_similarity` to the images learned from is told to be of no kind; a cosine.
    """

    temperature: float
    threshold: float
    least_similarity: float = -1.0


Fit = Callable[[NDArray[np.float32], NDArray[np.int64]], Calibration]
"""Logits and targets to a calibration."""


def _temperature(
    logits: NDArray[np.float32],
    targets: NDArray[np.int64],
    probability: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> float:
    """The temperature of least log loss."""
    labels = np.arange(max(2, logits[0].size))

    def loss(log: float) -> float:
        return float(log_loss(targets, probability(logits.astype(np.float64) / np.exp(log)), labels=labels))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def fit_finding(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> Calibration:
    """The temperature of least log loss, and the threshold for balanced accuracy.

    Balanced accuracy is flat around its best threshold. Of the thresholds within one standard error of the best the
    highest is taken: where a hospital's images differ from those learned from, as those of the official test folder
    do, it is the normal ones that come out too high (specificity of published models falls there to about 0.7).

    Args:
        logits: [N] of the finding.
        targets: [N] 0 or 1.
    """
    temperature = _temperature(logits, targets, expit)
    false_positive, sensitivity, thresholds = roc_curve(
        targets, expit(logits.astype(np.float64) / temperature), drop_intermediate=False
    )
    specificity = 1 - false_positive
    balanced = (sensitivity + specificity) / 2
    best = int(np.argmax(balanced))
    positive = int(targets.sum())
    variance = sensitivity * (1 - sensitivity) / positive + specificity * (1 - specificity) / (len(targets) - positive)
    within = balanced >= balanced[best] - np.sqrt(variance[best]) / 2
    threshold = float(thresholds[np.flatnonzero(within)[0]])  # Thresholds fall, so the first is the highest.
    return Calibration(temperature, float(np.clip(threshold, *POSSIBLE)))


def fit_kinds(other: int) -> Fit:
    """How a modality model is calibrated.

    The temperature is that of least log loss. The threshold, of the largest probability, is the highest that still lets
    through all but `REFUSED_AS_UNSURE` of the images that would go to their right model: unseen kinds of images get
    lower probabilities than those (Hendrycks and Gimpel 2017), so it keeps out as many of them as can be at that price.

    Args:
        other: index of the label that no model accepts.
    """

    def fit(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> Calibration:
        temperature = _temperature(logits, targets, lambda scaled: np.asarray(softmax(scaled, axis=1)))
        right = (logits.argmax(1) == targets) & (targets != other)
        largest = softmax(logits[right].astype(np.float64) / temperature, axis=1).max(1)
        return Calibration(temperature, float(np.clip(np.quantile(largest, REFUSED_AS_UNSURE), *POSSIBLE)))

    return fit


def least_similarity(similarity: NDArray[np.floating]) -> float:
    """The highest that costs `REFUSED_AS_UNLIKE` of the images of the models' kinds, whose similarity is given."""
    return float(np.quantile(similarity, REFUSED_AS_UNLIKE))


def cross_fitted(
    fit: Fit, logits: NDArray[np.float32], targets: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each fold calibrated by what the others gave.

    Returns:
        Logits over their temperature, in the shape of `logits`, and the threshold of each image [N].
    """
    scaled, thresholds = logits.astype(np.float64), np.empty(len(logits))
    for fold in np.unique(folds):
        chosen = folds == fold
        fitted = fit(logits[~chosen], targets[~chosen])
        scaled[chosen] /= fitted.temperature
        thresholds[chosen] = fitted.threshold
    return scaled, thresholds


def save(file: Path, calibration: Calibration) -> None:
    """Keep a calibration as JSON."""
    file.write_text(json.dumps(asdict(calibration), indent=2) + "\n")


def load(file: Path) -> Calibration:
    """A kept calibration.

    Raises:
        CalibrationError: the file is missing.
    """
    if not file.is_file():
        raise CalibrationError(f"{file} is missing; `make crossvalidate-<name>` writes it")
    return Calibration(**json.loads(file.read_text()))
