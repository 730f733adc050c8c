"""Which kind of image each image is: the paper's model selection, for images without usable DICOM tags."""

from collections.abc import Mapping, Sequence

import numpy as np

from handlers.base import Handler, Output, Outputs
from handlers.contract import oip


class Modality(Handler):
    """Outputs `probabilities` FP32 [N, labels], in the order of the card's labels."""

    task = "modality"

    def outputs(self) -> Sequence[Output]:
        return (Output("probabilities", "FP32", (-1, len(self.card.labels))),)

    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        logits = graph["logits"]
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {"probabilities": exponents / exponents.sum(axis=1, keepdims=True)}
