"""From a model's outputs to a result: one module a task.

Each module has `OUTPUTS`, the names it asks the model for, `interpret`, which gives a `Reading`, `compare`, which tells
how far two of them agree, and `facts`, the allow-list of what an explanation may say and an LLM may see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from handlers.contract.card import Card
from handlers.contract.preprocess import fit_all
from router.registry import ServedModel
from router.result import Agreement, ClassificationResult, Result
from router.study import Study

from . import classification, segmentation
from .reading import Reading

Outputs = Mapping[str, NDArray[Any]]
Infer = Callable[[ServedModel, NDArray[np.uint8], Sequence[str]], Awaitable[Outputs]]


@dataclass(frozen=True)
class TaskReader:
    """How the outputs of one task are read."""

    outputs: Sequence[str]
    interpret: Callable[[Study, Outputs, Card], Reading]
    compare: Callable[[Reading, Reading], Agreement]


TASKS = {
    "classification": TaskReader(classification.OUTPUTS, classification.interpret, classification.compare),
    "segmentation": TaskReader(segmentation.OUTPUTS, segmentation.interpret, segmentation.compare),
}


async def read(study: Study, model: ServedModel, infer: Infer) -> Reading:
    """Let a model read a study.

    Raises:
        ModelUnavailable, ModelFailed: as `infer`.
    """
    task = TASKS[model.card.task]
    pixels = await run_sync(fit_all, study.images, model.card.input)
    outputs = await infer(model, pixels, task.outputs)
    return await run_sync(task.interpret, study, outputs, model.card)


def facts_of(result: Result) -> dict[str, Any]:
    """Numbers and labels for the explanation, and nothing else."""
    if isinstance(result, ClassificationResult):
        return classification.facts(result)
    return segmentation.facts(result)


__all__ = ["TASKS", "Infer", "Outputs", "Reading", "TaskReader", "facts_of", "read"]
