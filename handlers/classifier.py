"""Classification with its evidence: the probability of a finding, and the Grad-CAM heat map of its logit.

The graph gives `logit` and `cam`, and `training.networks.GradCamClassifier` says why mean(cam) + bias is the logit and
ReLU(cam) / (h w) is Grad-CAM. The handler checks the first on every image: a heat map that does not add up to the
logit explains something else, and is not shown.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from handlers.base import Handler, Output, Outputs
from handlers.contract import oip
from handlers.contract.errors import EvidenceError

TOLERANCE = 1e-3


class Classifier(Handler):
    """Outputs `probabilities` FP32 [N, 2], in the order of the card's labels, and `heatmap` FP32 [N, h, w], from 0."""

    task = "classification"

    def outputs(self) -> Sequence[Output]:
        return (
            Output("probabilities", "FP32", (-1, len(self.card.labels))),
            Output("heatmap", "FP32", (-1, -1, -1)),
        )

    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        logit, cam = graph["logit"].astype(np.float64), graph["cam"]
        bias = float(self.session.get_modelmeta().custom_metadata_map["bias"])
        explained = cam.mean(axis=(1, 2), dtype=np.float64) + bias
        if not np.allclose(explained, logit, rtol=TOLERANCE, atol=TOLERANCE):
            raise EvidenceError(
                f"the heat map explains a logit of {explained}, and the logit is {logit}; neither is shown"
            )
        finding = 1 / (1 + np.exp(-logit))
        return {
            "probabilities": np.stack([1 - finding, finding], axis=1).astype(np.float32),
            "heatmap": np.maximum(cam, 0) / (cam.shape[1] * cam.shape[2]),
        }
