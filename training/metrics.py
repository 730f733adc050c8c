"""Validation figures of each task. All values are plain floats, ready for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from handlers.contract.card import Card

from .augment import FLAIR
from .datasets import Images

Figures = dict[str, float]


@torch.inference_mode()
def logits_of(network: torch.nn.Module, pixels: NDArray[np.uint8], batch_size: int) -> torch.Tensor:
    """Logits of uint8 [N, H, W, C] images, float32, in batches."""
    device = next(network.parameters()).device
    network.eval()
    return torch.cat(
        [network(batch.to(device)).float().cpu() for batch in torch.split(torch.from_numpy(pixels), batch_size)]
    )


def classification(network: torch.nn.Module, images: Images, card: Card, batch_size: int) -> Figures:
    """AUC; sensitivity, specificity and accuracies at the card's threshold; the best one for balanced accuracy."""
    probability = logits_of(network, images.pixels, batch_size)[:, 0].sigmoid().numpy()
    (tn, fp), (fn, tp) = confusion_matrix(images.targets, probability >= card.threshold, labels=[0, 1])
    false_positive, true_positive, thresholds = roc_curve(images.targets, probability)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    return {
        "auc": float(roc_auc_score(images.targets, probability)),
        "accuracy": float((tp + tn) / len(probability)),
        "balanced_accuracy": float((sensitivity + specificity) / 2),
        "sensitivity": float(sensitivity),
        "specificity": float(specificity),
        "best_threshold": float(thresholds[np.argmax(true_positive - false_positive)]),
    }


def modality(network: torch.nn.Module, images: Images, card: Card, batch_size: int) -> Figures:
    """Share of accepted images that go to the right model, and share of `other` that is let through."""
    probability, label = logits_of(network, images.pixels, batch_size).softmax(1).max(1)
    other = card.labels.index("other")
    let_in = ((probability >= card.threshold) & (label != other)).numpy()
    is_other = images.targets == other
    return {
        "accuracy": float((label.numpy() == images.targets).mean()),
        "right_and_accepted": float((let_in & (label.numpy() == images.targets))[~is_other].mean()),
        "other_let_through": float(let_in[is_other].mean()),
    }


def _volume_dice(
    network: torch.nn.Module, images: Images, pixels: NDArray[np.uint8], card: Card, batch_size: int
) -> Any:
    """Dice of each patient's whole volume (not the mean over slices); NaN where neither has a tumour."""
    scores = []
    for patient in np.unique(images.patients):
        chosen = images.patients == patient
        predicted = logits_of(network, pixels[chosen], batch_size).sigmoid() >= card.threshold
        truth = torch.from_numpy(images.targets[chosen]).bool()
        scores.append(float(compute_dice(predicted[None, None].float(), truth[None, None].float(), ignore_empty=True)))
    return np.array(scores)


def segmentation(network: torch.nn.Module, images: Images, card: Card, batch_size: int) -> Figures:
    """Volumetric Dice per patient, with all three channels and with FLAIR alone (replicated)."""
    dice = _volume_dice(network, images, images.pixels, card, batch_size)
    flair = np.repeat(images.pixels[..., FLAIR : FLAIR + 1], 3, axis=3)
    dice_flair = _volume_dice(network, images, flair, card, batch_size)
    return {
        "dice_mean": float(np.nanmean(dice)),
        "dice_median": float(np.nanmedian(dice)),
        "dice_mean_flair_only": float(np.nanmean(dice_flair)),
        "patients": float(len(dice)),
    }
