"""No image of the kinds `ct-head` and `fundus` is learned from; all of them are measured."""

from training.modality_images import without_kinds

load = without_kinds("ct-head", "fundus")
