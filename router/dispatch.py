"""Which model an image is for: by its DICOM tags, else by the modality model, else refused.

Each model's card says which DICOM headers mean its images. A header can agree, disagree, or not say enough; only in
the last case the image itself is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from handlers.contract.card import Card, DicomRule
from handlers.contract.preprocess import fit_all

from .errors import UnsupportedImage
from .registry import ServedModel, modality_model, reader, readers
from .result import Source
from .study import Study

OTHER = "other"
SAYS_NOTHING = {"", "OT", "SC"}
"""Values that name no modality: 'Other', and the retired 'Secondary Capture' (PS3.3 C.7.3.1.1.1)."""
SAMPLED_IMAGES = 8
"""Images of a series that the modality model sees: from its middle, as the ends of a stack are often empty."""

FLAT = 4
"""Grey levels, of 255, by which the pixels of a blank image differ at most; no model is asked what such an image is."""

Infer = Callable[[ServedModel, NDArray[np.uint8], Sequence[str]], Awaitable[Mapping[str, NDArray[np.float32]]]]


@dataclass(frozen=True)
class Dispatch:
    """The model found for a study.

    Attributes:
        label: modality label of the model's card.
        confidence: mean probability of the label; None where the classifier was not asked.
    """

    model: ServedModel
    label: str
    confidence: float | None
    source: Source


class Agreement(Enum):
    """What a DICOM header says of a rule."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"


def agreement(card: Card, tags: Mapping[str, str]) -> Agreement:
    """What the header says of the card: agrees where any of its rules does, disagrees where all of them do."""
    assert card.accepts is not None
    verdicts = {_rule_agreement(rule, tags) for rule in card.accepts.dicom}
    for verdict in (Agreement.AGREES, Agreement.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Agreement.DISAGREES


def _rule_agreement(rule: DicomRule, tags: Mapping[str, str]) -> Agreement:
    verdict = Agreement.AGREES
    for keyword, accepted in rule.tags.items():
        value = tags.get(keyword, "").strip().upper()
        if value in SAYS_NOTHING:
            verdict = Agreement.UNDECIDED
        elif value not in accepted:
            return Agreement.DISAGREES
    return verdict


async def dispatch(study: Study, models: Sequence[ServedModel], override: str | None, infer: Infer) -> Dispatch:
    """Find the model for a study.

    Args:
        override: name of the model to use whatever the image is.
        infer: asks a model server; used for the modality model only.

    Raises:
        UnsupportedImage: no model accepts it; says what was seen and what is accepted.
        UnknownModel: the override names no served model.
        ModelUnavailable, ModelFailed: the modality model is needed and does not answer.
    """
    if override is not None:
        model = reader(models, override)
        return _checked(study, Dispatch(model, _label(model), None, "override"))
    verdicts = [(model, agreement(model.card, study.tags)) for model in readers(models)]
    for model, verdict in verdicts:
        if verdict is Agreement.AGREES:
            return _checked(study, Dispatch(model, _label(model), None, "dicom"))
    candidates = [model for model, verdict in verdicts if verdict is Agreement.UNDECIDED]
    if not candidates:
        seen = ", ".join(f"{keyword} {value!r}" for keyword, value in study.tags.items()) or "nothing"
        raise UnsupportedImage(f"the DICOM header says {seen}; accepted are {_accepted(models)}", seen=dict(study.tags))
    label, confidence, threshold = await _classify(study, models, infer)
    for model in candidates:
        if _label(model) == label and confidence >= threshold:
            return _checked(study, Dispatch(model, label, confidence, "classifier"))
    seen = f"{label} with {confidence:.0%} confidence" if label != OTHER else "none of the accepted kinds"
    raise UnsupportedImage(
        f"the image looks like {seen}; accepted are {_accepted(models)} (from {threshold:.0%} confidence)",
        seen={"label": label, "confidence": round(confidence, 4)},
    )


async def _classify(study: Study, models: Sequence[ServedModel], infer: Infer) -> tuple[str, float, float]:
    model = modality_model(models)
    count = len(study.images)
    low, high = (0.25 * (count - 1), 0.75 * (count - 1)) if count > 2 else (0, count - 1)
    chosen = np.unique(np.linspace(low, high, SAMPLED_IMAGES).round().astype(int))
    pixels = await run_sync(fit_all, [study.images[index] for index in chosen], model.card.input)
    pixels = pixels[np.ptp(pixels, axis=(1, 2, 3)) > FLAT]
    if not len(pixels):
        raise UnsupportedImage(f"the image shows nothing: its pixels are alike; accepted are {_accepted(models)}")
    mean = (await infer(model, pixels, ["probabilities"]))["probabilities"].mean(axis=0)
    best = int(mean.argmax())
    return model.card.labels[best], float(mean[best]), model.card.threshold


def _checked(study: Study, found: Dispatch) -> Dispatch:
    accepts = found.model.card.accepts
    assert accepts is not None
    if accepts.max_images is not None and len(study.images) > accepts.max_images:
        raise UnsupportedImage(
            f"{found.model.card.name} reads {accepts.max_images} image at a time, and the upload holds "
            f"{len(study.images)}; send each in a request of its own",
            images=len(study.images),
        )
    return found


def _label(model: ServedModel) -> str:
    assert model.card.accepts is not None
    return model.card.accepts.modality


def _accepted(models: Sequence[ServedModel]) -> str:
    return ", ".join(f"{_label(model)} ({model.card.title.en})" for model in readers(models)) or "no images at all"
