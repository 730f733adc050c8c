"""Does the heat map of a classifier show what the network goes by? Measured on a held-out fold, and published.

    python -m training.faithfulness chest-xray-pneumonia       # or: make faithfulness-chest-xray-pneumonia

It writes `model-store/<model>/FAITHFULNESS.md`, the same as JSON, and the mean curves as a picture without any X-ray.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from matplotlib import pyplot
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from scipy.stats import spearmanr
from torch import Tensor, nn
from tqdm import tqdm

from handlers.contract.card import Card, load_card
from handlers.contract.errors import DokueiError

from . import record
from .datasets import FOLDS, Images
from .export import served_module, trained_network
from .networks import Classifier, build
from .predictions import predict
from .recipes import RECIPES
from .regions import heat_share, regions
from .reports import Report, bootstrapped
from .train import OUT

STORE = Path("model-store")
BATCH = 32
STEPS = 24
"""Steps of a curve, each of the same number of pixels; a curve has one point more."""
DRAWS = 5
"""Random networks for each step of the randomised-weights check: the sign of one random head is a coin's throw."""
SERVED, RANDOM, CENTRED = "Grad-CAM (served)", "random", "centred Gaussian"

STAGES = {
    "the head": ("classifier.network.classifier.",),
    "and the last convolution": ("classifier.network.conv_head.", "classifier.network.bn2."),
    "and the last stage": ("classifier.network.blocks.5.",),
    "and the stage before": ("classifier.network.blocks.4.",),
    "everything": ("",),
}
"""What is randomised, from the head downwards: beginnings of timm's names of an EfficientNet's weights."""

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class FaithfulnessError(DokueiError):
    """There is nothing to measure; the message says what is missing."""


def blurred(pixels: Pixels) -> Pixels:
    """Copies of uint8 [N, H, W, C] with a Gaussian of a twelfth of the side: the outline stays, no finding does."""
    width = pixels.shape[1] / 12
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (0, width, width, 0), mode="nearest")
    copies: Pixels = smooth.round().astype(np.uint8)
    return copies


