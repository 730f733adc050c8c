"""A rollout changes the values of its model, and leaves all else alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from router.rollout.values import (
    candidate_of,
    is_promoted,
    promoted,
    with_candidate,
    with_model_of,
    with_split,
    without_candidate,
)

MODEL = "chest-xray-pneumonia"
CANDIDATE = {
    "card": "name: chest-xray-pneumonia\nversion: 9.9.9",
    "storageUri": "pvc://archives/next",
    "runtime": "onnx",
}
GIVEN = [
    {},
    {"models": {MODEL: None}},
    {"models": {MODEL: {"storageUri": "pvc://archives/old", "replicas": 2}, "modality": {"enabled": False}}, "a": 1},
]


@pytest.mark.parametrize("given", GIVEN)
def test_a_candidate_comes_moves_and_goes_without_a_trace(given: dict[str, Any]) -> None:
    before = copy.deepcopy(given)
    there = with_split(with_candidate(given, MODEL, CANDIDATE), MODEL, 25, 100)
    assert candidate_of(there, MODEL) == {**CANDIDATE, "weight": 25, "shadow": 100}
    gone = without_candidate(there, MODEL)
    assert candidate_of(gone, MODEL) is None
    assert (gone["models"].pop(MODEL) or {}) == (before.get("models", {}).get(MODEL) or {})
    assert gone["models"] == {name: value for name, value in before.get("models", {}).items() if name != MODEL}
    assert given == before, "what was given is not changed"


def test_what_is_promoted_is_served_as_the_candidate_was_and_as_often_as_the_model() -> None:
    there = with_split(with_candidate(GIVEN[2], MODEL, CANDIDATE), MODEL, 100, 0)
    model = promoted(there, MODEL)["models"][MODEL]
    assert model.pop("canary") == {**CANDIDATE, "weight": 100, "shadow": 0}, "it reads until the model is its equal"
    assert model == {**CANDIDATE, "replicas": 2}


def test_a_candidate_from_the_image_of_its_version_leaves_no_old_archive_behind() -> None:
    image = {"card": CANDIDATE["card"]}
    assert "storageUri" not in promoted(with_candidate(GIVEN[2], MODEL, image), MODEL)["models"][MODEL]


@pytest.mark.parametrize("given", GIVEN)
def test_a_promotion_that_has_begun_is_seen_and_taken_back(given: dict[str, Any]) -> None:
    there = with_split(with_candidate(given, MODEL, CANDIDATE), MODEL, 100, 0)
    half = promoted(there, MODEL)
    assert [is_promoted(values, MODEL) for values in (given, there, half)] == [False, False, True]
    half["other"] = 1
    back = with_model_of(half, there, MODEL)
    assert back.pop("other") == 1
    assert back == there
