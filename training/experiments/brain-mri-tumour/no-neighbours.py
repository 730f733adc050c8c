"""Training never shows neighbours: what slices by themselves give (see the view of single slices)."""

from training.augment import BrainMri

augment = BrainMri(no_neighbours=1)
