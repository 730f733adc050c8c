"""How each model is trained. A new model adds one entry here, beside its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

from handlers.contract.card import Card

from . import augment, datasets, metrics
from .datasets import Images

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """The parts that differ from model to model; `training.train` is the loop they share."""

    load: datasets.Loader
    augment: datasets.Augment
    loss: Callable[[Images], Loss]
    figures: Callable[[nn.Module, Images, Card, int], metrics.Figures]
    headline: str
    """The figure that the progress line and the plot show."""
    epochs: int
    batch_size: int
    learning_rate: float


def weighted_bce(train: Images) -> Loss:
    """Binary cross-entropy in which both classes weigh the same in total."""
    positive = float(train.targets.mean())
    loss = nn.BCEWithLogitsLoss(reduction="none")

    def weighted(logits: Tensor, target: Tensor) -> Tensor:
        weight = torch.where(target == 1, 0.5 / positive, 0.5 / (1 - positive))
        result: Tensor = (loss(logits[:, 0], target.float()) * weight).mean()
        return result

    return weighted


def weighted_cross_entropy(train: Images) -> Loss:
    """Cross-entropy in which all classes weigh the same in total."""
    counts = np.bincount(train.targets)
    weight = torch.tensor(len(train) / (len(counts) * counts), dtype=torch.float32)
    loss = nn.CrossEntropyLoss(weight, label_smoothing=0.02)
    return lambda logits, target: loss(logits, target)


def dice_and_bce(_: Images) -> Loss:
    """Soft Dice over the batch plus binary cross-entropy, MONAI's DiceCELoss for one sigmoid channel."""
    loss = DiceCELoss(sigmoid=True, batch=True)
    return lambda logits, target: loss(logits[:, None], target[:, None].float())


RECIPES = {
    "chest-xray-pneumonia": Recipe(
        load=datasets.load_chest_xray,
        augment=augment.chest_xray,
        loss=weighted_bce,
        figures=metrics.classification,
        headline="balanced_accuracy",
        epochs=6,
        batch_size=32,
        learning_rate=4e-4,
    ),
    "brain-mri-tumour": Recipe(
        load=datasets.load_brain_mri,
        augment=augment.brain_mri,
        loss=dice_and_bce,
        figures=metrics.segmentation,
        headline="dice_mean",
        epochs=8,
        batch_size=16,
        learning_rate=6e-4,
    ),
    "modality": Recipe(
        load=datasets.load_modality,
        augment=augment.modality,
        loss=weighted_cross_entropy,
        figures=metrics.modality,
        headline="accuracy",
        epochs=4,
        batch_size=48,
        learning_rate=4e-4,
    ),
}
