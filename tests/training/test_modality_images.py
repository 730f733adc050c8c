"""What the modality model learns from, and the kinds that are kept from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from paths import STORE
from synthetic import PATIENTS

from handlers.contract.card import load_card
from training import unseen
from training.calibration import Calibration
from training.datasets import ALWAYS_LEARNED, Images
from training.modality_images import CUTS, DARK, cut, load_modality, never_seen, without_kinds


@pytest.fixture(scope="module")
def images(data: Path) -> Images:
    return load_modality(data, load_card(STORE / "modality"), 1)


def test_a_plane_is_cut_with_the_last_slice_on_top() -> None:
    stack = np.zeros((10, 64, 64, 3), np.uint8)
    stack[9], stack[:, 32, :, 1], stack[:, :, 32, 2] = 80, 150, 250
    for plane, channel, level in (("coronal", 1, 150), ("sagittal", 2, 250)):
        picture = cut(stack, plane, 0.5, 0.6)
        rows = picture[..., channel].mean(1)
        assert rows[32] == pytest.approx(level, abs=2)
        assert picture[:12].max() == picture[-12:].max() == 0
        assert picture[14, :, 0].mean() > 60 > picture[40, :, 0].mean()


def test_each_patient_has_planes_of_both_directions_in_the_fold_of_its_slices(images: Images) -> None:
    kinds = images.groups["kind"]
    for plane in ("coronal", "sagittal"):
        assert (kinds == f"brain-mri, {plane}").sum() == CUTS * PATIENTS
    folds: dict[str, set[int]] = {}
    for patient, fold in zip(images.patients.tolist(), images.folds.tolist(), strict=True):
        folds.setdefault(patient, set()).add(fold)
    assert all(len(of) == 1 for of in folds.values())


def test_planes_of_a_patient_are_known_again_though_they_are_cut_elsewhere(images: Images, data: Path) -> None:
    again = load_modality(data, load_card(STORE / "modality"), 2)
    planes = [np.char.startswith(of.groups["kind"], "brain-mri,") for of in (images, again)]
    assert set(images.digests[planes[0]]) == set(again.digests[planes[1]])
    assert not np.array_equal(images.pixels[planes[0]], again.pixels[planes[1]])


def test_the_template_is_always_learned_from_and_measures_nothing(images: Images) -> None:
    template = np.char.startswith(images.groups["kind"], "brain-mri, skull-stripped")
    assert template.sum() == 60
    assert np.array_equal(template, images.folds == ALWAYS_LEARNED)


def test_generated_images_are_brighter_than_slices_beyond_the_head(images: Images) -> None:
    generated = images.pixels[images.groups["kind"] == "generated"]
    assert (generated.reshape(len(generated), -1).max(1) >= DARK).all()


def test_kinds_that_are_left_out_are_those_never_seen(data: Path) -> None:
    images = without_kinds("photo", "generated")(data, load_card(STORE / "modality"), 1)
    kinds = images.groups["kind"]
    assert np.array_equal(never_seen(images, 0), np.isin(kinds, ["photo", "generated"]))
    assert (images.folds[np.isin(kinds, ["photo", "generated"])] == 0).all()


def test_unseen_kinds_are_measured_by_what_is_let_through() -> None:
    card = load_card(STORE / "modality")
    other = card.labels.index("other")
    logits = np.zeros((6, 3), np.float32)
    logits[0, other], logits[1, 0] = 6, 9  # Refused: it is other, it is unlike all that is known, it is not sure.
    logits[2, 0], logits[[3, 4, 5], 1] = 1, 9
    names = np.array(list("abcdef"))
    held = unseen.Held(
        kinds=np.array(["skin", "skin", "photo", "photo", "generated", "brain-mri"]), digests=names, patients=names,
        unseen=np.array([True] * 5 + [False]), logits=logits,
        similarity=np.array([0.9, 0.1, 0.9, 0.9, 0.9, 0.95], np.float32),
    )  # fmt: skip
    report = unseen.measure(held, card, Calibration(temperature=1.0, threshold=0.9, least_similarity=0.5))
    found = {figure.metric: figure.value for figures in report.tables.values() for figure in figures}
    assert found["pictures of kinds never seen that are let through to a model"] == 0.25
    assert found["the same with blank, noise, gradient and checkerboard images"] == pytest.approx(2 / 5)
    assert (found["skin"], found["photo"], found["generated"]) == (0.0, 0.5, 1.0)
    assert found["largest probability of a model's kind (served)"] == pytest.approx((2 + 3 * 0.5) / 5)
    assert found["similarity to the fifth nearest image learned from (Sun et al. 2022; served)"] == 1.0
