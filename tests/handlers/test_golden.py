"""A server answers as the archive was verified to, or it does not start."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from graphs import SIDE, archive_of, classifier_graph, segmenter_graph
from paths import STORE
from processes import MODELS

from handlers.contract import golden
from handlers.contract.archive import GRAPH_FILE, find_archive, load_model, unpack
from handlers.contract.card import CARD_FILE
from handlers.contract.errors import ArchiveError, GoldenError
from handlers.contract.golden import GOLDEN_FILE, Golden
from handlers.server import load_handler
from training.archive import members, write_archive, write_digest

XRAY = STORE / "chest-xray-pneumonia"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that has no golden set yet."""
    folder = tmp_path / XRAY.name
    archive_of(classifier_graph(), XRAY, folder)
    return folder


def with_golden(folder: Path, known: Golden) -> Path:
    """The archive of `folder` with this golden set and its digest in the card, whatever it says."""
    file = folder.parent / GOLDEN_FILE
    golden.write(known, file)
    write_digest(folder / CARD_FILE, "golden", file)
    return repacked(folder, {GOLDEN_FILE: file.read_bytes(), CARD_FILE: (folder / CARD_FILE).read_bytes()})


def repacked(folder: Path, changed: Mapping[str, bytes | None]) -> Path:
    """The archive of `folder` with other contents of these members; None leaves one out."""
    archive = find_archive(folder)
    with zipfile.ZipFile(archive) as packed:
        contents = {name: packed.read(name) for name in packed.namelist()} | changed
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in contents.items():
            if content is not None:
                packed.writestr(name, content)
    return archive


@pytest.mark.parametrize("name", MODELS)
def test_every_label_is_among_the_answers_of_a_committed_archive(name: str, tmp_path: Path) -> None:
    model = unpack(find_archive(STORE / name), tmp_path)
    assert model.golden is not None
    known = golden.read(model.golden)
    if model.card.task == "segmentation":
        assert 0 < known.outputs["mask"].mean() < 1
    else:
        assert set(known.outputs["probabilities"].argmax(axis=1)) == set(range(len(model.card.labels)))


def test_a_server_that_answers_as_it_was_verified_to_starts(folder: Path) -> None:
    outputs = load_handler(find_archive(folder)).predict(IMAGES)
    rounded = {name: values * np.float32(1.001) for name, values in outputs.items()}
    load_handler(with_golden(folder, Golden(IMAGES, rounded)))


def test_a_heat_map_without_heat_is_compared_too(folder: Path) -> None:
    cold = {name: np.zeros_like(values) for name, values in load_handler(find_archive(folder)).predict(IMAGES).items()}
    known = Golden(IMAGES, cold)
    known.check(cold)
    with pytest.raises(GoldenError, match="output heatmap differs by 100"):
        known.check({**cold, "heatmap": cold["heatmap"] + 1})


@pytest.mark.parametrize("output", ["probabilities", "heatmap"])
def test_a_server_that_answers_otherwise_does_not_start(folder: Path, output: str) -> None:
    outputs = dict(load_handler(find_archive(folder)).predict(IMAGES))
    outputs[output] = outputs[output].copy()
    outputs[output].flat[-1] *= 0.9
    with pytest.raises(GoldenError, match=rf"golden set: output {output} differs by \d+\.\d% .*at most 2%"):
        load_handler(with_golden(folder, Golden(IMAGES, outputs)))


@pytest.mark.parametrize(("voxels", "starts"), [(8, True), (9, False)])
def test_a_mask_may_differ_by_a_fiftieth_of_its_area(tmp_path: Path, voxels: int, starts: bool) -> None:
    folder = tmp_path / "brain-mri-tumour"
    archive = archive_of(segmenter_graph(), STORE / folder.name, folder)
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    images[:, 4:24, 4:24] = 255
    outputs = load_handler(archive).predict(images)
    mask = outputs["mask"].copy()
    mask[0, 0, :voxels] = 1
    assert mask.sum() == 400 + voxels
    archive = with_golden(folder, Golden(images, {**outputs, "mask": mask}))
    if starts:
        load_handler(archive)
    else:
        with pytest.raises(GoldenError, match=r"output mask differs by 2\.2%"):
            load_handler(archive)


def test_what_a_server_cannot_compute_any_more_is_said(folder: Path) -> None:
    outputs = load_handler(find_archive(folder)).predict(IMAGES)
    gone = Golden(IMAGES, {**outputs, "saliency": outputs["heatmap"]})
    with pytest.raises(GoldenError, match="output saliency is missing"):
        load_handler(with_golden(folder, gone))
    reshaped = Golden(IMAGES, {**outputs, "heatmap": outputs["heatmap"][:, :1]})
    with pytest.raises(GoldenError, match=r"output heatmap is of shape \[3, 32, 32\], and was \[3, 1, 32\]"):
        load_handler(with_golden(folder, reshaped))


def test_a_golden_set_that_is_not_the_cards_is_refused(folder: Path) -> None:
    outputs = load_handler(find_archive(folder)).predict(IMAGES)
    with_golden(folder, Golden(IMAGES, outputs))
    other = folder.parent / "other.npz"
    golden.write(Golden(IMAGES, {**outputs, "heatmap": outputs["heatmap"] * 2}), other)
    for content, problem in ((other.read_bytes(), "golden.sha256 of the card"), (None, "is missing")):
        archive = repacked(folder, {GOLDEN_FILE: content})
        with pytest.raises(ArchiveError, match=problem):
            load_handler(archive)
        with pytest.raises(ArchiveError):
            load_model(folder)


def test_bytes_that_are_no_golden_set_are_refused(folder: Path) -> None:
    file = folder.parent / GOLDEN_FILE
    file.write_bytes(b"PK no arrays")
    write_digest(folder / CARD_FILE, "golden", file)
    archive = repacked(folder, {GOLDEN_FILE: file.read_bytes(), CARD_FILE: (folder / CARD_FILE).read_bytes()})
    with pytest.raises(ArchiveError, match=r"golden\.npz: the golden set cannot be read"):
        load_handler(archive)


def test_an_archive_is_not_renewed_around_another_answer(folder: Path, tmp_path: Path) -> None:
    outputs = load_handler(find_archive(folder)).predict(IMAGES)
    archive = with_golden(folder, Golden(IMAGES, outputs))
    before = archive.read_bytes()
    # A handler's edit would do the same as this threshold of another graph: the answers are no longer the set's.
    with members(folder) as (_, known):
        graph = tmp_path / GRAPH_FILE
        graph.write_bytes(classifier_graph(least=0.5).SerializeToString())
        write_digest(folder / CARD_FILE, "graph", graph)
        with pytest.raises(GoldenError, match="run `make golden-chest-xray-pneumonia`"):
            write_archive(folder, graph, known)
    assert archive.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["card.yaml", archive.name, "model.onnx"]