def relevance_maps(
    module: nn.Module, pixels: Pixels, baseline: Pixels, random: np.random.Generator
) -> dict[str, Floats]:
    """Relevance float32 [N, H, W], not negative, by each method.

    Captum differentiates floats. The networks take pixels as floats too, and normalisation is affine, so Integrated
    Gradients and Occlusion on pixels are the same as on normalised pixels.

    Args:
        module: pixels to logit [N] and map before ReLU [N, h, w], as `GradCamClassifier`.
        pixels: uint8 [N, H, W, C].
        baseline: the same shape; where Integrated Gradients (Sundararajan et al. 2017) starts and what Occlusion
            (Zeiler and Fergus 2014) covers with.
    """

    def logit(images: Tensor) -> Tensor:
        return module(images)[0]  # type: ignore[no-any-return]

    height, width, channels = pixels.shape[1:]
    gradients, occlusion = IntegratedGradients(logit), Occlusion(logit)
    integrated, occluded = np.empty(pixels.shape[:3], np.float32), np.empty(pixels.shape[:3], np.float32)
    for number in tqdm(range(len(pixels)), desc="Captum", unit="image", mininterval=2):
        image, start = (torch.from_numpy(array[number : number + 1]).float() for array in (pixels, baseline))
        attribution = gradients.attribute(image, start, n_steps=BATCH, internal_batch_size=BATCH)
        integrated[number] = attribution.abs().sum(-1)[0].numpy()
        window, stride = (height // 8, width // 8, channels), (height // 16, width // 16, channels)
        attribution = occlusion.attribute(image, window, stride, start, perturbations_per_eval=BATCH)
        occluded[number] = attribution.detach().sum(-1).clamp(min=0)[0].numpy()
    cams = coarse_maps(module, pixels)
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return {
        SERVED: upsampled(np.maximum(cams, 0), height, width),
        # Single pixels of a gradient are noise (Smilkov et al. 2017), so neighbours share it.
        "Integrated Gradients": ndimage.gaussian_filter(integrated, (0, height / 24, width / 24)),
        "Occlusion": occluded,
        RANDOM: upsampled(random.random(cams.shape, dtype=np.float32), height, width),
        CENTRED: np.repeat(np.exp(-2 * (rows**2 + columns**2))[None].astype(np.float32), len(pixels), 0),
    }


@torch.inference_mode()
def coarse_maps(module: nn.Module, pixels: Pixels) -> Floats:
    """The map before ReLU, float32 [N, h, w]."""
    parts = [torch.from_numpy(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
    return np.concatenate([module(part)[1].numpy() for part in parts])


def upsampled(maps: Floats, height: int, width: int) -> Floats:
    """Maps [N, h, w] to [N, H, W], bilinear."""
    large: Floats = nn.functional.interpolate(torch.from_numpy(maps)[:, None], (height, width), mode="bilinear").numpy()
    return large[:, 0]


@torch.inference_mode()
def curves(module: nn.Module, pixels: Pixels, replacement: Pixels, relevance: Floats, ties: Floats) -> Floats:
    """Deletion and insertion curves (Petsiuk et al. 2018): probabilities, float32 [N, 2, STEPS + 1].

    Deletion puts the replacement in the place of the most relevant pixels first, insertion the image's most relevant
    pixels in the replacement.

    Args:
        module: as for `relevance_maps`.
        pixels: uint8 [N, H, W, C].
        replacement: the same shape.
        relevance: [N, H, W].
        ties: [N, H, W], which orders pixels of the same relevance: a map is 0 in most places after ReLU, and the order
            of the rows would be no fair one.
    """
    found = np.empty((len(pixels), 2, STEPS + 1), np.float32)
    for number, (image, other) in enumerate(zip(pixels, replacement, strict=True)):
        falling = np.lexsort((ties[number].ravel(), relevance[number].ravel()))[::-1]
        rank = np.argsort(falling).reshape(image.shape[:2])
        first = (rank < np.linspace(0, rank.size, STEPS + 1)[:, None, None])[..., None]
        for kind, mixed in enumerate((np.where(first, other, image), np.where(first, image, other))):
            found[number, kind] = module(torch.from_numpy(mixed))[0].sigmoid().numpy()
    return found


def area(curve: Floats) -> NDArray[np.float64]:
    """Area under curves [..., STEPS + 1] over the share of pixels, 0 to 1."""
    under: NDArray[np.float64] = np.trapezoid(curve.astype(np.float64), dx=1 / (curve.shape[-1] - 1), axis=-1)
    return under


def rank_correlation(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Spearman's correlation [N] of maps [N, h, w] of the same images, cell by cell."""
    pairs = zip(one, other, strict=True)
    return np.array([spearmanr(left.ravel(), right.ravel()).statistic for left, right in pairs])


def randomised(
    module: nn.Module, fresh: Callable[[], nn.Module], stages: dict[str, tuple[str, ...]], pixels: Pixels, seed: int
) -> dict[str, NDArray[np.float64]]:
    """The cascading check of Adebayo et al. 2018: how alike the map stays as the weights become random.

    Args:
        module: the trained network, as for `relevance_maps`.
        fresh: makes one like it with random weights.
        stages: beginnings of the names of the weights that each step randomises besides those before it.
        pixels: uint8 [N, H, W, C].

    Returns:
        By stage, Spearman's correlation [DRAWS, N] of the maps before ReLU with those of the trained network.
    """
    trained, state = coarse_maps(module, pixels), module.state_dict()
    found = {stage: np.empty((DRAWS, len(pixels))) for stage in stages}
    changed = copy.deepcopy(module)
    for draw in tqdm(range(DRAWS), desc="random weights", unit="draw"):
        torch.manual_seed(seed + draw)
        other = fresh().state_dict()
        beginnings: tuple[str, ...] = ()
        for stage, more in stages.items():
            beginnings += more
            changed.load_state_dict({key: (other if key.startswith(beginnings) else state)[key] for key in state})
            found[stage][draw] = rank_correlation(trained, coarse_maps(changed, pixels))
    return found


def drawn(images: Images, logits: Floats, card: Card, count: int, random: np.random.Generator) -> Images:
    """At most `count` of the images with pneumonia that the network also calls so, without replacement.

    Raises:
        FaithfulnessError: there is none.
    """
    right = np.flatnonzero((images.targets == 1) & (expit(logits[:, 0]) >= card.threshold))
    if not len(right):
        raise FaithfulnessError(f"none of {len(images)} images is truly and by the network {card.labels[1]}")
    return images.choose(np.sort(random.choice(right, min(count, len(right)), replace=False)))


def measured(module: nn.Module, card: Card, chosen: Images, normal: Pixels, seed: int) -> Report:
    """All figures of a sample; `normal`, uint8 [H, W, C], is the second replacement of the curves."""
    report, random = Report(), np.random.default_rng(seed)
    pixels = chosen.pixels

    def add(heading: str, metric: str, values: NDArray[Any]) -> None:
        mean = bootstrapped(metric, lambda which: float(np.nanmean(values[..., which])), chosen.patients)
        report.add(heading, mean)

    soft = blurred(pixels)
    replacements = {"blurred copy": soft, "mean normal image": np.broadcast_to(normal, pixels.shape)}
    maps = relevance_maps(module, pixels, soft, random)
    plotted, panels = pyplot.subplots(2, 2, figsize=(10, 8), sharex=True, sharey=True, layout="constrained")
    for row, (name, replacement) in zip(panels, replacements.items(), strict=True):
        each = {
            method: curves(module, pixels, replacement, relevance, maps[RANDOM])
            for method, relevance in tqdm(maps.items(), desc=f"curves, {name}", unit="method")
        }
        add("The replacement alone", f"probability, {name}", each[SERVED][:, 1, 0])
        for kind, title in enumerate(("Deletion (lower is better)", "Insertion (higher is better)")):
            areas = {method: area(found[:, kind]) for method, found in each.items()}
            for method, values in areas.items():
                add(f"{title}: {name}", f"area, {method}", values)
            for method in list(areas)[1:]:
                add(f"{title}: {name}", f"area, {SERVED} minus {method}", areas[SERVED] - areas[method])
            for method, found in each.items():
                row[kind].plot(np.linspace(0, 1, STEPS + 1), found[:, kind].mean(0), label=method)
            row[kind].set(title=f"{title}: {name}", xlabel="share of pixels", ylabel="mean probability")
            row[kind].grid(alpha=0.3)
    panels[0, 0].legend()
    report.plots["curves"] = plotted

    places = [regions(image) for image in pixels]
    for region in places[0]:
        masks = np.stack([place[region] for place in places])
        add("Where the heat lies", f"{region}: share of the area, as of a uniform map", masks.mean((1, 2)))
        for method in (SERVED, CENTRED):
            add("Where the heat lies", f"{region}: share of the heat, {method}", heat_share(maps[method], masks))

    def fresh() -> nn.Module:
        return served_module(build(card), card)[0].eval()

    for stage, values in randomised(module, fresh, STAGES, pixels, seed).items():
        add("Rank correlation with the trained map", f"random weights: {stage}", values)
        add("Rank correlation with the trained map", f"random weights: {stage}, without its sign", np.abs(values))
    return report


REMARKS = [
    f"Deletion and insertion after Petsiuk et al. 2018 (RISE), in {STEPS} steps. Pixels are never replaced by black: "
    "a black patch is an edge that no X-ray has. A blurred copy has no such edge, but its haze can look like pneumonia "
    "to the network, and then its curves stay high for every map; the probability of the replacement alone tells. So "
    "the curves are measured a second time with the mean of the normal images that the network learned from.",
    "Maps: the served Grad-CAM and the random map are 6 x 6 for an input of 192, upsampled bilinearly; the random map "
    f"also orders pixels of equal relevance. Integrated Gradients ({BATCH} steps, absolute values over channels, then "
    "smoothed by 1/24 of the side) and Occlusion (windows of 1/8 of the side, stride 1/16, positive part) start from "
    "the blurred copy. The centred Gaussian has a standard deviation of a quarter of the side and sees no image.",
    "The masks are rough: thresholds on grey values, drawn by nobody and checked by no reader. The lung field is the "
    "convex hull of dark lung on each side and misses lung that is wholly consolidated. The middle of the body is a "
    "box. The border is a tenth of the side wide; the corners, where markers are burned in, are a fifth.",
    f"Random weights after Adebayo et al. 2018, cascading from the head, mean of {DRAWS} draws. The maps are compared "
    "before ReLU. The sign of a random head is a coin's throw, so the mean can be near 0 for a map that only changes "
    "its sign; the value without its sign would show that. Two unrelated 6 x 6 maps have about 0.13 there, smooth ones "
    "more. The intervals are over patients, not over draws of weights.",
]


def main() -> None:
    """Measure and publish the heat map of one model."""
    parser = argparse.ArgumentParser(
        prog="python -m training.faithfulness", description="Measure whether a classifier's heat map can be trusted."
    )
    parser.add_argument("model", help="name of a folder in model-store/")
    parser.add_argument("--data", type=Path, default="../shared/data", help="folder of images (default: %(default)s)")
    parser.add_argument("--run", type=Path, help=f"default: {OUT}/<model>/fold-{FOLDS - 1}, the archive's")
    parser.add_argument("--count", type=int, default=40, help="images to measure at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of sample, maps and weights (default: %(default)s)")
    given = parser.parse_args()
    if given.count < 1:
        parser.error("--count is at least 1")
    card = load_card(STORE / given.model)
    if card.task != "classification":
        raise FaithfulnessError(f"{card.name} is for {card.task}; only a classification has a heat map to measure")
    run = given.run or OUT / card.name / f"fold-{FOLDS - 1}"
    network, _ = trained_network(card, run)
    assert isinstance(network, Classifier)
    fold = json.loads((run / record.RECORD_FILE).read_text())["arguments"]["fold"]
    images = RECIPES[card.name].load(given.data, card, given.seed)
    held_out, learned = images.choose(images.folds == fold), images.choose(images.folds != fold)
    logits = predict(network, held_out)
    chosen = drawn(held_out, logits, card, given.count, np.random.default_rng(given.seed))
    normal = learned.pixels[learned.targets == 0].mean(0).round().astype(np.uint8)
    report = measured(served_module(network, card)[0].eval(), card, chosen, normal, given.seed)
    report.remarks += REMARKS
    preface = [
        f"{len(chosen)} images of {len(np.unique(chosen.patients))} patients, drawn at random without replacement from "
        f"those of fold {fold} ({len(held_out)} images, which the archive's model did not see) that show "
        f"{card.labels[1]} and that the network calls so (probability at least {card.threshold:g}). Means over images; "
        "intervals by bootstrap over patients. Of images that are called wrongly it says nothing.",
        f"Again: `make faithfulness-{card.name} DATA={given.data}`, after `make crossvalidate-{card.name}`.",
    ]
    facts = {
        "model": card.name,
        "version": card.version,
        "images": len(chosen),
        "seed": given.seed,
        "data_sha256": record.digest_of(chosen.digests),
    }
    report.publish(STORE / card.name / "FAITHFULNESS", f"Faithfulness of the heat map: {card.name}", preface, facts)


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
