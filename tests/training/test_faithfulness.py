"""Faithfulness: the measures tell a map that shows what the network goes by from one that does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from paths import ROOT, STORE
from torch import Tensor, nn

from handlers.contract.card import load_card
from handlers.contract.errors import DokueiError
from training import calibration, faithfulness
from training.datasets import Images
from training.export import ExportError
from training.networks import GradCamClassifier, build
from training.regions import heat_share, regions

SIZE = 64
SQUARE = (slice(16, 32), slice(32, 48))
"""Rows and columns that alone decide the logit of `Square`; two by two cells of its map."""


class Square(nn.Module):
    """The brighter the square, the higher the logit; the map shows it on an 8 x 8 grid."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        grey = pixels.float().mean(-1) / 255
        inside = torch.zeros(SIZE, SIZE)
        inside[SQUARE] = 1
        cam = nn.functional.avg_pool2d((grey * inside)[:, None], SIZE // 8)[:, 0]
        return 10 * (grey[:, *SQUARE].mean((1, 2)) - 0.5), cam


class Learned(nn.Module):
    """A convolution and a head, whose map depends on both."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 32, 8, stride=8)
        self.head = nn.Linear(32, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(pixels.permute(0, 3, 1, 2).float() / 255).relu()
        cam = nn.functional.conv2d(features, self.head.weight[:, :, None, None])[:, 0]
        return self.head(features.mean((2, 3)))[:, 0], cam


class Indifferent(Learned):
    """Shows the image's brightness, whatever the weights."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logit, _ = super().forward(pixels)
        return logit, nn.functional.avg_pool2d(pixels.float().mean(-1)[:, None], 8)[:, 0]


def bright(count: int = 2) -> NDArray[np.uint8]:
    """Dark noise with a bright square."""
    pixels = np.random.default_rng(1).integers(0, 60, (count, SIZE, SIZE, 3), dtype=np.uint8)
    pixels[:, *SQUARE] = 250
    return pixels


def maps_of(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return faithfulness.relevance_maps(Square(), pixels, np.zeros_like(pixels), np.random.default_rng(0))


def areas(relevance: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    ties = np.random.default_rng(2).random(relevance.shape, dtype=np.float32)
    return faithfulness.area(faithfulness.curves(Square(), pixels, np.zeros_like(pixels), relevance, ties)).mean(0)


def test_a_map_of_what_decides_beats_a_random_map_in_deletion_and_insertion() -> None:
    pixels = bright(4)
    maps = maps_of(pixels)
    unrelated, random_insertion = areas(maps[faithfulness.RANDOM], pixels)
    for method in (faithfulness.SERVED, "Integrated Gradients", "Occlusion"):
        deletion, insertion = areas(maps[method], pixels)
        assert deletion < unrelated - 0.2, method
        assert insertion > random_insertion + 0.2, method


def test_curves_begin_and_end_with_the_image_and_its_replacement() -> None:
    pixels = bright()
    relevance = np.random.default_rng(3).random((2, SIZE, SIZE), dtype=np.float32)
    deletion, insertion = faithfulness.curves(Square(), pixels, np.zeros_like(pixels), relevance, relevance)[0]
    assert deletion[0] == insertion[-1] == pytest.approx(1 / (1 + np.exp(-10 * (250 / 255 - 0.5))))
    assert deletion[-1] == insertion[0] == pytest.approx(1 / (1 + np.exp(5)))


def test_pixels_of_the_same_relevance_are_ordered_by_the_tie_breaker() -> None:
    pixels, flat = bright(), np.zeros((2, SIZE, SIZE), np.float32)
    relevance = np.random.default_rng(3).random(flat.shape, dtype=np.float32)
    black = np.zeros_like(pixels)
    expected = faithfulness.curves(Square(), pixels, black, relevance, flat)
    assert np.array_equal(faithfulness.curves(Square(), pixels, black, flat, relevance), expected)


def test_every_map_is_as_large_as_the_image_and_not_negative() -> None:
    for method, relevance in maps_of(bright()).items():
        assert relevance.shape == (2, SIZE, SIZE), method
        assert relevance.dtype == np.float32, method
        assert relevance.min() >= 0, method
        assert relevance.max() > 0, method


def test_the_area_of_a_straight_fall_is_a_half() -> None:
    assert faithfulness.area(np.linspace(1, 0, 25, dtype=np.float32)) == pytest.approx(0.5)


def test_heat_wholly_inside_a_mask_has_the_share_one_and_no_heat_has_none() -> None:
    relevance = np.zeros((3, SIZE, SIZE), np.float32)
    relevance[0][SQUARE] = 2
    relevance[1] = 1
    mask = np.zeros((3, SIZE, SIZE), bool)
    mask[:, *SQUARE] = True
    shares = heat_share(relevance, mask)
    assert shares[:2] == pytest.approx([1, mask[0].mean()])
    assert np.isnan(shares[2])


def chest() -> NDArray[np.uint8]:
    """A bright body with two dark lungs, on black."""
    picture = np.zeros((192, 192, 3), np.uint8)
    picture[10:185, 20:172] = 180
    picture[50:120, 50:85] = picture[50:120, 108:143] = 60
    return picture


def test_the_lung_field_is_the_dark_of_the_body_and_the_background_is_neither() -> None:
    found = regions(chest())
    lungs = chest()[..., 0] == 60
    assert (found["lung field"] & lungs).sum() / lungs.sum() > 0.9
    assert (found["lung field"] & lungs).sum() / found["lung field"].sum() > 0.9
    assert not found["body"][:, :15].any()
    assert found["body"][lungs].all()
    assert found["border"].mean() == pytest.approx(0.36, abs=0.02)
    assert found["corners"].mean() == pytest.approx(0.16, abs=0.02)


@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_image_has_regions_too(level: int) -> None:
    for mask in regions(np.full((192, 192, 3), level, np.uint8)).values():
        assert mask.shape == (192, 192)


def correlations(kind: type[Learned]) -> dict[str, float]:
    torch.manual_seed(5)
    stages = {"head": ("head.",), "everything": ("",)}
    pixels = np.random.default_rng(4).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    found = faithfulness.randomised(kind(), kind, stages, pixels, seed=0)
    return {stage: float(np.abs(values).mean()) for stage, values in found.items()}


def test_a_map_that_ignores_the_weights_fails_the_randomised_weights_check() -> None:
    assert correlations(Indifferent) == pytest.approx({"head": 1, "everything": 1})


def test_a_map_that_depends_on_the_weights_changes_with_them() -> None:
    assert all(value < 0.6 for value in correlations(Learned).values())


def test_randomising_leaves_the_trained_network_as_it_is() -> None:
    network = Learned()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    faithfulness.randomised(network, Learned, {"everything": ("",)}, bright(), seed=0)
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())


def test_each_stage_of_the_cascade_is_a_part_of_the_served_network() -> None:
    names = GradCamClassifier(build(load_card(STORE / "chest-xray-pneumonia"))).state_dict()  # type: ignore[arg-type]
    for beginnings in faithfulness.STAGES.values():
        for beginning in beginnings:
            assert any(name.startswith(beginning) for name in names), beginning


def images(targets: list[int]) -> Images:
    count = len(targets)
    names = np.array([str(number) for number in range(count)])
    return Images(bright(count), np.array(targets), names, np.zeros(count, np.int64), names, names)


def test_the_sample_is_of_images_that_are_and_are_called_pneumonia() -> None:
    card, logits = load_card(STORE / "chest-xray-pneumonia"), np.array([[9], [9], [-9], [-9], [9]], np.float32)
    chosen = faithfulness.drawn(images([1, 0, 1, 0, 1]), logits, card, 60, np.random.default_rng(0))
    assert chosen.names.tolist() == ["0", "4"]
    with pytest.raises(faithfulness.FaithfulnessError, match="none of 2 images"):
        faithfulness.drawn(images([0, 0]), logits[:2], card, 60, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ["chest-xray-pneumonia", "--run", "nowhere"],
            ExportError,
            "nowhere/weights.pt is missing; `make crossvalidate-chest-xray-pneumonia`",
        ),
        (
            ["brain-mri-tumour"],
            faithfulness.FaithfulnessError,
            "brain-mri-tumour is for segmentation; only a classification",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(
    arguments: list[str], error: type[DokueiError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["faithfulness", *arguments])
    with pytest.raises(error, match=message):
        faithfulness.main()


def test_the_command_publishes_figures_and_curves_without_an_image(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(STORE / "chest-xray-pneumonia")
    torch.manual_seed(0)
    network = build(card)
    with torch.no_grad():
        network.network.get_classifier().bias.fill_(50)  # Random weights, but sure to call every image pneumonia.
    run = tmp_path / "build/training" / card.name / "fold-4"
    run.mkdir(parents=True)
    torch.save(network.state_dict(), run / "weights.pt")
    (run / "training.json").write_text(json.dumps({"arguments": {"fold": 4}}))
    calibration.save(run.parent / "calibration.json", calibration.Calibration(temperature=1.0, threshold=0.5))
    (tmp_path / "model-store" / card.name).mkdir(parents=True)
    card_file = tmp_path / "model-store" / card.name / "card.yaml"
    card_file.write_bytes((STORE / card.name / "card.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["faithfulness", card.name, "--data", str(data), "--count", "1"])
    monkeypatch.setattr(faithfulness, "DRAWS", 1)
    monkeypatch.setattr(faithfulness, "STEPS", 2)
    faithfulness.main()
    written = {file.name for file in card_file.parent.iterdir()} - {"card.yaml"}
    assert written == {"FAITHFULNESS.md", "FAITHFULNESS.json", "FAITHFULNESS-curves.png"}
    text = (card_file.parent / "FAITHFULNESS.md").read_text(encoding="utf-8")
    for words in ("Grad-CAM (served) minus random", "lung field: share of the heat", "random weights: everything"):
        assert words in text
