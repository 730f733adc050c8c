"""Small graphs and archives around them, for what the committed models cannot show."""

import hashlib
from pathlib import Path
from typing import Any

import onnx
import yaml
from onnx import TensorProto, helper

from handlers.contract.card import load_card
from training.archive import write_archive

SIDE = 32


def classifier_graph(slope: float = 1.0, offset: float = 0.0, bias: bool = True, least: float = 0.0) -> onnx.ModelProto:
    """`cam` is the image's mean over the channels, from `least` for black; `logit` is slope * mean(cam) + 0.5 + offset.

    With slope 1 and offset 0 the map adds up to the logit, as the bias in the metadata is 0.5.
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "channel"], ["bright"], keepdims=0),
        helper.make_node("Add", ["bright", "least"], ["cam"]),
        helper.make_node("ReduceMean", ["cam", "plane"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "slope"], ["steep"]),
        helper.make_node("Add", ["steep", "constant"], ["logit"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["N", SIDE, SIDE]),
        ],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 255]),
            helper.make_tensor("least", TensorProto.FLOAT, [], [least]),
            helper.make_tensor("slope", TensorProto.FLOAT, [], [slope]),
            helper.make_tensor("constant", TensorProto.FLOAT, [], [0.5 + offset]),
            helper.make_tensor("channel", TensorProto.INT64, [1], [3]),
            helper.make_tensor("plane", TensorProto.INT64, [2], [1, 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if bias:
        helper.set_model_props(model, {"bias": "0.5"})
    return model


def segmenter_graph() -> onnx.ModelProto:
    """`probability` is the first channel."""
    nodes = [
        helper.make_node("Gather", ["images", "channel"], ["first"], axis=3),
        helper.make_node("Cast", ["first"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "segmenter",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", SIDE, SIDE])],
        [
            helper.make_tensor("channel", TensorProto.INT64, [], [0]),
            helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 255]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def archive_of(model: onnx.ModelProto, like: Path, folder: Path, **fields: Any) -> Path:
    """Write an archive of `model` with the card in the folder `like`, but for its input and `fields`."""
    content = model.SerializeToString()
    card = load_card(like).model_dump(exclude_none=True)
    card["input"] |= {"height": SIDE, "width": SIDE}
    card.pop("golden", None)  # It is of the graph in `like`.
    card |= {"name": folder.name, "graph": {"sha256": hashlib.sha256(content).hexdigest()}, **fields}
    folder.mkdir()
    (folder / "card.yaml").write_text(yaml.safe_dump(card, allow_unicode=True))
    graph = folder / "model.onnx"
    graph.write_bytes(content)
    return write_archive(folder, graph)
