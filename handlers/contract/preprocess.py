"""The one function that fits an image to a model's input, for training and for serving alike."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .card import Input


def fit(image: NDArray[np.uint8], to: Input) -> NDArray[np.uint8]:
    """Fit one image to the input of a model.

    The image is squashed to the input's size without keeping its aspect ratio, because the training images were
    (antialiased bilinear). Grey is replicated to three channels; colour becomes grey by ITU-R 601 luma.

    Args:
        image: uint8 [H, W] or [H, W, 1 or 3].
        to: the card's input.

    Returns:
        uint8 [to.height, to.width, to.channels].
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    picture = Image.fromarray(image).convert("L" if to.channels == 1 or image.ndim == 2 else "RGB")
    if picture.size != (to.width, to.height):
        picture = picture.resize((to.width, to.height), Image.Resampling.BILINEAR)
    if to.channels == 3:
        picture = picture.convert("RGB")
    return np.asarray(picture, dtype=np.uint8).reshape(to.height, to.width, to.channels)


def fit_all(images: Iterable[NDArray[np.uint8]], to: Input) -> NDArray[np.uint8]:
    """Fit each image as `fit` does; uint8 [N, to.height, to.width, to.channels]."""
    return np.stack([fit(image, to) for image in images])


def with_neighbours(slices: NDArray[np.uint8], context: int) -> NDArray[np.uint8]:
    """Put each slice's neighbours beside it, as the graph of a model with `context` takes them.

    Args:
        slices: uint8 [N, H, W, C], one volume in order.
        context: neighbours on either side; the first and last slice stand in for those beyond them.

    Returns:
        uint8 [N, H, W, (2 context + 1) C], channels from the first neighbour to the last.
    """
    if context == 0:
        return slices
    count = len(slices)
    near = np.arange(count)[:, None] + np.arange(-context, context + 1)
    stacked = np.moveaxis(slices[np.clip(near, 0, count - 1)], 1, 3)
    return np.ascontiguousarray(stacked).reshape(*slices.shape[:3], -1)
