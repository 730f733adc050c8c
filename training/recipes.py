"""How each model is trained. A new model adds one entry here, beside its card.

An experiment is a file of assignments to a recipe's fields, `training/experiments/<model>/<name>.py`: one row of the
ablation table.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from monai.losses import DiceCELoss
from torch import Tensor, nn

from handlers.contract.card import Card
from handlers.contract.errors import DokueiError

from . import augment, datasets, metrics, modality_images, predictions

EXPERIMENTS = Path(__file__).with_name("experiments")

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits and targets to a mean."""


class RecipeError(DokueiError):
    """An experiment changes nothing; the message names its file and what can be changed."""


@dataclass(frozen=True)
class Recipe:
    """The parts that differ from model to model; `training.train` is the loop they share."""

    load: datasets.Loader
    augment: datasets.Augment
    loss: Loss
    figures: Callable[..., metrics.Figures]
    epochs: int
    batch_size: int
    learning_rate: float
    ema_decay: float = 0.99
    """Of the exponential moving average of the weights, which is what is kept; 0 keeps the last weights."""
    balanced: bool = True
    """Whether an epoch draws each class (with or without a tumour, for slices) as often as the rarest."""
    size: int | None = None
    """Side of the images where it is not the card's."""
    views: dict[str, predictions.View] = field(default_factory=dict)
    """Other forms of the held-out images that are measured too."""

    def seen(self, images: datasets.Images) -> dict[str, datasets.Images]:
        """The images by view, those as they are among them."""
        return {predictions.AS_IS: images} | {name: view(images) for name, view in self.views.items()}

    def at_its_size(self, card: Card) -> Card:
        """The card with the input of this recipe."""
        if self.size is None:
            return card
        size = {"height": self.size, "width": self.size}
        return card.model_copy(update={"input": card.input.model_copy(update=size)})

    def described(self) -> dict[str, str]:
        """Field by field in words, for the record of a run."""
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        values["views"] = list(self.views)
        return {name: getattr(value, "__qualname__", str(value)) for name, value in values.items()}


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Of one logit [N, 1], with the labels drawn `smoothing` of the way towards a half (Szegedy et al. 2016)."""

    smoothing: float = 0.05

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        soft = target.float() * (1 - self.smoothing) + self.smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], soft)


def dice_and_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice over the batch plus binary cross-entropy, MONAI's DiceCELoss for one sigmoid channel."""
    loss: Tensor = DiceCELoss(sigmoid=True, batch=True)(logits[:, None], target[:, None].float())
    return loss


RECIPES = {
    "chest-xray-pneumonia": Recipe(
        load=datasets.load_chest_xray,
        augment=augment.ChestXray(),
        loss=BinaryCrossEntropy(),
        figures=metrics.classification,
        epochs=6,
        batch_size=32,
        learning_rate=5e-4,
    ),
    "brain-mri-tumour": Recipe(
        load=datasets.load_brain_mri,
        augment=augment.BrainMri(),
        loss=dice_and_bce,
        figures=metrics.segmentation,
        epochs=16,
        batch_size=16,
        learning_rate=1e-3,
        views={"FLAIR alone": predictions.flair_alone},
    ),
    "modality": Recipe(
        load=modality_images.load_modality,
        augment=augment.modality,
        loss=nn.CrossEntropyLoss(label_smoothing=0.02),
        figures=metrics.modality,
        epochs=4,
        batch_size=48,
        learning_rate=5e-4,
    ),
}


def experiments(model: str) -> list[str]:
    """Names of the model's experiments."""
    return sorted(file.stem for file in (EXPERIMENTS / model).glob("*.py"))


def recipe_of(model: str, experiment: str | None = None) -> Recipe:
    """The recipe of a model, with the assignments of an experiment's file in place of its own.

    Raises:
        RecipeError: the file assigns to no field of a recipe.
    """
    recipe = RECIPES[model]
    if experiment is None:
        return recipe
    file = EXPERIMENTS / model / f"{experiment}.py"
    assigned = {name: value for name, value in runpy.run_path(str(file)).items() if name.islower() and name[0] != "_"}
    changed = {name: value for name, value in assigned.items() if name in {known.name for known in fields(recipe)}}
    if not changed:
        raise RecipeError(f"{file} assigns to none of: {', '.join(known.name for known in fields(recipe))}")
    return replace(recipe, **changed)
