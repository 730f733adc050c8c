"""No image of the kinds `ct-chest` and `skin` is learned from; all of them are measured."""

from training.modality_images import without_kinds

load = without_kinds("ct-chest", "skin")
