"""Which model an image is for: by its DICOM tags, else by the modality model, else refused.

Each model's card says which DICOM headers mean its images. A header can agree, disagree, or not say enough; only in
the last case the image itself decides. Where header or caller have decided, the image is asked all the same, as they
can be wrong: what it says then is told, and refuses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from handlers.contract.card import Card, DicomRule
from handlers.contract.preprocess import fit_all

from . import traffic
from .errors import ModelFailed, ModelUnavailable, UnsupportedImage
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
        confidence: mean probability that the modality model gives the label; None where it was not asked.
        doubtful: whether the image does not look like what header or caller say.
    """

    model: ServedModel
    label: str
    confidence: float | None
    source: Source
    doubtful: bool = False


@dataclass(frozen=True)
class Look:
    """What the modality model says of a study: the mean probability of each label."""

    probabilities: Mapping[str, float]
    threshold: float

    @property
    def label(self) -> str:
        """The label of the largest probability."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    def accepts(self, label: str) -> bool:
        """Whether it is of this label, and surely so."""
        return self.label == label and self.probabilities[label] >= self.threshold


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
        models: one version of each, see `traffic.split`.
        override: name of the model to use whatever the image is.
        infer: asks a model server; used for the modality model only.

    Raises:
        UnsupportedImage: no model accepts it; says what was seen and what is accepted.
        UnknownModel: the override names no served model.
        ModelUnavailable, ModelFailed: the modality model is needed and does not answer.
    """
    if override is not None:
        model = reader(models, override)
        chosen = _checked(study, Dispatch(model, _label(model), None, "override"))
        return await _looked_at(study, chosen, models, infer)
    verdicts = [(model, agreement(model.card, study.tags)) for model in readers(models)]
    for model, verdict in verdicts:
        if verdict is Agreement.AGREES:
            chosen = _checked(study, Dispatch(model, _label(model), None, "dicom"))
            return await _looked_at(study, chosen, models, infer)
    candidates = [model for model, verdict in verdicts if verdict is Agreement.UNDECIDED]
    if not candidates:
        seen = ", ".join(f"{keyword} {value!r}" for keyword, value in study.tags.items()) or "nothing"
        raise UnsupportedImage(f"the DICOM header says {seen}; accepted are {_accepted(models)}", seen=dict(study.tags))
    look = await _look(study, models, infer)
    if look is None:
        raise UnsupportedImage(f"the image shows nothing: its pixels are alike; accepted are {_accepted(models)}")
    confidence = look.probabilities[look.label]
    for model in candidates:
        if look.accepts(_label(model)):
            return _checked(study, Dispatch(model, look.label, confidence, "classifier"))
    seen = f"{look.label} with {confidence:.0%} confidence" if look.label != OTHER else "none of the accepted kinds"
    raise UnsupportedImage(
        f"the image looks like {seen}; accepted are {_accepted(models)} (from {look.threshold:.0%} confidence)",
        seen={"label": look.label, "confidence": round(confidence, 4)},
    )


async def _look(study: Study, models: Sequence[ServedModel], infer: Infer) -> Look | None:
    """What the image looks like; None where it is blank."""
    count = len(study.images)
    low, high = (0.25 * (count - 1), 0.75 * (count - 1)) if count > 2 else (0, count - 1)
    chosen = np.unique(np.linspace(low, high, SAMPLED_IMAGES).round().astype(int))
    sampled = [study.images[index] for index in chosen]

    async def look(model: ServedModel) -> Look | None:
        pixels = await run_sync(fit_all, sampled, model.card.input)
        pixels = pixels[np.ptp(pixels, axis=(1, 2, 3)) > FLAT]
        if not len(pixels):
            return None
        mean = (await infer(model, pixels, ["probabilities"]))["probabilities"].mean(axis=0)
        return Look(dict(zip(model.card.labels, map(float, mean), strict=True)), model.card.threshold)

    return (await traffic.ask(modality_model(models), look)).value


async def _looked_at(study: Study, found: Dispatch, models: Sequence[ServedModel], infer: Infer) -> Dispatch:
    """The same dispatch, with what the image itself says of it; as it is where no modality model knows its label."""
    try:
        look = await _look(study, models, infer)
    except (ModelUnavailable, ModelFailed):
        return found
    if look is None:
        return replace(found, doubtful=True)
    if found.label not in look.probabilities:
        return found
    return replace(found, confidence=look.probabilities[found.label], doubtful=not look.accepts(found.label))


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
