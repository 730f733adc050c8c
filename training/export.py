"""Export one model: weights to a verified ONNX graph, and with handler and card to an archive.

    python -m training.export chest-xray-pneumonia      # or: make export-chest-xray-pneumonia

It exports the model of the last fold, so that this fold can measure it (`training.evaluate`), with the temperature and
the threshold that cross-validation found. The export is refused when ONNX Runtime and eager PyTorch differ by more than
1e-3, or when the heat map in the graph differs from Captum's LayerGradCam by more than 1e-4 of its maximum. The graph's
SHA-256 and the threshold are written into the card, and card, training record and golden set into the archive.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from captum.attr import LayerGradCam
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from torch import Tensor, nn

from handlers.base import open_session
from handlers.contract.archive import GRAPH_FILE
from handlers.contract.card import CARD_FILE, INPUT, Card, load_card
from handlers.contract.errors import DokueiError
from handlers.settings import Settings

from . import calibration
from .archive import write_digest
from .datasets import FOLDS
from .golden import write_archive_with_golden
from .networks import Classifier, GradCamClassifier, KindClassifier, Segmenter, build
from .record import RECORD_FILE
from .train import OUT, WEIGHTS_FILE

EAGER_TOLERANCE = 1e-3
CAPTUM_TOLERANCE = 1e-4


class ExportError(DokueiError):
    """The exported graph is not the trained network; nothing was written."""


class Sigmoid(nn.Module):
    """A segmenter that gives probabilities instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(pixels)
        return logits.sigmoid()


