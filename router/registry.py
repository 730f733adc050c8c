"""Which models are served, and where. One interface; the static list here, the cluster's in `router.kubernetes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handlers.contract.archive import load_models
from handlers.contract.card import Card

from .errors import ModelUnavailable, UnknownModel
from .kserve import Variant


@dataclass(frozen=True)
class ServedModel:
    """One model, and where it answers.

    Attributes:
        card: as its server declares it.
        url: base URL of its server; OIP paths follow.
        runtime: what serves it, such as "light" or "torchserve".
        ready: whether its server was last heard to be well. A stable one that is not is asked all the same: it may have
            other replicas, and where it has none, `ModelUnavailable` tells a client to come again.
        weight: of a candidate: the percentage of studies that it reads.
        shadow: of a candidate: the percentage of studies that both versions are asked about, to compare them.
        other: of a version that was chosen for a study: the other one, where there is one that could stand in for it.
    """

    card: Card
    url: str
    runtime: str
    variant: Variant = "stable"
    ready: bool = True
    weight: float = 0
    shadow: float = 0
    other: ServedModel | None = None


class Registry(Protocol):
    """Knows the served models; `models` is asked for every upload and must not block."""

    async def start(self) -> None:
        """Begin to know; returns once the first list is complete."""

    async def close(self) -> None:
        """Stop watching."""

    def models(self) -> Sequence[ServedModel]:
        """The models of this deployment."""


class StaticRegistry:
    """The models of a model store, each at a given address.

    Args:
        store: folder of model folders.
        endpoints: base URL by model name; models without one are not served.
        runtime: what serves them.

    Raises:
        CardError, ArchiveError: a model of the store cannot be used.
        UnknownModel: an endpoint names no model of the store.
    """

    def __init__(self, store: Path, endpoints: Mapping[str, str], runtime: str) -> None:
        cards = {card.name: card for card, _ in load_models(store)}
        for name in endpoints:
            if name not in cards:
                raise UnknownModel(
                    f"DOKUEI_MODEL_ENDPOINTS names {name!r}; {store} holds {', '.join(cards) or 'no model'}"
                )
        self._models = [ServedModel(cards[name], url.rstrip("/"), runtime) for name, url in endpoints.items()]

    async def start(self) -> None:
        """Nothing to begin: the list is fixed."""

    async def close(self) -> None:
        """Nothing to stop."""

    def models(self) -> Sequence[ServedModel]:
        """All models with an endpoint."""
        return self._models


def readers(models: Sequence[ServedModel]) -> list[ServedModel]:
    """The models that read images, without the one that finds the modality."""
    return [model for model in models if model.card.accepts is not None]


def reader(models: Sequence[ServedModel], name: str) -> ServedModel:
    """The model of that name that reads images.

    Raises:
        UnknownModel: lists the names there are.
    """
    names = [model.card.name for model in readers(models)]
    if name not in names:
        raise UnknownModel(f"no model {name!r} is served; there is {', '.join(names) or 'none'}", models=names)
    return readers(models)[names.index(name)]


def modality_model(models: Sequence[ServedModel]) -> ServedModel:
    """The model that finds the modality of an image.

    Raises:
        ModelUnavailable: none is served.
    """
    for model in models:
        if model.card.task == "modality":
            return model
    raise ModelUnavailable("no modality model is served, so only DICOM images with usable tags can be read")
