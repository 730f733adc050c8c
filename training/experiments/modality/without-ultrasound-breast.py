"""No image of the kind `ultrasound-breast` is learned from; all of them are measured."""

from training.modality_images import without_kind

load = without_kind("ultrasound-breast")
