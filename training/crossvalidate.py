"""Cross-validate one model: train it once for each fold, and measure what each says of the fold it never saw.

    python -m training.crossvalidate chest-xray-pneumonia         # or: make crossvalidate-chest-xray-pneumonia

Folds are trained side by side, as many as there are cores; those that are trained already are not trained again, and an
interrupted one goes on. It writes

    model-store/<model>/CROSS-VALIDATION.md, .json and pictures of the curves
    build/training/<model>/calibration.json     temperature and threshold, which `training.export` uses
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from handlers.contract.card import Card, load_card
from handlers.contract.errors import DokueiError
from handlers.modality import keep_out

from . import calibration, metrics, predictions, record
from .datasets import ALWAYS_LEARNED, FOLDS, Images
from .measures.classification import measure_classification
from .measures.modality import measure_modality
from .measures.segmentation import measure_segmentation
from .predictions import AS_IS, SIMILARITY
from .recipes import RECIPES
from .reports import Report
from .runs import train_all
from .train import OUT, PREDICTIONS_FILE, SEED, Arguments, add_workers, again


def pooled(images: Images, out: Path) -> dict[str, NDArray[Any]]:
    """By view, the logits of all images, each by the model that did not learn from it."""
    views: dict[str, NDArray[Any]] = {}
    for fold in range(FOLDS):
        chosen = images.folds == fold
        for view, logits in predictions.load(out / f"fold-{fold}" / PREDICTIONS_FILE, images.choose(chosen)).items():
            views.setdefault(view, np.empty((len(images), *logits.shape[1:]), logits.dtype))[chosen] = logits
    return views


def measure(images: Images, views: dict[str, NDArray[Any]], card: Card, out: Path) -> Report:
    """The report on held-out logits; what is calibrated is fitted here, and kept in `out`."""
    match card.task:
        case "classification":
            logits = views[AS_IS][:, 0]
            scaled, thresholds, remark = _calibrated(calibration.fit_finding, logits, images, out)
            probability = expit(scaled)
            report = measure_classification(images, probability, probability >= thresholds)
            report.remarks += [
                remark,
                "An epoch draws both classes equally, so a probability is that of a ward where half of the images show "
                f"the finding; here {images.targets.mean():.0%} do.",
            ]
            return report
        case "segmentation":
            seen = RECIPES[card.name].seen(images)
            return measure_segmentation(
                images, {name: metrics.masks(seen[name], logits, card) for name, logits in views.items()}
            )
        case "modality":
            other = card.labels.index("other")
            scaled, thresholds, remark = _calibrated(calibration.fit_kinds(other), views[AS_IS], images, out)
            similarity, own = views[SIMILARITY], images.targets != other
            fitted = replace(
                calibration.load(out / calibration.CALIBRATION_FILE),
                least_similarity=calibration.least_similarity(similarity[own]),
            )
            calibration.save(out / calibration.CALIBRATION_FILE, fitted)
            least = [calibration.least_similarity(similarity[own & (images.folds != fold)]) for fold in range(FOLDS)]
            probabilities = keep_out(softmax(scaled, axis=1), similarity, np.array(least)[images.folds], other)
            report = measure_modality(images, probabilities, thresholds, card)
            report.remarks += [remark, f"The same holds for the least similarity: {fitted.least_similarity:.3f}."]
            return report


def _calibrated(
    fit: calibration.Fit, logits: NDArray[Any], images: Images, out: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Keep the calibration by all folds; logits and thresholds calibrated by the other folds, and a remark on it."""
    fitted = fit(logits, images.targets)
    calibration.save(out / calibration.CALIBRATION_FILE, fitted)
    scaled, thresholds = calibration.cross_fitted(fit, logits, images.targets, images.folds)
    remark = (
        "Temperature and threshold of each fold were fitted on the other folds. On all of them they are "
        f"{fitted.temperature:.3f} and {fitted.threshold:.3f}: those of the archive."
    )
    return scaled, thresholds, remark


def main() -> None:
    """Cross-validate one model of the model store."""
    parser = argparse.ArgumentParser(prog="python -m training.crossvalidate", description="Cross-validate one model.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder of the report (default: model-store/<model>)")
    add_workers(parser)
    given = parser.parse_args()
    folder = Path("model-store") / given.model
    card = load_card(folder)
    runs = OUT / given.model
    records = train_all(
        [
            Arguments.of(given.model, given.data, fold=fold, seed=given.seed, workers=given.workers)
            for fold in range(FOLDS)
        ]
    )
    images = RECIPES[given.model].load(Path(given.data), card, given.seed)
    images = images.choose(images.folds != ALWAYS_LEARNED)
    report = measure(images, pooled(images, runs), card, runs)
    for fold, known in enumerate(records):
        shown = ", ".join(f"{name} {value:.4f}" for name, value in known["held_out"][AS_IS].items())
        report.remarks.append(f"Fold {fold} by itself, uncalibrated: {shown}.")
    preface = [
        f"{FOLDS} models, each trained without one fold of the patients and measured on it; no patient is in two "
        "folds. Shares have Wilson's interval, other figures a bootstrap over patients.",
        f"{len(images)} images of {len(np.unique(images.patients))} patients.",
        f"Again: `{again('crossvalidate', given)}` (it trains {FOLDS} models)",
    ]
    facts = {
        "model": card.name,
        "images": len(images),
        "patients": len(np.unique(images.patients)),
        "data_sha256": record.digest_of(images.digests),
        "recipe": records[0]["recipe"],
        "versions": records[0]["versions"],
        "folds": [known["held_out"] for known in records],
    }
    out = given.out or folder
    report.publish(out / "CROSS-VALIDATION", f"{card.title.en}: {FOLDS}-fold cross-validation", preface, facts)


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
