"""Export: the graph is the network, the heat map is Grad-CAM, and the archive is always the same bytes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
import torch
from paths import ROOT

from handlers.base import open_session
from handlers.contract.archive import GRAPH_FILE, load_model
from handlers.contract.card import CARD_FILE, load_card
from handlers.settings import Settings
from training import archive
from training import export as exporting
from training.golden import write_archive_with_golden
from training.networks import Classifier, GradCamClassifier, build

XRAY = load_card(ROOT / "model-store/chest-xray-pneumonia")


def random_network(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    network = build(XRAY)
    assert isinstance(network, Classifier)
    return network.eval()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("graph") / GRAPH_FILE
    exporting.export(random_network(), XRAY, file)
    return file


def sample(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = (count, XRAY.input.height, XRAY.input.width, XRAY.input.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_graph_takes_any_number_of_uint8_images_and_gives_logit_and_map(graph: Path, count: int) -> None:
    session = open_session(graph, Settings.from_environment())
    logit, cam = session.run(["logit", "cam"], {"images": sample(count).numpy()})
    with torch.inference_mode():
        expected, _ = GradCamClassifier(random_network())(sample(count))
    assert logit.shape == (count,)
    assert cam.shape == (count, XRAY.input.height // 32, XRAY.input.width // 32)
    assert logit == pytest.approx(expected.numpy(), abs=1e-3)
    bias = float(session.get_modelmeta().custom_metadata_map["bias"])
    assert cam.mean(axis=(1, 2)) + bias == pytest.approx(logit, abs=1e-4)


def test_the_graph_of_a_segmenter_gives_a_probability_for_each_pixel(tmp_path: Path) -> None:
    card = load_card(ROOT / "model-store/brain-mri-tumour")
    torch.manual_seed(0)
    exporting.export(build(card), card, tmp_path / GRAPH_FILE)
    slices = torch.randint(0, 256, (2, card.input.height, card.input.width, 3), dtype=torch.uint8).numpy()
    (probability,) = open_session(tmp_path / GRAPH_FILE, Settings.from_environment()).run(None, {"images": slices})
    assert probability.shape == slices.shape[:3]
    assert 0 <= probability.min() <= probability.max() <= 1


def test_large_weights_are_stored_as_fp16(graph: Path) -> None:
    stored = onnx.load(graph).graph.initializer
    assert not [w.name for w in stored if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) > 1]
    assert graph.stat().st_size < 13e6


def test_what_is_served_has_no_batch_normalisation_left_of_its_own(graph: Path, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    assert "BatchNormalization" in {node.op_type for node in onnx.load(graph).graph.node}
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}


def test_the_closed_form_is_captums_grad_cam() -> None:
    assert exporting.captum_difference(GradCamClassifier(random_network()), sample(3)) <= 1e-4


def test_another_network_behind_the_graph_is_refused(graph: Path) -> None:
    module = GradCamClassifier(random_network(seed=1)).eval()
    with pytest.raises(exporting.ExportError, match="logit"):
        exporting.check_against_eager(graph, module, ["logit", "cam"], sample(3))


def test_a_map_that_is_not_grad_cam_is_refused_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Mirrored(GradCamClassifier):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logit, cam = super().forward(pixels)
            return logit, cam.flip(-1)

    monkeypatch.setattr(exporting, "GradCamClassifier", Mirrored)
    with pytest.raises(exporting.ExportError, match="LayerGradCam"):
        exporting.export(random_network(), XRAY, tmp_path / GRAPH_FILE)
    assert not (tmp_path / GRAPH_FILE).exists()


def test_the_graph_tells_nothing_of_the_machine_it_was_made_on(graph: Path) -> None:
    assert str(ROOT).encode() not in graph.read_bytes()
    assert b"site-packages" not in graph.read_bytes()


def test_an_archive_is_the_same_bytes_each_time(graph: Path, tmp_path: Path) -> None:
    digests = set()
    for attempt in ("one", "two"):
        folder = tmp_path / attempt / XRAY.name
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "model-store" / XRAY.name / CARD_FILE, folder)
        archive.write_digest(folder / CARD_FILE, "graph", graph)
        digests.add(hashlib.sha256(write_archive_with_golden(folder, graph).read_bytes()).hexdigest())
        card, _ = load_model(folder)
        assert card.labels == XRAY.labels
    assert len(digests) == 1


def test_the_digest_is_written_without_touching_the_rest_of_the_card(tmp_path: Path) -> None:
    file = tmp_path / CARD_FILE
    text = (ROOT / "model-store" / XRAY.name / CARD_FILE).read_text(encoding="utf-8")
    file.write_text(text.partition("graph:")[0], encoding="utf-8")
    for content in (b"a", b"b"):
        graph = tmp_path / GRAPH_FILE
        graph.write_bytes(content)
        archive.write_digest(file, "graph", graph)
        written = load_card(file)
        assert written.graph is not None
        assert written.graph.sha256 == hashlib.sha256(content).hexdigest()
        assert file.read_text(encoding="utf-8").partition("graph:")[0] == text.partition("graph:")[0]
