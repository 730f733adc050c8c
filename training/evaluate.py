"""Measure a model as it is served: the archive, through ONNX Runtime, on the images of a data folder.

    python -m training.evaluate chest-xray-pneumonia                  # or: make evaluate-chest-xray-pneumonia
    python -m training.evaluate brain-mri-tumour --data /mnt/locked   # any folder laid out as in training/datasets.py

Images that the model learned from are left out; the archive knows them by the digests of their files. It writes

    model-store/<model>/EVALUATION.md, EVALUATION.json and pictures of the curves
    build/evaluation/<model>/worst.png     the images it is most wrong about: pictures of patients, not to be shared
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlers.base import Handler, Outputs
from handlers.contract.archive import load_model
from handlers.contract.card import Card
from handlers.contract.errors import DokueiError
from handlers.server import load_handler

from . import contact_sheets, record
from .datasets import Images
from .measures.classification import measure_classification
from .measures.modality import measure_modality
from .measures.segmentation import measure_segmentation
from .predictions import AS_IS
from .recipes import RECIPES
from .reports import Report

STORE = Path("model-store")
WORST = Path("build/evaluation")
STUDY = 64
"""Images sent at once where an image is a study of its own."""


class EvaluationError(DokueiError):
    """Nothing can be measured; says why."""


def unseen(images: Images, known: dict[str, Any]) -> Images:
    """The images that a model did not learn from.

    Args:
        known: the archive's training record.

    Raises:
        EvaluationError: it learned from all of them.
    """
    new = ~record.trained_on(known, images.digests)
    if not new.any():
        raise EvaluationError(
            f"the model learned from all of these {len(images)} images: none is left to measure it on"
        )
    return images.choose(new)


def answers(handler: Handler, images: Images) -> Outputs:
    """What the handler answers, study by study: a patient's slices together, other images by themselves."""
    starts = images.starts if handler.card.task == "segmentation" else np.arange(0, len(images), STUDY)
    studies = np.split(images.pixels, starts[1:])
    parts = [handler.predict(study) for study in tqdm(studies, desc="measuring", unit="study")]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def measure(handler: Handler, images: Images) -> tuple[Report, Outputs, NDArray[np.floating]]:
    """The report on a served model, what it said, and how wrong it is about each image, from 0."""
    card = handler.card
    said = answers(handler, images)
    match card.task:
        case "classification":
            probability = said["probabilities"][:, 1]
            wrong = np.abs(probability - images.targets)
            return measure_classification(images, probability, probability >= card.threshold), said, wrong
        case "segmentation":
            views = {AS_IS: said["mask"]}
            views |= {name: answers(handler, view(images))["mask"] for name, view in RECIPES[card.name].views.items()}
            wrong = (said["mask"] != images.targets).sum((1, 2)).astype(float)
            return measure_segmentation(images, views), said, wrong
        case "modality":
            probabilities = said["probabilities"]
            wrong = 1 - np.take_along_axis(probabilities, images.targets[:, None], axis=1)[:, 0]
            thresholds = np.full(len(images), card.threshold)
            return measure_modality(images, probabilities, thresholds, card), said, wrong


def preface(card: Card, images: Images, all_of_them: int, data: str) -> list[str]:
    """What was measured, on what, and how to do it again."""
    left_out = all_of_them - len(images)
    return [
        f"Version {card.version}, as served: the archive's graph (SHA-256 `{card.graph.sha256 if card.graph else ''}`) "
        f"through ONNX Runtime, at its threshold of {card.threshold}.",
        f"Measured on {len(images)} images of {len(np.unique(images.patients))} patients. {left_out} images that the "
        "model learned from were left out. Shares have Wilson's interval, other figures a bootstrap over patients.",
        f"Again: `make evaluate-{card.name} DATA={data}`",
    ]


def main() -> None:
    """Measure one model of the model store."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description="Measure one model as served.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", default="../shared/data", help="folder of images (default: %(default)s)")
    parser.add_argument("--out", type=Path, help=f"folder of the report (default: {STORE}/<model>)")
    given = parser.parse_args()
    card, archive = load_model(STORE / given.model)
    with zipfile.ZipFile(archive) as packed:
        if record.RECORD_FILE not in packed.namelist():
            raise EvaluationError(
                f"{archive} has no {record.RECORD_FILE}, so the images it learned from cannot be told from others; "
                f"`make export-{card.name}` packs it"
            )
        known = json.loads(packed.read(record.RECORD_FILE))
    # Another seed than the training's: images that the loader makes up are new ones.
    images = RECIPES[given.model].load(Path(given.data), card, known["arguments"]["seed"] + 1)
    chosen = unseen(images, known)
    handler = load_handler(archive)
    report, said, wrong = measure(handler, chosen)
    facts = {
        "model": card.name,
        "version": card.version,
        "graph": card.graph.sha256 if card.graph else None,
        "threshold": card.threshold,
        "images": len(chosen),
        "patients": len(np.unique(chosen.patients)),
        "left_out": len(images) - len(chosen),
        "data_sha256": record.digest_of(chosen.digests),
    }
    out = given.out or STORE / given.model
    report.publish(
        out / "EVALUATION", f"{card.title.en}: evaluation", preface(card, chosen, len(images), given.data), facts
    )
    sheet = contact_sheets.write(chosen, card, said, wrong, WORST / given.model / "worst.png")
    print(f"wrote {sheet}")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
