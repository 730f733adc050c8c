"""No image of the kinds `ct-abdomen` and `ultrasound-breast` is learned from; all of them are measured."""

from training.modality_images import without_kinds

load = without_kinds("ct-abdomen", "ultrasound-breast")
