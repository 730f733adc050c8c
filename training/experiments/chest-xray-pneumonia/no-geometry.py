"""Images are not moved, turned, scaled or mirrored."""

from training.augment import ChestXray

augment = ChestXray(geometry=False)
