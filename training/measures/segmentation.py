"""How well masks are drawn: per patient's volume first, and by the readings that other reports use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure as Plot
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray
from tqdm import tqdm

from training.datasets import Images
from training.metrics import dice, volume_dice
from training.predictions import AS_IS
from training.reports import Figure, Report, bootstrapped, share


def measure_segmentation(images: Images, views: Mapping[str, NDArray[np.uint8]]) -> Report:
    """Measure a segmenter.

    Args:
        images: whose targets are masks.
        views: predicted masks uint8 [N, H, W] of 0 and 1, by view of the images.
    """
    report = Report()
    predicted = views[AS_IS]
    for view, masks in views.items():
        scores = volume_dice(images, masks)
        report.add("Dice of a patient's whole volume", *_of_patients(f"{{}} volume Dice, {view}", scores))
    scores = volume_dice(images, predicted)
    institutions = dict(zip(images.patients.tolist(), images.groups["institution"].tolist(), strict=True))
    for institution in sorted(set(institutions.values())):
        chosen = {patient: score for patient, score in scores.items() if institutions[patient] == institution}
        report.add(
            "Dice of a patient's whole volume, by institution", *_of_patients(f"{institution}: {{}}", chosen)[:1]
        )
    report.add(
        "Distance of surfaces, in pixels (slices taken as one pixel apart)",
        *_of_patients("HD95: {}", distances(images, predicted)),
    )
    report.add("Slices without a tumour", *_of_empty_slices(images, predicted))
    by_slice = np.array([dice(mask, truth) for mask, truth in zip(predicted, images.targets, strict=True)])
    has_tumour = images.classes == 1
    for position in np.unique(images.groups["position"]):
        chosen = has_tumour & (images.groups["position"] == position)
        if chosen.any():
            report.add(
                "Dice of slices with a tumour, by position",
                _mean(str(position), by_slice[chosen], images.patients[chosen]),
            )
    report.add(
        "Readings that are easier than the Dice of a volume",
        _mean("mean Dice over slices, where an empty slice left empty counts as 1", by_slice, images.patients),
        _mean("mean Dice over slices with a tumour", by_slice[has_tumour], images.patients[has_tumour]),
        _mean("share of pixels that are right", (predicted == images.targets).mean((1, 2)), images.patients),
    )
    report.plots["patients"] = _patients(images, predicted, scores)
    return report


def _of_patients(metric: str, scores: Mapping[str, float]) -> tuple[Figure, Figure]:
    """Mean and median over patients, whose value may be missing (NaN)."""
    known = {patient: score for patient, score in scores.items() if not np.isnan(score)}
    values = np.array(list(known.values()))
    patients = np.array(list(known))
    mean = bootstrapped(metric.format("mean"), lambda of: float(values[of].mean()), patients)
    return mean, bootstrapped(metric.format("median"), lambda of: float(np.median(values[of])), patients)


def _mean(metric: str, values: NDArray[np.floating], patients: NDArray[np.str_]) -> Figure:
    return bootstrapped(metric, lambda of: float(values[of].mean()), patients)


def distances(images: Images, predicted: NDArray[np.uint8]) -> dict[str, float]:
    """95th percentile of the symmetric surface distance of each patient's volume; NaN where either mask is empty.

    The slices' distance is not in the data, so a step from slice to slice counts as one pixel.
    """
    found = {}
    for patient in tqdm(np.unique(images.patients), desc="surface distances", unit="patient", leave=False):
        chosen = images.patients == patient
        masks = [torch.from_numpy(masks[chosen])[None, None].float() for masks in (predicted, images.targets)]
        both = all(mask.any() for mask in masks)
        found[str(patient)] = (
            float(compute_hausdorff_distance(*masks, include_background=True, percentile=95)) if both else np.nan
        )
    return found


def _of_empty_slices(images: Images, predicted: NDArray[np.uint8]) -> tuple[Figure, Figure]:
    empty = images.classes == 0
    pixels = predicted[empty].sum((1, 2)).astype(float)
    return (
        share("share of slices where a tumour is drawn", pixels > 0, "slices"),
        _mean("pixels drawn, mean over these slices", pixels, images.patients[empty]),
    )


def _patients(images: Images, predicted: NDArray[np.uint8], scores: Mapping[str, float]) -> Plot:
    plot, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    values = sorted(scores.values())
    left.bar(range(len(values)), values)
    left.axhline(np.mean(values), color="black", linestyle=":", label=f"mean {np.mean(values):.3f}")
    left.set(title="Dice of each patient's volume", xlabel="patients, from the worst", ylim=(0, 1))
    left.legend()
    volumes = [[masks[images.patients == patient].sum() for patient in scores] for masks in (images.targets, predicted)]
    right.plot(*volumes, "o", alpha=0.6)
    most = max(map(max, volumes)) * 1.05
    right.plot([0, most], [0, most], linestyle=":", color="grey")
    right.set(title="Volume", xlabel="drawn by readers (pixels)", ylabel="drawn by the model (pixels)")
    return plot
