"""Which model an image is for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from paths import STORE

from handlers.contract.card import load_card
from router.dispatch import Dispatch, dispatch
from router.errors import ModelUnavailable, UnsupportedImage
from router.registry import ServedModel
from router.study import Study

MODELS = [ServedModel(load_card(folder), "http://none", "light") for folder in sorted(STORE.iterdir())]


def study(images: int = 1, **tags: str) -> Study:
    pixels = [np.full((40, 40), n + 100, np.uint8) for n in range(images)]
    for image in pixels:
        image[:, :20] = 0
    return Study("dicom" if tags else "png", pixels, tags, None, "0" * 64, "0" * 64, "not-dicom")


def found(
    given: Study, probabilities: Sequence[float] | None = None, models: Any = None, override: str | None = None
) -> Dispatch:
    """Dispatch with a modality model that answers `probabilities`, and must not be asked where they are None."""

    async def infer(_: ServedModel, images: np.ndarray[Any, Any], __: Sequence[str]) -> Mapping[str, Any]:
        assert probabilities is not None, "the modality model was asked"
        return {"probabilities": np.tile(np.array(probabilities, np.float32), (len(images), 1))}

    return asyncio.run(dispatch(given, MODELS if models is None else models, override, infer))


@pytest.mark.parametrize(
    ("tags", "model"),
    [
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, "chest-xray-pneumonia"),
        ({"Modality": "CR", "BodyPartExamined": "chest "}, "chest-xray-pneumonia"),
        ({"Modality": "MR", "BodyPartExamined": "BRAIN"}, "brain-mri-tumour"),
        ({"Modality": "MR", "BodyPartExamined": "HEAD"}, "brain-mri-tumour"),
    ],
)
def test_tags_that_say_enough_decide_and_what_the_image_says_is_told(tags: dict[str, str], model: str) -> None:
    xray = model == "chest-xray-pneumonia"
    for probabilities, doubtful in (([0.97, 0.0, 0.03], not xray), ([0.0, 0.97, 0.03], xray), ([0.5, 0.5, 0.0], True)):
        answer = found(study(**tags), probabilities)
        assert answer.model.card.name == model
        assert answer.source == "dicom"
        assert answer.confidence == pytest.approx(probabilities[0 if xray else 1])
        assert answer.doubtful is doubtful


def test_what_the_caller_chose_is_used_and_what_the_image_says_is_told() -> None:
    answer = found(study(), [0.97, 0.0, 0.03], override="brain-mri-tumour")
    assert (answer.model.card.name, answer.source, answer.doubtful) == ("brain-mri-tumour", "override", True)


def test_tags_need_no_modality_model() -> None:
    readers = [model for model in MODELS if model.card.task != "modality"]
    answer = found(study(Modality="DX", BodyPartExamined="CHEST"), models=readers)
    assert (answer.confidence, answer.doubtful) == (None, False)


def test_a_modality_model_that_fails_stops_nothing_that_the_tags_decide() -> None:
    async def infer(_: ServedModel, __: np.ndarray[Any, Any], ___: Sequence[str]) -> Mapping[str, Any]:
        raise ModelUnavailable("down")

    answer = asyncio.run(dispatch(study(Modality="DX", BodyPartExamined="CHEST"), MODELS, None, infer))
    assert (answer.source, answer.confidence, answer.doubtful) == ("dicom", None, False)


def test_a_blank_image_with_good_tags_is_doubted() -> None:
    blank = replace(study(Modality="DX", BodyPartExamined="CHEST"), images=[np.full((40, 40), 9, np.uint8)])
    assert found(blank).doubtful


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "CT", "BodyPartExamined": "CHEST"},
        {"Modality": "MR", "BodyPartExamined": "BREAST"},
        {"Modality": "US"},
    ],
)
def test_tags_that_fit_no_model_are_refused_without_asking_the_classifier(tags: dict[str, str]) -> None:
    with pytest.raises(UnsupportedImage) as caught:
        found(study(**tags))
    assert tags["Modality"] in caught.value.detail
    assert caught.value.extra["seen"] == tags


@pytest.mark.parametrize("tags", [{}, {"Modality": "OT"}, {"Modality": "SC"}, {"BodyPartExamined": "CHEST"}])
def test_tags_that_say_too_little_leave_it_to_the_image(tags: dict[str, str]) -> None:
    answer = found(study(**tags), [0.95, 0.03, 0.02])
    assert answer.model.card.name == "chest-xray-pneumonia"
    assert answer.source == "classifier"
    assert answer.confidence == pytest.approx(0.95)


def test_the_image_cannot_overrule_what_the_tags_exclude() -> None:
    with pytest.raises(UnsupportedImage):
        found(study(Modality="MR"), [0.95, 0.03, 0.02])


@pytest.mark.parametrize("probabilities", [[0.02, 0.03, 0.95], [0.6, 0.3, 0.1]])
def test_other_and_unsure_images_are_refused(probabilities: list[float]) -> None:
    with pytest.raises(UnsupportedImage) as caught:
        found(study(), probabilities)
    assert "accepted are" in caught.value.detail


def test_an_image_without_tags_needs_a_modality_model() -> None:
    with pytest.raises(ModelUnavailable, match="modality"):
        found(study(), models=[model for model in MODELS if model.card.task != "modality"])


def test_a_long_series_is_judged_by_a_few_images_of_its_middle() -> None:
    seen: list[int] = []

    async def infer(_: ServedModel, images: np.ndarray[Any, Any], __: Sequence[str]) -> Mapping[str, Any]:
        seen.extend(int(image.max()) for image in images)
        return {"probabilities": np.tile(np.array([0, 1, 0], np.float32), (len(images), 1))}

    asyncio.run(dispatch(study(images=101), MODELS, None, infer))
    assert len(seen) == 8
    assert min(seen) >= 125
    assert max(seen) <= 175


@pytest.mark.parametrize("level", [0, 130, 255])
def test_a_blank_image_is_refused_without_asking_the_classifier(level: int) -> None:
    blank = replace(study(), images=[np.full((40, 40), level, np.uint8)])
    with pytest.raises(UnsupportedImage, match="shows nothing"):
        found(blank)


def test_blank_slices_have_no_say_in_what_a_series_is() -> None:
    seen: list[int] = []

    async def infer(_: ServedModel, images: np.ndarray[Any, Any], __: Sequence[str]) -> Mapping[str, Any]:
        seen.append(len(images))
        return {"probabilities": np.tile(np.array([0, 1, 0], np.float32), (len(images), 1))}

    series = study(images=2)
    series.images[1][:] = 7
    asyncio.run(dispatch(series, MODELS, None, infer))
    assert seen == [1]
