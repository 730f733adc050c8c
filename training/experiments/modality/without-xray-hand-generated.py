"""No image of the kinds `xray-hand` and `generated` is learned from; all of them are measured."""

from training.modality_images import without_kinds

load = without_kinds("xray-hand", "generated")
