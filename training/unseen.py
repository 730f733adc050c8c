"""Whether the modality model keeps out kinds of images that it never saw.

    python -m training.unseen        # or: make unseen-kinds

Each kind of `other` is left out of a training once, two kinds at a time, and measured with the temperature and the
threshold that cross-validation found, which are the archive's. It is a harder test than leaving out one kind, and takes
half the time. Trainings that are there already are not repeated. It writes

    model-store/modality/UNSEEN-KINDS.md, and .json
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score

from handlers.contract.card import Card, load_card
from handlers.contract.errors import DokueiError
from handlers.modality import keep_out

from . import calibration, predictions, record
from .modality_images import never_seen
from .predictions import AS_IS, SIMILARITY
from .recipes import experiments, recipe_of
from .reports import Figure, Report, bootstrapped, share
from .runs import train_all
from .train import OUT, PREDICTIONS_FILE, SEED, Arguments

MODEL = "modality"
FOLD = 0


@dataclass(frozen=True)
class Held:
    """Held-out images of the five trainings: kinds never seen, and those of a model's kind.

    Attributes:
        kinds, digests, patients: [N] of each image.
        unseen: [N] whether it is of a kind that its model never saw.
        logits: [N, labels].
        similarity: [N] to the images that its model learned from.
    """

    kinds: NDArray[np.str_]
    digests: NDArray[np.str_]
    patients: NDArray[np.str_]
    unseen: NDArray[np.bool_]
    logits: NDArray[np.float32]
    similarity: NDArray[np.float32]


def held_out(wanted: list[Arguments], card: Card) -> Held:
    """What each training says of the kinds that it never saw, and of the models' kinds in its held-out fold."""
    parts = []
    for arguments in wanted:
        everything = recipe_of(MODEL, arguments.experiment).load(Path(arguments.data), card, arguments.seed)
        unseen = never_seen(everything, FOLD)[everything.folds == FOLD]
        images = everything.choose(everything.folds == FOLD)
        said = predictions.load(arguments.folder / PREDICTIONS_FILE, images)
        chosen = unseen | (images.targets != card.labels.index("other"))
        parts.append(
            [values[chosen] for values in (
                images.groups["kind"], images.digests, images.patients, unseen, said[AS_IS], said[SIMILARITY],
            )]
        )  # fmt: skip
    return Held(*map(np.concatenate, zip(*parts, strict=True)))


def measure(held: Held, card: Card, fitted: calibration.Calibration) -> Report:
    """The share of unseen kinds that is let through, and how well two scores tell them from the models' kinds."""
    other = card.labels.index("other")
    alone = softmax(held.logits / fitted.temperature, axis=1)
    probabilities = keep_out(alone, held.similarity, fitted.least_similarity, other)
    let_in = (probabilities.max(1) >= fitted.threshold) & (probabilities.argmax(1) != other)
    report = Report()
    pictured = held.unseen & (held.kinds != "generated")
    report.add(
        "All kinds",
        share("pictures of kinds never seen that are let through to a model", let_in[pictured]),
        share("the same with blank, noise, gradient and checkerboard images", let_in[held.unseen]),
    )
    for kind in np.unique(held.kinds[held.unseen]):
        chosen = held.unseen & (held.kinds == kind)
        report.add("Let through to a model, by kind never seen", share(str(kind), let_in[chosen]))

    def area(metric: str, score: NDArray[np.floating]) -> Figure:
        def of(chosen: NDArray[np.int64]) -> float:
            both = 0 < held.unseen[chosen].sum() < len(chosen)
            return float(roc_auc_score(~held.unseen[chosen], score[chosen])) if both else np.nan

        return bootstrapped(metric, of, held.patients)

    report.add(
        "How well a score tells images of the models' kinds from kinds never seen (AUC)",
        area("similarity to the fifth nearest image learned from (Sun et al. 2022; served)", held.similarity),
        area("largest probability of a model's kind (served)", np.delete(alone, other, axis=1).max(1)),
        area("largest probability of any label", alone.max(1)),
        area("energy (Liu et al. 2020)", logsumexp(held.logits, axis=1)),
    )
    report.remarks.append(
        f"Temperature {fitted.temperature:.3f}, threshold {fitted.threshold:.3f} and least similarity "
        f"{fitted.least_similarity:.3f} are those of cross-validation."
    )
    return report


def main() -> None:
    """Train without each pair of kinds, and publish how many of their images are let through."""
    parser = argparse.ArgumentParser(prog="python -m training.unseen", description="Measure kinds never seen.")
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    given = parser.parse_args()
    folder = Path("model-store") / MODEL
    card = load_card(folder)
    fitted = calibration.load(OUT / MODEL / calibration.CALIBRATION_FILE)
    wanted = [Arguments.of(MODEL, given.data, experiment, FOLD, seed=given.seed) for experiment in experiments(MODEL)]
    train_all(wanted)
    held = held_out(wanted, card)
    report = measure(held, card, fitted)
    preface = [
        f"{len(wanted)} models, each trained without two kinds of `other` and without fold {FOLD} of the rest, and "
        "measured on the images of those two kinds. Shares have Wilson's interval, other figures a bootstrap over "
        "patients.",
        f"Again: `make unseen-kinds DATA={given.data}`, after `make crossvalidate-{MODEL}`.",
    ]
    facts = {
        "model": MODEL,
        "images": int(held.unseen.sum()),
        "temperature": fitted.temperature,
        "threshold": fitted.threshold,
        "least_similarity": fitted.least_similarity,
        "data_sha256": record.digest_of(held.digests[held.unseen]),
    }
    report.publish(folder / "UNSEEN-KINDS", "Kinds of images that the model never saw", preface, facts)


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
