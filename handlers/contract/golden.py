"""The golden set of an archive: images, and what any server has to answer to them before it may answer for patients.

The outputs were computed where the archive was made and verified. A server computes them again each time it starts:
another ONNX Runtime, another processor or an edited handler that answers otherwise is found out before it is Ready.
The card holds the set's digest, as it holds the graph's.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import INPUT
from .errors import ArchiveError, GoldenError

GOLDEN_FILE = "golden.npz"
TOLERANCE = 0.02
"""Largest difference of an output: of numbers, as a share of the largest, unless all are 0; of a mask, of its area.

Processors round differently, by far less; GPUs that multiply in TF32 by up to a few thousandths.
"""


@dataclass(frozen=True)
class Golden:
    """A golden set.

    Attributes:
        images: uint8 [N, height, width, channels], as the card's input says; one study.
        outputs: what the handler gives for them, by name.
    """

    images: NDArray[np.uint8]
    outputs: Mapping[str, NDArray[Any]]

    def check(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Compare what a server computed of the images with what is expected.

        Raises:
            GoldenError: an output is missing, has another shape, or differs by more than `TOLERANCE`; says how much.
        """
        for name, expected in self.outputs.items():
            computed = outputs.get(name)
            if computed is None or computed.shape != expected.shape:
                found = "missing" if computed is None else f"of shape {list(computed.shape)}"
                raise GoldenError(f"golden set: output {name} is {found}, and was {list(expected.shape)}")
            apart = np.abs(computed.astype(np.float64) - expected)
            if np.issubdtype(expected.dtype, np.integer):
                difference = float(apart.sum() / max(1, expected.sum(dtype=np.float64)))
            else:
                difference = float(apart.max() / (np.abs(expected).max() or 1))
            if not difference <= TOLERANCE:
                raise GoldenError(
                    f"golden set: output {name} differs by {difference:.1%} from what it was when the archive was "
                    f"verified (at most {TOLERANCE:.0%}); this server does not compute what was measured"
                )


def write(golden: Golden, to: Path) -> None:
    """Write a golden set, byte for byte the same for the same arrays."""
    np.savez_compressed(to, allow_pickle=False, **{INPUT: golden.images}, **golden.outputs)


def read(file: Path) -> Golden:
    """Read what `write` wrote.

    Raises:
        ArchiveError: it cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            members = {name: arrays[name] for name in arrays.files}
        return Golden(members.pop(INPUT), members)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{file}: the golden set cannot be read: {error}") from error
