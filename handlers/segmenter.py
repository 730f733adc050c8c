"""Segmentation of single slices or whole volumes; a volume is its slices along N.

Of what is marked, parts are left out that are small beside the largest: on tumour-free slices most of what the networks
draw are specks far from the tumour. The probability keeps them.
"""

from collections.abc import Mapping, Sequence

import cc3d
import numpy as np

from handlers.base import Handler, Output, Outputs
from handlers.contract import oip

LEAST_PART = 0.1
"""Parts of a mask with fewer voxels than this share of the largest part's are left out."""


def main_parts(mask: oip.Array) -> oip.Array:
    """A volume's mask without its small parts.

    Args:
        mask: uint8 [N, H, W] of 0 and 1; voxels that touch, corners included, are of one part, also across slices.

    Returns:
        The same shape and dtype.
    """
    labels = cc3d.connected_components(mask, connectivity=26)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: oip.Array = (sizes >= max(1, LEAST_PART * sizes.max())).astype(np.uint8)
    return kept[labels]


class Segmenter(Handler):
    """Outputs `mask` UINT8 [N, H, W] of 0 and 1, and `probability` FP32 [N, H, W].

    The mask is where the probability reaches the card's threshold, without small parts.
    """

    task = "segmentation"

    def outputs(self) -> Sequence[Output]:
        shape = (-1, self.card.input.height, self.card.input.width)
        return Output("mask", "UINT8", shape), Output("probability", "FP32", shape)

    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        probability = graph["probability"]
        return {"mask": (probability >= self.card.threshold).astype(np.uint8), "probability": probability}

    def finish(self, study: Outputs) -> Outputs:
        return study | {"mask": main_parts(study["mask"])}
