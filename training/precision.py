"""Would a model be as good with int8 arithmetic, and how much faster? Measured as it would be served, and published.

    python -m training.precision chest-xray-pneumonia       # or: make precision-chest-xray-pneumonia

The archive's graph is quantised after training (static, QDQ; Jacob et al. 2018) with images that the model learned
from, and both are measured on the images that it did not. It writes

    model-store/<model>/PRECISION.md and PRECISION.json
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from handlers.base import Handler, open_session
from handlers.contract.archive import GRAPH_FILE, load_model
from handlers.contract.card import INPUT
from handlers.contract.errors import DokueiError
from handlers.server import load_handler
from handlers.settings import Settings

from . import record
from .datasets import Images
from .evaluate import STORE, measure, unseen
from .recipes import RECIPES
from .reports import Report

CALIBRATION_IMAGES = 64
TIMED = 60
"""Images timed by themselves, each by both graphs in turn."""
NO_BFLOAT16 = "has no convolution of that type for this processor, so there is nothing to measure."
FP32, INT8 = "fp32, as served", "int8"


class Learned(CalibrationDataReader):  # type: ignore[misc]
    """Images that the ranges of activations are taken from."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._left: Iterator[NDArray[np.uint8]] = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """One image [1, H, W, C], or None after the last."""
        pixels = next(self._left, None)
        return None if pixels is None else {INPUT: pixels[None]}


def last_convolutions(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions that no other follows.

    They stay as they are: a heat map has to go on adding up to its logit, and a mask's border is drawn by the last one.
    """
    makers = {output: node for node in graph.node for output in node.output}
    found, seen = set(), set()
    waiting = [output.name for output in graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type == "Conv":
            found.add(node.name)
        else:
            waiting += node.input
    return sorted(found)


def quantised(graph: Path, pixels: NDArray[np.uint8], to: Path) -> None:
    """Write `graph` with the convolutions in int8, weights by channel, all but the last.

    Args:
        pixels: uint8 [N, H, W, C] that the ranges of activations are taken from.
    """
    folded = to.with_name("folded.onnx")
    quant_pre_process(graph, folded, skip_symbolic_shape=True)
    model = onnx.load(folded)
    quantize_static(
        model,
        to,
        Learned(pixels),
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=last_convolutions(model.graph),
        per_channel=True,
        # Without VNNI, products of eight bits can overflow their sixteen; seven are what the kernels then need.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def with_graph(handler: Handler, graph: Path) -> Handler:
    """The same handler around another graph."""
    other = copy.copy(handler)
    other.session = open_session(graph, replace(Settings.from_environment(), threads=1))
    return other


def milliseconds(handlers: dict[str, Handler], pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Median time of one image by each handler; they take turns, so that both meet the same noise."""
    times: dict[str, list[float]] = {name: [] for name in handlers}
    for number in range(TIMED):
        for name, handler in handlers.items():
            image = pixels[number % len(pixels)][None]
            started = time.perf_counter()
            handler.predict(image)
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) * 1000 for name, values in times.items()}


def bfloat16_runs() -> bool:
    """Whether ONNX Runtime has a convolution in bfloat16 for this processor."""
    kinds = {"x": [1, 1, 4, 4], "w": [1, 1, 3, 3], "y": [1, 1, 2, 2]}
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.BFLOAT16, shape) for name, shape in kinds.items())
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "bfloat16", [x, w], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # ONNX Runtime has no common base class for its errors.
        return False
    return True


def instructions() -> list[str]:
    """Which instructions for int8 and bfloat16 this processor has."""
    known = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
    return sorted(known & set(Path("/proc/cpuinfo").read_text().split()))


def compared(reports: dict[str, Report]) -> Report:
    """One report with the figures of each under its name."""
    whole = Report()
    for name, report in reports.items():
        for heading, figures in report.tables.items():
            whole.add(heading, *(replace(figure, metric=f"{figure.metric}, {name}") for figure in figures))
    return whole


def main() -> None:
    """Compare one model with itself in int8."""
    parser = argparse.ArgumentParser(prog="python -m training.precision", description="Compare a model with its int8.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", default="../shared/data", help="folder of images (default: %(default)s)")
    given = parser.parse_args()
    card, archive = load_model(STORE / given.model)
    handler = load_handler(archive)
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(archive) as packed:
        known = json.loads(packed.read(record.RECORD_FILE))
        graph, int8 = Path(packed.extract(GRAPH_FILE, temporary)), Path(temporary) / "int8.onnx"
        images = RECIPES[given.model].load(Path(given.data), card, known["arguments"]["seed"] + 1)
        learned = images.choose(record.trained_on(known, images.digests))
        quantised(graph, _drawn(learned), int8)
        handlers = {FP32: with_graph(handler, graph), INT8: with_graph(handler, int8)}
    chosen = unseen(images, known)
    times = milliseconds(handlers, _drawn(chosen))
    report = compared({name: measure(each, chosen)[0] for name, each in handlers.items()})
    ratio = times[INT8] / times[FP32]
    preface = [
        f"Version {card.version}, measured on {len(chosen)} images that it did not learn from; ranges of activations "
        f"from {CALIBRATION_IMAGES} that it did. All convolutions are int8 but the last.",
        f"**One image on one thread: int8 takes {ratio:.2f} of the time of fp32** ({times[INT8]:.1f} and "
        f"{times[FP32]:.1f} ms, medians of {TIMED} in turn, on a processor with {', '.join(instructions())}).",
        "bfloat16: ONNX Runtime "
        + ("has a convolution of that type for this processor." if bfloat16_runs() else NO_BFLOAT16),
        f"Again: `make precision-{card.name} DATA={given.data}`",
    ]
    facts = {
        "model": card.name,
        "version": card.version,
        "milliseconds": times,
        "machine": platform.machine(),
        "instructions": instructions(),
        "onnxruntime": ort.__version__,
    }
    report.publish(STORE / card.name / "PRECISION", f"{card.title.en}: int8", preface, facts)


def _drawn(images: Images) -> NDArray[np.uint8]:
    chosen = np.random.default_rng(0).choice(len(images), min(CALIBRATION_IMAGES, len(images)), replace=False)
    return images.pixels[np.sort(chosen)]


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
