"""What a network says of images, kept beside what is true of them.

A model is measured on views: the images as they are, and as a hospital may send them instead (FLAIR alone). Each view
is a change of the images; `recipes` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from .augment import FLAIR
from .datasets import DataError, Images

AS_IS = "as they are"
SIMILARITY = "similarity"
"""Beside the views: how near each image is to those learned from, for a classifier of kinds."""
BATCH = 16

View = Callable[[Images], Images]


def flair_alone(images: Images) -> Images:
    """Slices of which only FLAIR was sent: one grey image."""
    return replace(images, pixels=np.repeat(images.pixels[..., FLAIR : FLAIR + 1], 3, axis=3))


@torch.inference_mode()
def predict(network: torch.nn.Module, images: Images, ask: Callable[[Tensor], Tensor] | None = None) -> NDArray[Any]:
    """Logits of images as the network gives them: float32 [N, outputs], or float16 [N, H, W] for masks.

    Args:
        ask: a method of the network that is asked instead of the network itself.
    """
    ask = ask or network
    device = next(network.parameters()).device
    network.eval()
    loader = DataLoader(images, BATCH)
    logits = [
        ask(pixels.to(device)).float().cpu().numpy()
        for pixels, _ in tqdm(loader, desc="held out", unit="batch", mininterval=2, leave=False)
    ]
    kept = np.float16 if logits[0].ndim == 3 else np.float32  # A fold's masks are 80 MB as float16.
    return np.concatenate(logits).astype(kept)


def save(file: Path, images: Images, views: dict[str, NDArray[Any]]) -> None:
    """Keep the logits of each view with the digests of the images' files, in the order of the images."""
    np.savez(file, digests=images.digests, **views)  # type: ignore[arg-type]


def load(file: Path, images: Images) -> dict[str, NDArray[Any]]:
    """The views of `save`.

    Raises:
        DataError: they are not of these images in this order.
    """
    with np.load(file) as kept:
        if not np.array_equal(kept["digests"], images.digests):
            raise DataError(f"{file} holds predictions of other images; delete {file.parent} and train that fold again")
        return {view: kept[view] for view in kept.files if view != "digests"}
