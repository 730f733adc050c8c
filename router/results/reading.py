"""What a result module gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.result import Result


@dataclass(frozen=True)
class Reading:
    """A result and its pictures.

    Attributes:
        heat: float32 [h, w] from 0 to 1, the normalised heat map at the network's resolution.
        masks: uint8 [H, W] of 0 and 255 for each image, at its size.
    """

    result: Result
    heat: NDArray[np.float32] | None = None
    masks: list[NDArray[np.uint8]] = field(default_factory=list)
