"""What InferenceServices are called in the API of a cluster, and what the chart writes on them."""

from typing import Literal

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
SELECTOR = "app.kubernetes.io/part-of=dokuei"
CARD_ANNOTATION = "dokuei.io/card"
VARIANT_ANNOTATION = "dokuei.io/variant"
ABORTED = ".aborted"
"""Behind a model's name, in the ConfigMap of the traffic: its candidate reads nothing, whatever else stands there."""

Variant = Literal["stable", "canary"]
"""A model, or a candidate beside it."""
