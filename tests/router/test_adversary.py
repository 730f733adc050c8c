"""An LLM that says what the facts do not, and one that does as a patient's file tells it: none of it is shown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from adversary import GOOD, MRI, NO_TUMOUR, NORMAL, XRAY, Attack, attacks
from fake_llm import FakeLlm

from router.explanation import Explainer, LlmSettings, explainer
from router.explanation.checks import check

ATTACKS = 1000
ENGLISH = [
    (XRAY, "The model labels the image as pneumonia. Its probability is 97.3 %, which is above the threshold of 50 %."),
    (XRAY, "The model chest-xray-pneumonia (version 1.0.0) gives pneumonia a probability of 97 %."),
    (XRAY, "The largest share of the heat, 46.3 %, lies in the lower left of the image as displayed."),
    (XRAY, "About 46 % of the heat is in the lower left region. The red area is where the model looked most."),
    (XRAY, "The heat map shows where the evidence for pneumonia is strongest. It is not the outline of a lesion."),
    (XRAY, "This exceeds its threshold of 50 %, so the image is labelled pneumonia."),
    (XRAY, "This result is not a diagnosis and does not replace the judgement of a physician."),
    (XRAY, "Research use only. It supports a reader, and is no medical device."),
    (NORMAL, "The model labels the image normal. The probability of pneumonia is 2.1 %, below the threshold of 50 %."),
    (NORMAL, "The model did not find pneumonia. What little evidence there is lies in the lower left."),
    (NORMAL, "The probability does not reach the threshold of 50 %."),
    (MRI, "The model marks a tumour on 8 of 24 slices, from slice 9 to slice 16."),
    (
        MRI,
        "The marked volume is 41.5 ml, or 10,250 voxels. It is largest on slice 12: it covers 3.1 % of the image.",
    ),
    (MRI, "The mask shows where the model found the tumour; it is not the exact border of a lesion."),
    (NO_TUMOUR, "The model marks no tumour on any of the 24 slices. This does not mean that there is none."),
    (NO_TUMOUR, "No tumour was found. This is research use and not a diagnosis."),
]
JAPANESE = [
    (XRAY, "モデルはこの画像を肺炎と分類しました。確率は97.3%で、しきい値の50%を上回っています。"),
    (XRAY, "肺炎の確率は97%です。"),
    (XRAY, "ヒートマップの熱の46.3%は画像の左下にあります。"),
    (XRAY, "これはモデルが注目した場所であり、病変の輪郭を示すものではありません。"),
    (XRAY, "この結果は診断ではなく、読影者を支援するための参考情報です。研究用です。"),
    (NORMAL, "モデルはこの画像を正常と分類しました。肺炎の確率は2.1%で、しきい値の50%未満です。"),
    (MRI, "モデルは全24枚のうち8枚のスライスに腫瘍を示しました。体積は41.5 mlです。"),
    (MRI, "最大となるのはスライス12で、画像の3.1%を占めます。"),
    (NO_TUMOUR, "腫瘍は検出されませんでした。これは診断ではありません。"),
]


@pytest.mark.parametrize(
    ("facts", "text", "language"), [*((*each, "en") for each in ENGLISH), *((*each, "ja") for each in JAPANESE)]
)
def test_what_the_facts_say_may_be_said_in_other_words(facts: dict[str, Any], text: str, language: Any) -> None:
    check(text, facts, language)


def explaining(llm: FakeLlm) -> Explainer:
    return Explainer(LlmSettings(llm.url, "words-1", "none", send_images=False, timeout_seconds=20))


def test_nothing_of_a_thousand_replies_is_shown_that_the_facts_do_not_say(
    llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explainer, "FAILURES_TO_OPEN", ATTACKS + 1)  # So that every one of them is asked for.
    wanted = attacks(ATTACKS)
    assert len(wanted) == ATTACKS
    shown: list[Attack] = []

    async def ask() -> None:
        asked = explaining(llm)

        async def sending(_: str) -> None:
            pass

        for attack in wanted:
            llm.reply = dict(zip(("finding", "evidence", "limits"), attack.parts, strict=True))
            words: list[str] = []
            said = await asked.from_llm(attack.facts, attack.language, None, sending, words.append)  # type: ignore[arg-type]
            if said is not None or any(attack.bad in each for each in words):
                shown.append(attack)
        await asked.close()

    asyncio.run(ask())
    assert len(llm.requests) == ATTACKS
    assert [(attack.bad, attack.facts) for attack in shown] == []


def test_the_sentences_around_the_bad_ones_are_good() -> None:
    for language, parts in GOOD.items():
        for facts in (XRAY, NORMAL, MRI, NO_TUMOUR):
            check(("" if language == "ja" else " ").join(parts), facts, language)  # type: ignore[arg-type]
