"""Which kind of image each image is: the paper's model selection, for images without usable DICOM tags."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.base import Handler, Output, Outputs
from handlers.contract import oip


class Modality(Handler):
    """Outputs `probabilities` FP32 [N, labels], in the order of the card's labels.

    An image that is nearer to none of the images learned from than the graph's `least_similarity` is `other` for sure:
    the network has never seen its like, so its own probabilities mean nothing (see `training.networks.KindClassifier`).
    """

    task = "modality"

    def outputs(self) -> Sequence[Output]:
        return (Output("probabilities", "FP32", (-1, len(self.card.labels))),)

    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        logits = graph["logits"]
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponents / exponents.sum(axis=1, keepdims=True)
        least = float(self.session.get_modelmeta().custom_metadata_map["least_similarity"])
        return {"probabilities": keep_out(probabilities, graph["similarity"], least, self.card.labels.index("other"))}


def keep_out(
    probabilities: NDArray[np.floating],
    similarity: NDArray[np.floating],
    least: float | NDArray[np.floating],
    other: int,
) -> NDArray[np.floating]:
    """Probabilities in which an image of less than the `least` similarity is `other` for sure.

    Args:
        probabilities: [N, labels].
        similarity, least: [N] or one for all.
        other: index of that label.
    """
    certain = np.eye(probabilities.shape[1], dtype=probabilities.dtype)[other]
    return np.where((similarity < least)[:, None], certain, probabilities)
