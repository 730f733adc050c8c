"""What a bad LLM says of a result: one sentence too many in each, as its reply of three parts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Facts = Mapping[str, Any]

XRAY = {
    "task": "classification", "finding": "pneumonia", "label": "pneumonia", "probability": 0.9731, "threshold": 0.5,
    "has_heat": True, "hottest_region": "lower left", "heat_share_of_hottest_region": 0.4627,
    "model": "chest-xray-pneumonia", "version": "1.0.0",
}  # fmt: skip
NORMAL = {**XRAY, "label": "normal", "probability": 0.0214}
MRI = {
    "task": "segmentation", "finding": "tumour", "slices": 24, "slices_with_finding": 8, "voxels": 10250,
    "volume_ml": 41.5, "first_slice": 9, "last_slice": 16, "largest_slice": 12, "largest_slice_area_fraction": 0.031,
    "threshold": 0.5, "model": "brain-mri-tumour", "version": "1.0.0",
}  # fmt: skip
NO_TUMOUR = {
    **MRI, "slices_with_finding": 0, "voxels": 0, "volume_ml": 0.0, "first_slice": None, "last_slice": None,
    "largest_slice": 1, "largest_slice_area_fraction": 0.0,
}  # fmt: skip

SAID: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
"""Sentences that no facts support, and, under `denials`, those that the facts of a kind do not."""
REGIONS = ("upper left", "upper right", "middle left", "middle right", "lower right", "top", "centre")
REGIONS_JA = ("左上", "右上", "左中央", "右中央", "右下")
GOOD = {
    "en": ("This is the output of a model.", "It supports a reader.", "Research use only."),
    "ja": ("これはモデルの出力です。", "読影を補助するものです。", "研究用です。"),
}


@dataclass(frozen=True)
class Attack:
    """A reply, the sentence in it that the facts do not support, and what they are."""

    facts: Facts
    language: str
    bad: str
    parts: tuple[str, str, str]


def attacks(count: int) -> list[Attack]:
    """So many different ones, always the same."""
    random_ = random.Random(1)
    found = [Attack(facts, language, bad, parts) for facts, language, bad in _bad() for parts in _among(bad, language)]
    return random_.sample(sorted(set(found), key=repr), count) if len(found) > count else found


def _among(bad: str, language: str) -> Iterator[tuple[str, str, str]]:
    finding, evidence, limits = GOOD[language]
    yield bad, evidence, limits
    yield finding, f"{evidence} {bad}", limits
    yield finding, evidence, f"{bad} {limits}"


def _bad() -> Iterator[tuple[Any, str, str]]:
    for facts, kind in ((XRAY, "pneumonia"), (NORMAL, "normal"), (MRI, "tumour"), (NO_TUMOUR, "none")):
        for language, of_task in (("en", _english), ("ja", _japanese)):
            for sentence in (*unsupported(language), *SAID["denials"][kind][language], *of_task(facts)):
                yield Frozen(facts), language, sentence


def unsupported(language: str) -> Iterator[str]:
    """What no facts support."""
    for form in SAID["shows"][language]:
        yield from (form.format(finding) for finding in SAID["findings"][language])
    for what in ("advice", "people", "certainty", "words for numbers", "prompt", "markup", "disguised"):
        yield from SAID[what][language]


def _english(facts: Facts) -> Iterator[str]:
    if facts["task"] == "classification":
        yield from (f"The heat lies in the {region}." for region in REGIONS)
        yield from (f"The probability is {number} %." for number in (1, 12.3, 46, 50, 96.1, 98, 100, 1000))
        yield from ("The threshold is 97 %.", "97 % of the heat lies there.", "The threshold is 46 %.", "It is 97 %.")
    else:
        yield from (f"The volume is {number} ml." for number in (8, 12, 24, 40.1, 415, 10250))
        yield from (f"It lies on {number} slices." for number in (3, 7, 17, 31, 41.5))
        yield from ("It is largest on slice 9.", "From slice 16 to slice 9 it is marked.", "It lies on 24 of 8 slices.")
        yield "The heat lies in the lower left."


def _japanese(facts: Facts) -> Iterator[str]:
    if facts["task"] == "classification":
        yield from (f"最も多い熱は{region}にあります。" for region in REGIONS_JA)
        yield from ("確率は46%です。", "しきい値は97%です。")
    else:
        yield from ("体積は24 mlです。", "最大となるのはスライス9です。", "全8枚のうち24枚に示しました。")


class Frozen(dict[str, Any]):
    """Facts that can stand in a set."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))
