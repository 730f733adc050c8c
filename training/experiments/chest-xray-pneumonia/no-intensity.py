"""Brightness and contrast stay."""

from training.augment import ChestXray

augment = ChestXray(intensity=False)
