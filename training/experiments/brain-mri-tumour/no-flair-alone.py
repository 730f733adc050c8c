"""All three channels in every training image."""

from training.augment import BrainMri

augment = BrainMri(flair_alone=0)
