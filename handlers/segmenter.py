"""Segmentation of single slices or whole volumes; a volume is its slices along N."""

from collections.abc import Mapping, Sequence

import numpy as np

from handlers.base import Handler, Output, Outputs
from handlers.contract import oip


class Segmenter(Handler):
    """Outputs `mask` UINT8 [N, H, W] of 0 and 1, by the card's threshold, and `probability` FP32 [N, H, W]."""

    task = "segmentation"

    def outputs(self) -> Sequence[Output]:
        shape = (-1, self.card.input.height, self.card.input.width)
        return Output("mask", "UINT8", shape), Output("probability", "FP32", shape)

    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        probability = graph["probability"]
        return {"mask": (probability >= self.card.threshold).astype(np.uint8), "probability": probability}
