"""A sheet of the images that a model is most wrong about. It shows patients: it is not committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray

from handlers.base import Outputs
from handlers.contract.card import Card

from .augment import FLAIR
from .datasets import Images

ROWS, COLUMNS = 4, 6


def write(images: Images, card: Card, said: Outputs, wrong: NDArray[np.floating], to: Path) -> Path:
    """Draw the 24 worst images, of masks the worst slice of each of the 24 worst patients.

    Args:
        said: the handler's outputs for the images.
        wrong: [N] how wrong the model is about each image.
    """
    order = np.argsort(-wrong, kind="stable")
    if images.targets.ndim == 3:
        _, firsts = np.unique(images.patients[order], return_index=True)
        order = order[np.sort(firsts)]
    plot, grid = pyplot.subplots(ROWS, COLUMNS, figsize=(2.6 * COLUMNS, 2.8 * ROWS), layout="constrained")
    for axes, index in zip(grid.flat, order, strict=False):
        _draw(axes, images, card, said, int(index))
    for axes in grid.flat:
        axes.axis("off")
    to.parent.mkdir(parents=True, exist_ok=True)
    plot.savefig(to, dpi=90)
    pyplot.close(plot)
    return to


def _draw(axes: Axes, images: Images, card: Card, said: Outputs, index: int) -> None:
    pixels, target = images[index]
    if images.targets.ndim == 3:
        axes.imshow(pixels[:, :, FLAIR], cmap="gray")
        for mask, colour in ((target.numpy(), "cyan"), (said["mask"][index], "red")):
            if mask.any():
                axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.8)
        axes.set_title("reader cyan, model red", fontsize=7)
        return
    probabilities = said["probabilities"][index]
    axes.imshow(pixels)
    label = card.labels[int(probabilities.argmax())]
    axes.set_title(f"is {card.labels[int(target)]}\nsaid {label} ({probabilities.max():.2f})", fontsize=7)
