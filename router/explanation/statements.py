"""Whether the words of an explanation say of a result what the facts say: of what, on which side, where, how much."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from router.result import Language

from . import vocabulary as v
from .template import LABELS_JA, REGIONS_JA

Facts = Mapping[str, Any]

_LATIN = re.compile(r"[a-z]+(?:['’-][a-z]+)*")
_OTHER = re.compile(r"[^\W\d_a-z]+")
"""Letters that are not English ones: Japanese, or what only looks like English."""
_SENTENCE = re.compile(r"(?:[.;!?](?=\s|$))|[。；！？\n]")
_PART = re.compile(r",(?=\s)|、")
_CLAUSE = re.compile(r"(?:[.;!?,:](?=\s|$))|[。；！？、，：\n]|\b(?:and|but|while|so|because|since|although|though)\b")
_TWISTED = re.compile(
    r"\b(?:not|no|nothing|none|never|without) (?:only|just|but|other|rather|less|not|no|without)\b|\bmost of\b"
)
"""What denies nothing, though it begins as if it did; and a share that is no number."""
_TURNED = re.compile(r"(?:threshold|cutoff|しきい値|閾値).*(?:probabilit|likelihood|score|確率|可能性|スコア)")
_SUFFIXES = (("ies", "y"), ("s", ""), ("es", ""), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"), ("ly", ""))
_LATIN_IN_JAPANESE = {"grad-cam", "ml", "mri", "x"}
_SYNONYMS = {"top": "upper", "bottom": "lower", "centre": "middle", "center": "middle", "central": "middle"}

_KINDS: Mapping[str, tuple[str, ...]] = {
    "probability": ("probabilit", "likelihood", "score", "確率", "可能性", "スコア"),
    "threshold": ("threshold", "cutoff", "cut-off", "しきい値", "閾値"),
    "heat": ("heat", "share", "evidence", "weight", "熱", "割合", "ヒートマップ", "根拠", "多い"),
    "voxels": ("voxel", "ボクセル"),
    "volume": ("ml", "volume", "millilit", "体積", "ミリリットル"),
    "slice": ("slice", "スライス", "枚"),
    "area": ("cover", "area", "image", "画像", "面積", "占め"),
}
"""What a sentence calls the quantities of the facts by."""
_KIND_OF = {
    "probability": "probability", "threshold": "threshold", "heat_share_of_hottest_region": "heat", "voxels": "voxels",
    "volume_ml": "volume", "slices": "slice", "slices_with_finding": "slice", "first_slice": "slice",
    "last_slice": "slice", "largest_slice": "slice", "largest_slice_area_fraction": "area",
}  # fmt: skip
_VOLUME = re.compile("volume|体積")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_PLACES = (
    (re.compile(r"(\d+) of (?:the |all |its |a total of )*(\d+) slice"), ("slices_with_finding", "slices")),
    (re.compile(r"from (?:slice )?(\d+) (?:up )?(?:to|through) (?:slice )?(\d+)"), ("first_slice", "last_slice")),
    (re.compile(r"between slices? (\d+) and (?:slice )?(\d+)"), ("first_slice", "last_slice")),
    (re.compile(r"スライス(\d+)[〜~から]+(?:スライス)?(\d+)"), ("first_slice", "last_slice")),
    (re.compile(r"全(\d+)枚のうち(\d+)枚"), ("slices", "slices_with_finding")),
    (re.compile(r"largest (?:on|in|at) slice (\d+)"), ("largest_slice",)),
    (re.compile(r"最大[^。、]*スライス(\d+)"), ("largest_slice",)),
)
"""Ways to say which number is which slice, and whose numbers they have to be."""


def plain(text: str, facts: Facts) -> str:
    """The text without what the model is called, in one form of each letter."""
    text = unicodedata.normalize("NFKC", text)
    for name in (str(facts["model"]), str(facts["version"])):
        text = text.replace(name, " ")
    return text.lower()


def unknown_words(text: str, facts: Facts, language: Language) -> list[str]:
    """Words that an explanation of these facts is not made of.

    Args:
        text: as `plain` gives it.
    """
    own = _labels(facts, language)
    others = _OTHER.findall(text)
    if language == "ja":
        words = v.JAPANESE | v.ONLY_DENIED_JA | v.REGIONS_JA | own
        return [
            *(run for run in others if not _breaks(run, words)),
            *(word for word in _LATIN.findall(text) if word not in _LATIN_IN_JAPANESE | own),
        ]
    allowed = v.PLAIN | v.ONLY_DENIED | v.REGIONS | own
    return [*others, *(word for word in _LATIN.findall(text) if not any(form in allowed for form in _forms(word)))]


def contradicts(text: str, facts: Facts, language: Language) -> bool:
    """Whether a part of it denies what was found, claims what was not, or claims what may only be denied."""
    return any(_contradicts(clause, facts, language) for clause in _CLAUSE.split(text))


def _contradicts(clause: str, facts: Facts, language: Language) -> bool:
    japanese = language == "ja"
    found = _found(facts)
    has_evidence = facts.get("has_heat", found)
    denials = _count(clause, v.NEGATIONS_JA if japanese else v.NEGATIONS, language)
    says_up = _count(clause, v.UP_JA if japanese else v.UP, language) > 0
    says_down = _count(clause, v.DOWN_JA if japanese else v.DOWN, language) > 0
    of_finding = _said(str(facts["finding"]), language) in clause
    graded = _count(clause, v.GRADES_JA if japanese else v.GRADES, language) > 0
    only_denied = _count(clause, v.ONLY_DENIED_JA if japanese else v.ONLY_DENIED, language) > 0
    of_evidence = _count(clause, v.EVIDENCE_JA if japanese else v.EVIDENCE, language) > 0
    empty = _count(clause, v.EMPTY_JA if japanese else v.EMPTY, language) > 0
    # What a positive result may deny: what it is not, and a quantity that it does not have.
    of_nothing = (of_evidence and not has_evidence) or (facts.get("volume_ml", 0) is None and _VOLUME.search(clause))
    finds = _count(clause, v.FINDS_JA if japanese else v.FINDS, language) > 0
    by_somebody = _count(clause, v.PERSONS_JA if japanese else v.PERSONS, language) > 0
    if "threshold" in clause:
        says_up, says_down = (
            says_up or "more than" in clause,
            says_down or re.search("less than|lower", clause) is not None,
        )
    if denials:
        says_up, says_down = says_down, says_up
    return (
        _TWISTED.search(clause) is not None
        or (denials > 1 and (of_finding or only_denied or graded))
        or (only_denied and not denials)
        or (of_finding and by_somebody)
        or (found and denials > 0 and not (only_denied or of_nothing))
        or (not found and not denials and not graded and (of_finding or finds))
        or (empty and has_evidence)
        or ((of_finding or graded) and (says_down if found else says_up))
        or ((says_up or says_down) and _TURNED.search(clause) is not None)
    )


def _found(facts: Facts) -> bool:
    if facts["task"] == "segmentation":
        return bool(facts["voxels"] > 0)
    return bool(facts["label"] == facts["finding"])


def misplaced(text: str, facts: Facts, language: Language) -> bool:
    """Whether it names a region of the image that is not the hottest."""
    hottest = str(facts["hottest_region"]) if facts.get("has_heat") else ""
    if language == "ja":
        said = {region for run in _OTHER.findall(text) for region in _regions_in(run)}
        return not said <= _parts_ja(hottest)
    said = {_SYNONYMS.get(word, word) for word in _LATIN.findall(text.replace("lower than", " ")) if word in v.REGIONS}
    return not said <= set(hottest.split())


def wrong_numbers(text: str, facts: Facts) -> bool:
    """Whether a number is no fact, or is said of something else than the fact is of."""
    for sentence in _SENTENCE.split(text):
        for part in _PART.split(sentence):
            for match in _NUMBER.finditer(part):
                kind = _nearest_kind(part, *match.span()) or _nearest_kind(sentence, *match.span())
                if not any(_KIND_OF[name] == kind and says(match[0], value) for name, value in _numbers(facts)):
                    return True
        for form, names in _PLACES:
            for found in form.finditer(sentence):
                if any(int(said) != facts.get(name) for said, name in zip(found.groups(), names, strict=True)):
                    return True
    return False


def says(written: str, value: float) -> bool:
    """Whether a written number is `value`, rounded to the decimals written; a share may be written as a percentage."""
    decimals = len(written.partition(".")[2])
    number = float(written.replace(",", ""))

    def rounds(to: float) -> bool:
        return abs(number - to) <= 0.5 * 10.0**-decimals + 1e-9

    if 0 < value < 1:
        return rounds(value * 100) or (decimals >= 2 and rounds(value))
    return rounds(value) or (value in {0, 1} and rounds(value * 100))


def _numbers(facts: Facts) -> Iterator[tuple[str, float]]:
    for name, value in facts.items():
        if name in _KIND_OF and value is not None:
            yield name, float(value)


def _nearest_kind(sentence: str, start: int, end: int) -> str | None:
    """Which quantity is named nearest to a number; one behind it, as in "46 % of the heat", before one as near."""
    nearest: tuple[int, str] | None = None
    for kind, names in _KINDS.items():
        for name in names:
            for match in re.finditer(re.escape(name), sentence):
                distance = match.start() - end if match.start() >= end else start - match.end()
                if distance >= 0 and (nearest is None or distance < nearest[0]):
                    nearest = distance, kind
    return nearest[1] if nearest is not None else None


def _labels(facts: Facts, language: Language) -> frozenset[str]:
    """What this result may be called."""
    labels = {str(facts["finding"]), str(facts.get("label", facts["finding"]))}
    return frozenset(word for label in labels for word in _said(label, language).split())


def _said(label: str, language: Language) -> str:
    return LABELS_JA.get(label, label) if language == "ja" else label.lower()


def _forms(word: str) -> Iterator[str]:
    yield word
    for ending, base in _SUFFIXES:
        if word.endswith(ending):
            yield word.removesuffix(ending) + base


def _count(clause: str, words: Collection[str], language: Language) -> int:
    """How often one of these words stands in a clause; in Japanese, also as a part of another."""
    if language == "ja":
        return sum(clause.count(word) for word in words)
    return sum(any(form in words for form in _forms(word)) for word in _LATIN.findall(clause))


def _breaks(run: str, words: Collection[str]) -> bool:
    """Whether a run is made of these words, without a rest."""
    longest = max(map(len, words))
    reached = [True] + [False] * len(run)
    for end in range(1, len(run) + 1):
        reached[end] = any(reached[begin] and run[begin:end] in words for begin in range(max(0, end - longest), end))
    return reached[-1]


def _regions_in(run: str) -> Iterator[str]:
    """Regions that a run names, but for those that are part of another word of the vocabulary."""
    for word in sorted((word for word in v.JAPANESE if any(region in word for region in "左右上下中央")), key=len)[
        ::-1
    ]:
        run = run.replace(word, " ")
    for region in sorted(v.REGIONS_JA, key=len, reverse=True):
        if region in run:
            yield region
            run = run.replace(region, " ")


def _parts_ja(hottest: str) -> frozenset[str]:
    """What the hottest region may be called, as a whole or in part."""
    name = REGIONS_JA.get(hottest, "")
    parts = {name, *(part for part in ("左", "右", "上", "下", "中央") if part in name)}
    return frozenset(parts | {part + side for part in parts for side in ("部", "側")})