class WithSimilarity(nn.Module):
    """A classifier of kinds that says how near an image is to those it learned from, beside its logits."""

    def __init__(self, network: KindClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.with_similarity(pixels)


def served_module(network: nn.Module, card: Card) -> tuple[nn.Module, list[str], dict[str, str]]:
    """What is exported for a card's task: the module, its output names, and the graph's metadata."""
    match card.task:
        case "classification":
            assert isinstance(network, Classifier)
            evident = GradCamClassifier(network)
            return evident, ["logit", "cam"], {"bias": repr(evident.bias)}
        case "segmentation":
            return Sigmoid(network), ["probability"], {}
        case "modality":
            assert isinstance(network, KindClassifier)
            metadata = {"least_similarity": repr(network.least_similarity)}
            return WithSimilarity(network), ["logits", "similarity"], metadata


def export(network: nn.Module, card: Card, to: Path) -> None:
    """Export `network` as the graph of `card` and verify it.

    Args:
        network: of `training.networks.build(card)`, with trained weights.
        to: the ONNX file to write.

    Raises:
        ExportError: the graph and the network disagree; says by how much, and leaves no file.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())  # What `store_as_fp16` keeps; a no-op for what `train` wrote.
    network.eval()
    module, names, metadata = served_module(network, card)
    module.eval()
    size = card.input
    generator = torch.Generator().manual_seed(0)
    shape = (3, size.height, size.width, size.channels)
    sample = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    program = torch.onnx.export(
        module,
        (sample[:2],),
        dynamo=True,
        input_names=[INPUT],
        output_names=names,
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        # The optimizer would fold batch normalisation into the weights, which then round to other fp16 values than the
        # network's own; ONNX Runtime folds it when it loads the graph.
        optimize=False,
        verbose=False,
    )
    assert program is not None
    graph = program.model_proto
    # A convolution without bias gets one of zeros that the graph computes, and ONNX Runtime then folds nothing into it.
    fold_constants(graph)
    remove_unused_nodes(graph)
    store_as_fp16(graph)
    for key, value in metadata.items():
        graph.metadata_props.add(key=key, value=value)
    for node in graph.graph.node:  # Source locations of this machine, and names that differ from run to run.
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.checker.check_model(graph)
    to.write_bytes(graph.SerializeToString(deterministic=True))
    try:
        check_against_eager(to, module, names, sample)
        if isinstance(module, GradCamClassifier):
            check_against_captum(module, sample)
    except ExportError:
        to.unlink()
        raise


def store_as_fp16(model: onnx.ModelProto) -> None:
    """Store the weights as fp16 with a Cast behind each, which ONNX Runtime folds when it loads the graph.

    Vectors (biases, batch statistics) stay float32: they are small, and statistics are not rounded before.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.fp16")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def check_against_eager(file: Path, module: nn.Module, names: list[str], sample: Tensor) -> None:
    """Compare ONNX Runtime with eager PyTorch on `sample`, three images where the export saw two.

    Raises:
        ExportError: an output differs by more than 1e-3, relative to its maximum where that is above 1.
    """
    session = open_session(file, Settings.from_environment())
    with torch.inference_mode():
        eager = module(sample)
    for name, ours, theirs in zip(
        names, session.run(names, {INPUT: sample.numpy()}), eager if isinstance(eager, tuple) else (eager,), strict=True
    ):
        expected = theirs.numpy()
        if ours.shape != expected.shape:
            raise ExportError(f"output {name}: ONNX Runtime gives {ours.shape}, eager {expected.shape}")
        difference = float(np.abs(ours - expected).max() / max(1.0, np.abs(expected).max()))
        print(f"{name}: ONNX Runtime and eager differ by {difference:.1e} (at most {EAGER_TOLERANCE:.0e})")
        if not difference <= EAGER_TOLERANCE:
            raise ExportError(f"output {name}: ONNX Runtime and eager differ by {difference:.1e}")


def check_against_captum(module: GradCamClassifier, sample: Tensor) -> None:
    """Compare the closed form with Captum's LayerGradCam, which goes backwards through the network.

    Raises:
        ExportError: the maps differ by more than 1e-4 of the map's maximum.
    """
    difference = captum_difference(module, sample)
    print(f"heat map: graph and Captum's LayerGradCam differ by {difference:.1e} (at most {CAPTUM_TOLERANCE:.0e})")
    if not difference <= CAPTUM_TOLERANCE:
        raise ExportError(f"the heat map and Captum's LayerGradCam differ by {difference:.1e} of the map's maximum")


def captum_difference(module: GradCamClassifier, sample: Tensor) -> float:
    """Largest difference between the closed-form and Captum's Grad-CAM (before ReLU), relative to the largest value."""
    classifier = module.classifier

    class Head(nn.Module):
        """The classifier from its normalised pixels on: Captum differentiates floats, not uint8."""

        def __init__(self) -> None:
            super().__init__()
            self.last: Any = nn.Identity()

        def forward(self, normalised: Tensor) -> Tensor:
            features = self.last(classifier.network.forward_features(normalised))
            logits: Tensor = classifier.network.forward_head(features)
            return logits

    head = Head().eval()
    reference = LayerGradCam(head, head.last).attribute(classifier.normalise(sample), target=0)[:, 0]
    with torch.inference_mode():
        _, cam = module(sample)
    ours = cam / (cam.shape[1] * cam.shape[2])
    reference = reference.detach()
    return float((ours - reference).abs().max() / reference.abs().max())


def write_threshold(card_file: Path, threshold: float) -> None:
    """Write the threshold into a card, leaving its comments and order as they are."""
    text = card_file.read_text(encoding="utf-8")
    card_file.write_text(
        re.sub(r"^threshold: .*$", f"threshold: {threshold}", text, flags=re.MULTILINE), encoding="utf-8"
    )


def apply_temperature(classifier: Classifier, temperature: float) -> None:
    """Divide the logits by `temperature`: the last layer is linear, so its heat map still adds up to the logit."""
    head = classifier.network.get_classifier()
    with torch.no_grad():
        head.weight.div_(temperature)
        head.bias.div_(temperature)


def trained_network(card: Card, run: Path) -> tuple[Classifier | Segmenter, calibration.Calibration | None]:
    """The network that a run of cross-validation trained, calibrated where its answers are labels.

    Raises:
        ExportError: there is no such run; says what trains it.
        CalibrationError: it is not calibrated yet.
    """
    for file in (run / WEIGHTS_FILE, run / RECORD_FILE):
        if not file.is_file():
            raise ExportError(f"{file} is missing; `make crossvalidate-{card.name}` writes it")
    network = build(card)
    network.load_state_dict(torch.load(run / WEIGHTS_FILE, weights_only=True, map_location="cpu"))
    if not isinstance(network, Classifier):
        return network, None
    fitted = calibration.load(run.parent / calibration.CALIBRATION_FILE)
    apply_temperature(network, fitted.temperature)
    if isinstance(network, KindClassifier):
        network.least_similarity = fitted.least_similarity
    return network, fitted


def main() -> None:
    """Export one model of the model store."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export", description="Export one model of the model store."
    )
    parser.add_argument("model", help="name of a folder in model-store/")
    parser.add_argument("--run", type=Path, help=f"default: build/training/<model>/fold-{FOLDS - 1}")
    given = parser.parse_args()
    folder = Path("model-store") / given.model
    run = given.run or OUT / given.model / f"fold-{FOLDS - 1}"
    card = load_card(folder)
    network, fitted = trained_network(card, run)
    if fitted is not None:
        write_threshold(folder / CARD_FILE, round(fitted.threshold, 3))
    with tempfile.TemporaryDirectory() as temporary:
        graph = Path(temporary) / GRAPH_FILE
        export(network, card, graph)
        write_digest(folder / CARD_FILE, "graph", graph)
        shutil.copy(run / RECORD_FILE, folder / RECORD_FILE)
        archive = write_archive_with_golden(folder, graph)
    print(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
