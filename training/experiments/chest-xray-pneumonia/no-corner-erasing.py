"""Corners, where side markers are burned in, stay."""

from training.augment import ChestXray

augment = ChestXray(corners=False)
