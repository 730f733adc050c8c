"""Resolution, JPEG quality and gamma stay."""

from training.augment import ChestXray

augment = ChestXray(quality=False)
