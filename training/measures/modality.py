"""How well images find their model, and how well those of no model are kept out."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure as Plot
from numpy.typing import NDArray

from handlers.contract.card import Card
from training.datasets import Images
from training.reports import Report, share


def measure_modality(
    images: Images, probabilities: NDArray[np.floating], thresholds: NDArray[np.floating], card: Card
) -> Report:
    """Measure a modality classifier.

    Args:
        images: whose targets are indices of the card's labels, with a subgroup `kind`.
        probabilities: [N, labels].
        thresholds: [N] the least probability with which each image is let through.
    """
    label = probabilities.argmax(1)
    other = card.labels.index("other")
    let_in = (probabilities.max(1) >= thresholds) & (label != other)
    is_other = images.targets == other
    right = label == images.targets
    report = Report()
    report.add(
        "All images",
        share("the label is right", right),
        share("images of a model's kind that are let through to it", (let_in & right)[~is_other]),
        share("images of a model's kind that go to another model", (let_in & ~right)[~is_other]),
        share("other images that are let through to a model", let_in[is_other]),
    )
    kinds = images.groups["kind"]
    for kind in np.unique(kinds):
        chosen = kinds == kind
        if is_other[chosen].all():
            report.add("Other images let through to a model, by kind", share(str(kind), let_in[chosen]))
        else:
            report.add("Let through to the right model, by kind", share(str(kind), (let_in & right)[chosen]))
    report.plots["confidence"] = _confidence(images, probabilities, float(thresholds.mean()), card, other)
    return report


def _confidence(images: Images, probabilities: NDArray[np.floating], threshold: float, card: Card, other: int) -> Plot:
    plot, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    accepted = np.delete(probabilities, other, axis=1).max(1)
    parts = [accepted[images.targets == number] for number in range(len(card.labels))]
    axes.hist(parts, np.linspace(0, 1, 31).tolist(), label=list(card.labels))
    axes.axvline(threshold, color="black", linestyle=":", label="threshold")
    axes.set(xlabel="largest probability of a model's kind", ylabel="images", yscale="log")
    axes.legend()
    return plot
