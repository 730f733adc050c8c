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
