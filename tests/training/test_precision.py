"""int8: a quantised graph is served like the other, its heat map adds up, and it is not the same graph."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
from paths import ROOT

from handlers.contract.archive import GRAPH_FILE
from handlers.server import load_handler
from training.precision import last_convolutions, milliseconds, quantised, with_graph

ARCHIVE = ROOT / "model-store/chest-xray-pneumonia/chest-xray-pneumonia.mar"


def test_an_int8_graph_answers_as_the_handler_needs_it(tmp_path: Path) -> None:
    handler = load_handler(ARCHIVE)
    size = handler.card.input
    pixels = np.random.default_rng(0).integers(0, 256, (4, size.height, size.width, size.channels), np.uint8)
    with zipfile.ZipFile(ARCHIVE) as packed:
        graph = Path(packed.extract(GRAPH_FILE, tmp_path))
    quantised(graph, pixels, tmp_path / "int8.onnx")
    int8 = with_graph(handler, tmp_path / "int8.onnx")
    theirs, ours = handler.predict(pixels), int8.predict(pixels)  # It raises where a map does not add up to its logit.
    assert ours["heatmap"].shape == theirs["heatmap"].shape
    assert not np.array_equal(ours["probabilities"], theirs["probabilities"])
    assert min(milliseconds({"fp32": handler, "int8": int8}, pixels).values()) > 0
    model = onnx.load(tmp_path / "int8.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    # What draws the map is followed by no other convolution, and stays as it was.
    last = set(last_convolutions(model.graph))
    quantising = {output for node in model.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    assert last
    assert not [node.name for node in model.graph.node if node.name in last and quantising & set(node.input)]
