"""Temperature and threshold of a classifier, fitted on images that it did not learn from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss, roc_curve

from handlers.contract.errors import DokueiError

CALIBRATION_FILE = "calibration.json"


class CalibrationError(DokueiError):
    """There is no calibration; the message names the file and what writes it."""


@dataclass(frozen=True)
class Calibration:
    """Logits are divided by `temperature` (Guo et al. 2017); from `threshold` on the finding is told."""

    temperature: float
    threshold: float


def fit(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> Calibration:
    """The temperature of least log loss, and the threshold for balanced accuracy.

    Balanced accuracy is flat around its best threshold. Of the thresholds within one standard error of the best the
    highest is taken: where a hospital's images differ from those learned from, as those of the official test folder
    do, it is the normal ones that come out too high (specificity of published models falls there to about 0.7).

    Args:
        logits: [N] of the finding.
        targets: [N] 0 or 1.
    """
    loss = minimize_scalar(lambda log: log_loss(targets, expit(logits / np.exp(log))), bounds=(-3, 3), method="bounded")
    temperature = float(np.exp(loss.x))
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
    return Calibration(temperature, float(np.clip(threshold, 0.01, 0.99)))


def cross_fitted(
    logits: NDArray[np.float32], targets: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Probabilities [N] and whether the finding is told [N], each fold calibrated by what the others gave."""
    probability = np.empty(len(logits))
    told = np.empty(len(logits), dtype=bool)
    for fold in np.unique(folds):
        chosen = folds == fold
        fitted = fit(logits[~chosen], targets[~chosen])
        probability[chosen] = expit(logits[chosen] / fitted.temperature)
        told[chosen] = probability[chosen] >= fitted.threshold
    return probability, told


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
