"""The explanation from the facts alone, in English and Japanese; always there, and right by construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.result import Language

Facts = Mapping[str, Any]

REGIONS_JA = {
    "upper left": "左上",
    "upper right": "右上",
    "middle left": "左中央",
    "middle right": "右中央",
    "lower left": "左下",
    "lower right": "右下",
}
LABELS_JA = {"normal": "正常", "pneumonia": "肺炎", "tumour": "腫瘍"}


def explain(facts: Facts, language: Language) -> str:
    """The explanation of a classification's or a segmentation's facts."""
    return _TEMPLATES[(facts["task"], language)](facts)


def _percent(share: float) -> str:
    """A share as a percentage that never claims certainty: 0.9997 is '99.97 %', not '100 %'."""
    for decimals in (1, 2):
        text = f"{share * 100:.{decimals}f}"
        if 0 < float(text) < 100:
            return f"{text} %"
    return "less than 0.01 %" if share < 0.5 else "more than 99.99 %"


def _percent_ja(share: float) -> str:
    text = _percent(share).replace(" %", "%")
    return text.replace("less than 0.01%", "0.01%未満").replace("more than 99.99%", "99.99%超")


def _ja(label: str) -> str:
    return LABELS_JA.get(label, label)


def _classification_en(facts: Facts) -> str:
    found = facts["label"] == facts["finding"]
    side = "at or above" if found else "below"
    sentences = [
        f"The model {facts['model']} (version {facts['version']}) gives {facts['finding']} a probability of "
        f"{_percent(facts['probability'])}, {side} its threshold of {_percent(facts['threshold'])}; "
        f"it labels the image {facts['label']}."
    ]
    if facts["has_heat"]:
        evidence = "the evidence" if found else "the little evidence there is"
        sentences.append(
            f"The Grad-CAM heat map shows where {evidence} for {facts['finding']} lies: the largest share, "
            f"{_percent(facts['heat_share_of_hottest_region'])}, in the {facts['hottest_region']} of the image as "
            "displayed. It shows what the model looked at, not the outline of a lesion."
        )
    else:
        sentences.append(
            f"The Grad-CAM heat map is empty: the model found no evidence for {facts['finding']} anywhere."
        )
    return " ".join([*sentences, _NOTE_EN])


def _classification_ja(facts: Facts) -> str:
    finding = _ja(facts["finding"])
    side = "以上" if facts["label"] == facts["finding"] else "未満"
    sentences = [
        f"モデル {facts['model']}（バージョン {facts['version']}）による{finding}の確率は"
        f"{_percent_ja(facts['probability'])}で、"
        f"しきい値{_percent_ja(facts['threshold'])}{side}のため、「{_ja(facts['label'])}」と分類されました。"
    ]
    if facts["has_heat"]:
        sentences.append(
            f"Grad-CAMヒートマップは{finding}の根拠となった場所を示します。うち最も多い"
            f"{_percent_ja(facts['heat_share_of_hottest_region'])}は、表示画像の{REGIONS_JA[facts['hottest_region']]}にあります。"
            "これはモデルが注目した場所であり、病変の輪郭ではありません。"
        )
    else:
        sentences.append(f"Grad-CAMヒートマップは空で、{finding}の根拠となる場所は見つかりませんでした。")
    return "".join([*sentences, _NOTE_JA])


def _segmentation_en(facts: Facts) -> str:
    model = f"The model {facts['model']} (version {facts['version']})"
    total = f"{facts['slices']} slice" + ("s" if facts["slices"] != 1 else "")
    if not facts["voxels"]:
        return f"{model} marks no {facts['finding']} on any of {total}. {_NOTE_EN}"
    volume = (
        f"The marked volume is {facts['volume_ml']} ml"
        if facts["volume_ml"] is not None
        else "The spacing of the slices is unknown, so no volume can be given; the mask has"
    )
    voxels = f"({facts['voxels']} voxels)" if facts["volume_ml"] is not None else f"{facts['voxels']} voxels"
    return (
        f"{model} marks {facts['finding']} on {facts['slices_with_finding']} of {total}, "
        f"from slice {facts['first_slice']} to slice {facts['last_slice']}. {volume} {voxels}. "
        f"It is largest on slice {facts['largest_slice']}, where it covers "
        f"{_percent(facts['largest_slice_area_fraction'])} of the image. {_NOTE_EN}"
    )


def _segmentation_ja(facts: Facts) -> str:
    model = f"モデル {facts['model']}（バージョン {facts['version']}）は、"
    finding = _ja(facts["finding"])
    if not facts["voxels"]:
        return f"{model}全{facts['slices']}枚のどのスライスにも{finding}を検出しませんでした。{_NOTE_JA}"
    volume = (
        f"体積は{facts['volume_ml']} ml（{facts['voxels']}ボクセル）です。"
        if facts["volume_ml"] is not None
        else f"スライス間隔が不明なため体積は算出できません（{facts['voxels']}ボクセル）。"
    )
    return (
        f"{model}全{facts['slices']}枚のうち{facts['slices_with_finding']}枚"
        f"（スライス{facts['first_slice']}〜{facts['last_slice']}）に{finding}を示しました。{volume}"
        f"最大となるのはスライス{facts['largest_slice']}で、画像の{_percent_ja(facts['largest_slice_area_fraction'])}を占めます。"
        f"{_NOTE_JA}"
    )


_NOTE_EN = "Research use only: this supports a reader and is not a diagnosis."
_NOTE_JA = "研究用であり、読影を補助するものです。診断ではありません。"

_TEMPLATES = {
    ("classification", "en"): _classification_en,
    ("classification", "ja"): _classification_ja,
    ("segmentation", "en"): _segmentation_en,
    ("segmentation", "ja"): _segmentation_ja,
}
