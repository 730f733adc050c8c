"""From a model's outputs to a result: one module a task.

Each module has `OUTPUTS`, the names it asks the model for, `interpret`, which gives a `Reading`, and `facts`, the
allow-list of what an explanation may say and an LLM may see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from handlers.contract.card import Card
from router.result import ClassificationResult, Result
from router.study import Study

from . import classification, segmentation
from .reading import Reading

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TaskReader:
    """How the outputs of one task are read."""

    outputs: Sequence[str]
    interpret: Callable[[Study, Outputs, Card], Reading]


TASKS = {
    "classification": TaskReader(classification.OUTPUTS, classification.interpret),
    "segmentation": TaskReader(segmentation.OUTPUTS, segmentation.interpret),
}


def facts_of(result: Result) -> dict[str, Any]:
    """Numbers and labels for the explanation, and nothing else."""
    if isinstance(result, ClassificationResult):
        return classification.facts(result)
    return segmentation.facts(result)


__all__ = ["TASKS", "Outputs", "Reading", "TaskReader", "facts_of"]
