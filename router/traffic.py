"""Which version of a model reads a study while a candidate stands beside the stable one.

The choice is a hash of the study, so that one study always sees one version, whichever router is asked and however
often; raising the candidate's weight only moves studies towards it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from handlers.contract.card import Card

from . import telemetry
from .errors import ModelFailed, ModelUnavailable
from .registry import ServedModel

T = TypeVar("T")
COMPARED = ("task", "labels", "accepts")
"""What has to be the same in the cards of a model's versions: results mean the same, and the same images are read."""


def split(models: Sequence[ServedModel], key: str) -> list[ServedModel]:
    """One version of each model: that which reads the study of this key.

    A candidate is chosen only while it is Ready, and where its card means the same as the stable one's. A chosen one
    knows the stable version, for a request that it fails.

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
        if candidate is not None and _reads(candidate, stable, key):
            chosen.append(replace(candidate, stable=stable))
        else:
            chosen.append(stable)
    return chosen


def mirrored(models: Sequence[ServedModel], stable: ServedModel, key: str) -> ServedModel | None:
    """The candidate that is asked about a study which the stable version has read, if any is."""
    for model in models:
        if model.variant == "canary" and model.card.name == stable.card.name and _stands_in(model, stable):
            return model if _place(model, key) < model.shadow else None
    return None


def differences(stable: Card, candidate: Card) -> list[str]:
    """What keeps a candidate from standing in for the stable version: the fields of its card that differ."""
    return [field for field in COMPARED if getattr(stable, field) != getattr(candidate, field)]


def place(model: str, version: str, key: str) -> float:
    """Where a study stands, from 0 to below 100: candidates of a larger weight read it. Each candidate draws anew."""
    digest = hashlib.sha256(f"{model}\n{version}\n{key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48 * 100


async def ask(model: ServedModel, question: Callable[[ServedModel], Awaitable[T]]) -> tuple[ServedModel, T]:
    """Ask a model, and where it is a candidate that fails, the stable version in its place; who answered, and what.

    Raises:
        ModelUnavailable, ModelFailed: the stable version fails.
    """
    try:
        return model, await question(model)
    except (ModelUnavailable, ModelFailed) as error:
        if model.stable is None:
            raise
        telemetry.fell_back(model, error)
        return model.stable, await question(model.stable)


def _reads(candidate: ServedModel, stable: ServedModel, key: str) -> bool:
    return _stands_in(candidate, stable) and _place(candidate, key) < candidate.weight


def _stands_in(candidate: ServedModel, stable: ServedModel) -> bool:
    return candidate.ready and not differences(stable.card, candidate.card)


def _place(candidate: ServedModel, key: str) -> float:
    return place(candidate.card.name, candidate.card.version, key)
