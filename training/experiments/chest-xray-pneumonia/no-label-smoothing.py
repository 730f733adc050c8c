"""Hard labels."""

from training.recipes import BinaryCrossEntropy

loss = BinaryCrossEntropy(smoothing=0)
