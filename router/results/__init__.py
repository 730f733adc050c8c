"""From a model's outputs to a result: one module a task.

Each module has `OUTPUTS`, the names it asks the model for, and `interpret`, which gives a `Reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from handlers.contract.card import Card
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

__all__ = ["TASKS", "Outputs", "Reading", "TaskReader"]
