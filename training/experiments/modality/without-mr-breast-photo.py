"""No image of the kinds `mr-breast` and `photo` is learned from; all of them are measured."""

from training.modality_images import without_kinds

load = without_kinds("mr-breast", "photo")
