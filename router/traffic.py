"""Which version of a model reads a study while a candidate stands beside the stable one.

The choice is a hash of the study, so that one study always sees one version, whichever router is asked and however
often; raising the candidate's weight only moves studies towards it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from handlers.contract.card import Card

from . import telemetry
from .errors import ModelFailed, ModelUnavailable
from .registry import ServedModel
from .result import Outcome

T = TypeVar("T")
COMPARED = ("task", "labels", "accepts")
"""What has to be the same in the cards of a model's versions: results mean the same, and the same images are read."""


def split(models: Sequence[ServedModel], key: str) -> list[ServedModel]:
    """One version of each model: that which reads the study of this key. It knows the other one (`ServedModel.other`).

    A candidate counts only while it is Ready, and where its card means the same as the stable one's.

    Args:
        models: as a registry knows them, stable ones and candidates.
        key: `Study.key`.
    """
    candidates = {model.card.name: model for model in models if model.variant == "canary"}
    chosen = []
    for stable in models:
        if stable.variant == "canary":
            continue
        candidate = candidates.get(stable.card.name)
        if candidate is None or not candidate.ready or differences(stable.card, candidate.card):
            chosen.append(stable)
        elif _place(candidate, key) < candidate.weight:
            chosen.append(replace(candidate, other=stable))
        else:
            chosen.append(replace(stable, other=candidate))
    return chosen


def compared(model: ServedModel, key: str) -> bool:
    """Whether the other version is asked too about the study of this key, which `model` was chosen for."""
    if model.other is None:
        return False
    candidate = model if model.variant == "canary" else model.other
    return _place(candidate, key) < candidate.shadow


def differences(stable: Card, candidate: Card) -> list[str]:
    """What keeps a candidate from standing in for the stable version: the fields of its card that differ."""
    return [field for field in COMPARED if getattr(stable, field) != getattr(candidate, field)]


def place(model: str, version: str, key: str) -> float:
    """Where a study stands, from 0 to below 100: candidates of a larger weight read it. Each candidate draws anew."""
    digest = hashlib.sha256(f"{model}\n{version}\n{key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48 * 100


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer, which version gave it, and how the candidate failed where the stable one answered in its place."""

    model: ServedModel
    value: T
    failed: Outcome | None = None


async def ask(model: ServedModel, question: Callable[[ServedModel], Awaitable[T]]) -> Answered[T]:
    """Ask a model, and where it is a candidate that fails, the stable version in its place.

    Raises:
        ModelUnavailable, ModelFailed: the stable version fails.
    """
    try:
        return Answered(model, await question(model))
    except (ModelUnavailable, ModelFailed) as error:
        if model.variant == "stable" or model.other is None:
            raise
        telemetry.fell_back(model, error)
        failed: Outcome = "unavailable" if isinstance(error, ModelUnavailable) else "failed"
        return Answered(model.other, await question(model.other), failed)


def _place(candidate: ServedModel, key: str) -> float:
    return place(candidate.card.name, candidate.card.version, key)
