"""Figures of each task, from what is true of images and what was predicted. All values are plain floats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix, roc_auc_score

from handlers.contract.card import Card
from handlers.segmenter import main_parts

from .datasets import Images

Figures = dict[str, float]


def classification(images: Images, logits: NDArray[np.float32], card: Card) -> Figures:
    """AUC; sensitivity, specificity and accuracies at the card's threshold."""
    probability = expit(logits[:, 0])
    (tn, fp), (fn, tp) = confusion_matrix(images.targets, probability >= card.threshold, labels=[0, 1])
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    return {
        "auc": float(roc_auc_score(images.targets, probability)),
        "accuracy": float((tp + tn) / len(probability)),
        "balanced_accuracy": float((sensitivity + specificity) / 2),
        "sensitivity": float(sensitivity),
        "specificity": float(specificity),
    }


def modality(images: Images, logits: NDArray[np.float32], card: Card) -> Figures:
    """Share of accepted images that go to the right model, and share of `other` that is let through."""
    label = logits.argmax(1)
    other = card.labels.index("other")
    let_in = (softmax(logits, axis=1).max(1) >= card.threshold) & (label != other)
    is_other = images.targets == other
    return {
        "accuracy": float((label == images.targets).mean()),
        "right_and_accepted": float((let_in & (label == images.targets))[~is_other].mean()),
        "other_let_through": float(let_in[is_other].mean()),
    }


def dice(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Dice of two masks (a slice, or a whole volume); 1 where both are empty."""
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def masks(images: Images, logits: NDArray[np.float16], card: Card) -> NDArray[np.uint8]:
    """Logits [N, H, W] to masks of 0 and 1 as the handler draws them: by the card's threshold, study by study."""
    least = np.log(card.threshold / (1 - card.threshold))
    studies = np.split((logits >= np.float16(least)).astype(np.uint8), images.starts[1:])
    return np.concatenate([main_parts(study) for study in studies])


def volume_dice(images: Images, predicted: NDArray[np.uint8]) -> dict[str, float]:
    """Dice of each patient's whole volume, by patient (not the mean over slices)."""
    return {
        str(patient): dice(predicted[images.patients == patient], images.targets[images.patients == patient])
        for patient in np.unique(images.patients)
    }


def segmentation(images: Images, logits: NDArray[np.float16], card: Card) -> Figures:
    """Volumetric Dice per patient."""
    scores = np.array(list(volume_dice(images, masks(images, logits, card)).values()))
    return {"dice_mean": float(scores.mean()), "dice_median": float(np.median(scores)), "patients": float(len(scores))}
