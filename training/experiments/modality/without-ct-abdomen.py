"""No image of the kind `ct-abdomen` is learned from; all of them are measured."""

from training.modality_images import without_kind

load = without_kind("ct-abdomen")
