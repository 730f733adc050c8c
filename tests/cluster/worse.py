"""Makes candidates that must not become the model: a graph of noise, and handlers with a fault."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from handlers.contract.archive import find_archive
from training.archive import members, write_digest
from training.golden import write_archive_with_golden

HANDLER = "classifier.py"
FLIP_EVERY = 50
"""Two of a hundred."""
SLOWER_SECONDS = 0.3
"""More than three times what an X-ray takes, also beside the other work of the test's node."""
CRASH_AFTER = 20

# Each is put at the end of the archive's own handler. The first call is that of the golden set, at the start.
SLOW = f"""
import time
_run = Classifier.run
def _slowly(self, images):
    time.sleep({SLOWER_SECONDS})
    return _run(self, images)
Classifier.run = _slowly
"""
CRASHING = f"""
import itertools, os
_compute, _calls = Classifier.compute, itertools.count()
def _until_it_dies(self, graph):
    if next(_calls) > {CRASH_AFTER}:
        os._exit(1)
    return _compute(self, graph)
Classifier.compute = _until_it_dies
"""
FLIPPING = f"""
import itertools
_compute, _calls = Classifier.compute, itertools.count()
def _sometimes_the_opposite(self, graph):
    said = _compute(self, graph)
    if next(_calls) % {FLIP_EVERY} == {FLIP_EVERY - 1}:
        said["probabilities"] = said["probabilities"][:, ::-1]
    return said
Classifier.compute = _sometimes_the_opposite
"""


def give_noise(folder: Path) -> None:
    """Give a model noise for weights; it is served, and wrong."""
    with members(folder) as (graph, _):
        model = onnx.load(graph)
        random = np.random.default_rng(0)
        for weight in model.graph.initializer:
            if len(weight.dims) > 1:
                values = numpy_helper.to_array(weight)
                noise = (random.normal(0, values.astype(np.float32).std(), values.shape)).astype(values.dtype)
                weight.CopyFrom(numpy_helper.from_array(noise, weight.name))
        onnx.save(model, graph)
        write_digest(folder / "card.yaml", "graph", graph)
        write_archive_with_golden(folder, graph)


def give_fault(fault: str) -> Callable[[Path], None]:
    """Gives a model's handler a fault."""

    def give(folder: Path) -> None:
        archive = find_archive(folder)
        with zipfile.ZipFile(archive) as packed:
            contents = {name: packed.read(name) for name in packed.namelist()}
        contents[HANDLER] += fault.encode()
        with zipfile.ZipFile(archive, "w") as packed:
            for name, content in contents.items():
                packed.writestr(name, content)

    return give


WORSE: dict[str, Callable[[Path], None]] = {
    "noise": give_noise,
    "slow": give_fault(SLOW),
    "crashing": give_fault(CRASHING),
    "flipping": give_fault(FLIPPING),
}
"""What makes a model worse, by what it is then."""
