"""Explanations: the template's words, what an LLM is sent, and what of its answer is shown."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fake_llm import FakeLlm
from hostile import dicom_bytes
from PIL import Image
from serving import StartProcess, StartRouter, sse
from uploads import png_bytes

from router.explanation import explainer, template
from router.explanation.checks import RejectedReply, check

XRAY = {
    "task": "classification", "finding": "pneumonia", "label": "pneumonia", "probability": 0.9731, "threshold": 0.5,
    "has_heat": True, "hottest_region": "lower left", "heat_share_of_hottest_region": 0.4627,
    "model": "chest-xray-pneumonia", "version": "1.0.0",
}  # fmt: skip
MRI = {
    "task": "segmentation", "finding": "tumour", "slices": 24, "slices_with_finding": 8, "voxels": 10250,
    "volume_ml": 41.5, "first_slice": 9, "last_slice": 16, "largest_slice": 12, "largest_slice_area_fraction": 0.031,
    "threshold": 0.5, "model": "brain-mri-tumour", "version": "1.0.0",
}  # fmt: skip


def ask(client: httpx.Client, file: bytes, **fields: str) -> dict[str, Any]:
    response = client.post("/api/analyses", files={"files": ("name", file)}, data=fields)
    assert response.status_code == 201, response.text
    analysis: dict[str, Any] = response.json()
    return analysis


def configured(llm: FakeLlm, send_images: bool = False, **more: Any) -> dict[str, Any]:
    return {"llm_base_url": llm.url, "llm_model": "words-1", "llm_send_images": send_images, **more}


def speak(text: str) -> dict[str, str]:
    return {"finding": text, "evidence": "The heat map shows where the evidence lies.", "limits": "Research use only."}


def test_template_says_the_facts_of_an_xray_in_both_languages() -> None:
    english, japanese = template.explain(XRAY, "en"), template.explain(XRAY, "ja")
    for said in ("97.3 %", "50.0 %", "46.3 %", "lower left", "pneumonia", "Grad-CAM", "1.0.0"):
        assert said in english
    for said in ("97.3%", "左下", "肺炎", "Grad-CAM"):
        assert said in japanese


def test_template_says_the_facts_of_a_volume_in_both_languages() -> None:
    english, japanese = template.explain(MRI, "en"), template.explain(MRI, "ja")
    for said in ("8 of 24 slices", "slice 9 to slice 16", "41.5 ml", "10250 voxels", "slice 12", "3.1 %"):
        assert said in english
    assert "41.5 ml" in japanese
    assert "腫瘍" in japanese


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(
    "facts",
    [XRAY, {**XRAY, "label": "normal", "probability": 0.02}, {**XRAY, "has_heat": False}, MRI,
     {**MRI, "volume_ml": None}, {**MRI, "voxels": 0, "first_slice": None, "last_slice": None}],
)  # fmt: skip
def test_the_template_itself_passes_the_checks_for_replies(facts: dict[str, Any], language: Any) -> None:
    check(template.explain(facts, language), facts, language)


def test_template_never_claims_certainty() -> None:
    assert "100" not in template.explain({**XRAY, "probability": 0.99999}, "en")
    assert " 0.0 %" not in template.explain({**XRAY, "label": "normal", "probability": 0.00001}, "en")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Pneumonia has a probability of 99 %.", "number"),
        ("There are 3 opacities.", "number"),
        ("確率は九十九%、数値は98%です。", "language"),
        ("Start antibiotics. The probability is 97 %.", "advice"),
        ("The patient should be treated.", "advice"),
        ("<b>97 %</b>", "markup"),
        ("See https://example.org", "markup"),
        ("word " * 400, "length"),
        ("", "length"),
        ("[...]", "length"),
        ("There is a pleural effusion.", "word"),
        ("The model found no pneumonia.", "contradiction"),
        ("The heat lies in the upper left.", "region"),
    ],
)
def test_a_reply_that_says_more_than_the_facts_is_rejected(text: str, reason: str) -> None:
    with pytest.raises(RejectedReply) as caught:
        check(text, XRAY, "en")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "The model chest-xray-pneumonia (1.0.0) gives pneumonia a probability of 97 %, or 0.97.",
        "Its probability is 97.3 %; 46% of the heat lies in the lower left.",
        "The threshold is 50 %.",
    ],
)
def test_a_reply_that_rounds_the_facts_is_accepted(text: str) -> None:
    check(text, XRAY, "en")


def test_advice_and_numbers_are_found_in_japanese_and_full_width() -> None:
    with pytest.raises(RejectedReply, match="advice"):
        check("肺炎の可能性があります。抗菌薬の投与を検討してください。", XRAY, "ja")
    with pytest.raises(RejectedReply, match="number"):
        check("確率は\uff19\uff19パーセントです。", XRAY, "ja")
    check("確率は\uff19\uff17パーセントです。", XRAY, "ja")


def test_without_images_the_llm_gets_facts_and_nothing_else(
    start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    llm.reply = speak("The image is labelled by the model.")
    analysis = ask(start_router(**configured(llm)), (samples / "chest-xray.dcm").read_bytes())
    assert analysis["explanation"] == {
        "text": " ".join(llm.reply.values()), "source": "llm", "language": "en", "model": "words-1",
    }  # fmt: skip
    [request] = llm.requests
    [part] = request["messages"][1]["content"]
    facts = json.loads(part["text"])
    assert facts.keys() == XRAY.keys()
    assert request["response_format"]["json_schema"]["schema"]["required"] == ["finding", "evidence", "limits"]
    assert b"image_url" not in llm.bodies[0]


def test_with_images_it_gets_three_and_is_told_what_red_means(
    start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    llm.reply = speak("The image is labelled by the model.")
    client = start_router(**configured(llm, send_images=True))
    analysis = ask(client, (samples / "chest-xray.dcm").read_bytes())
    [request] = llm.requests
    rules = request["messages"][0]["content"]
    assert "Grad-CAM heat map" in rules
    assert "red is where the evidence" in rules
    urls = [part["image_url"]["url"] for part in request["messages"][1]["content"][1:]]
    sent = [Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))) for url in urls]
    assert len(sent) == 3
    assert all(not picture.info for picture in sent), "pixels only, no text chunks"
    stored = Image.open(io.BytesIO(client.get(f"/api/analyses/{analysis['id']}/images/0.png").content))
    assert np.array_equal(np.asarray(sent[0]), np.asarray(stored))


def test_a_stored_analysis_is_explained_again_in_another_language(shared_router: httpx.Client, samples: Path) -> None:
    analysis = ask(shared_router, (samples / "chest-xray.dcm").read_bytes())
    path = f"/api/analyses/{analysis['id']}"
    again = shared_router.post(f"{path}/explanation", json={"language": "ja"})
    assert again.status_code == 200
    assert (again.json()["language"], again.json()["source"]) == ("ja", "template")
    assert shared_router.get(path).json()["explanation"] == again.json()
    english = shared_router.post(f"{path}/explanation", json={"language": "en"}).json()
    assert english == analysis["explanation"]
    assert shared_router.post(f"{path}/explanation", json={"language": "fr"}).status_code == 422
    assert shared_router.post("/api/analyses/none/explanation", json={"language": "en"}).status_code == 404


def test_words_come_part_by_part_and_only_those_that_pass_the_checks(
    start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    client = start_router(**configured(llm))
    analysis = ask(client, (samples / "chest-xray.dcm").read_bytes())
    first = "The image is labelled by the model."
    for evidence, source, told in (
        (
            "The heat map is red.",
            "llm",
            [first, f"{first} The heat map is red.", f"{first} The heat map is red. Research use."],
        ),
        ("Give antibiotics.", "template", [first]),
    ):
        llm.reply = {"finding": first, "evidence": evidence, "limits": "Research use."}
        response = client.post(
            f"/api/analyses/{analysis['id']}/explanation",
            json={"language": "en"},
            headers={"Accept": "text/event-stream"},
        )
        seen = sse(response)
        assert [data["text"] for name, data in seen if name == "words"] == told
        name, explanation = seen[-1]
        assert (name, explanation["source"]) == ("explanation", source)
        client.post(f"/api/analyses/{analysis['id']}/explanation", json={"language": "ja"})


def test_an_llm_that_was_down_is_asked_again_and_its_words_outlive_its_next_failure(
    start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    llm.behaviour = "status-500"
    client = start_router(**configured(llm, send_images=True))
    analysis = ask(client, (samples / "chest-xray.dcm").read_bytes())
    assert analysis["explanation"]["source"] == "template"
    llm.behaviour, llm.reply = "answer", speak("The image is labelled by the model.")
    path = f"/api/analyses/{analysis['id']}/explanation"
    written = client.post(path, json={"language": "en"}).json()
    assert (written["source"], written["model"]) == ("llm", "words-1")
    assert len(llm.requests[-1]["messages"][1]["content"]) == 4, "the facts and three pictures, as at first"
    llm.behaviour = "status-500"
    assert client.post(path, json={"language": "en"}).json() == written
    assert client.post(path, json={"language": "ja"}).json()["source"] == "template"


@pytest.mark.parametrize("declared", ["YES", None])
def test_images_stay_where_burned_in_text_is_declared_or_not_excluded(
    start_router: StartRouter, llm: FakeLlm, declared: str | None
) -> None:
    llm.reply = speak("The image is labelled by the model.")
    tags = {"Modality": "CR", "BodyPartExamined": "CHEST"} | ({"BurnedInAnnotation": declared} if declared else {})
    file = dicom_bytes(np.full((64, 64), 99, np.uint8), **tags)
    ask(start_router(**configured(llm, send_images=True)), file)
    assert b"image_url" not in llm.bodies[0]


def test_nothing_that_names_a_patient_reaches_the_llm_or_the_log(start_process: StartProcess, llm: FakeLlm) -> None:
    llm.reply = speak("The image is labelled by the model.")
    secrets = {
        "PatientName": "WALRUS^NAME", "PatientID": "WALRUS-ID", "InstitutionName": "WALRUS HOSPITAL",
        "StudyDescription": "WALRUS STUDY", "AccessionNumber": "WALRUSACC",
    }  # fmt: skip
    file = dicom_bytes(
        np.full((64, 64), 99, np.uint8), Modality="CR", BodyPartExamined="CHEST", BurnedInAnnotation="NO", **secrets
    )
    client, log = start_process(DOKUEI_LLM_BASE_URL=llm.url, DOKUEI_LLM_MODEL="words-1", DOKUEI_LLM_SEND_IMAGES="true")
    response = client.post("/api/analyses", files={"files": ("WALRUS-file.dcm", file)})
    refused = client.post("/api/analyses", files={"files": ("WALRUS-file.dcm", b"WALRUS text")})
    logged = log.read_text()
    assert response.status_code == 201
    assert refused.status_code == 422
    assert '"route": "/api/analyses"' in logged
    for told in (logged, refused.text, response.text, llm.bodies[0].decode(), client.get("/metrics").text):
        assert "walrus" not in told.lower()


@pytest.mark.parametrize(
    ("behaviour", "reply"),
    [
        ("answer", speak("The probability is 12.345 %.")),
        ("answer", speak("Give amoxicillin, an antibiotic.")),
        ("answer", "Sure! Here is what I see."),
        ("answer", {"finding": "only one"}),
        ("answer", speak("x" * 10_000_000)),
        ("status-429", None),
        ("status-500", None),
        ("no-json", None),
        ("hang", None),
        ("drip", None),
    ],
)
def test_where_the_llm_misbehaves_the_template_answers(
    start_router: StartRouter, llm: FakeLlm, samples: Path, behaviour: str, reply: Any
) -> None:
    llm.behaviour, llm.reply = behaviour, reply
    client = start_router(**configured(llm, llm_timeout_seconds=1))
    response = client.post("/api/analyses", files={"files": (samples / "chest-xray.dcm").read_bytes()})
    assert response.json()["explanation"]["source"] == "template"
    assert response.elapsed.total_seconds() < 10, "nobody waits for it, however busy the machine is"
    assert len(llm.requests) == 1


def test_a_dead_llm_is_not_asked_again_and_again(start_router: StartRouter, llm: FakeLlm) -> None:
    llm.behaviour = "status-500"
    client = start_router(**configured(llm))
    picture = png_bytes(np.full((64, 64), 99, np.uint8))
    for _ in range(6):
        ask(client, picture, model="chest-xray-pneumonia")
    assert len(llm.requests) == 3


def test_an_llm_that_was_dead_is_asked_again_after_a_while_and_shown_where_it_is_well(
    start_router: StartRouter, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explainer, "SECONDS_OPEN", 2)
    llm.behaviour, llm.reply = "status-500", speak("The image is labelled by the model.")
    client = start_router(**configured(llm))
    picture = png_bytes(np.full((64, 64), 99, np.uint8))

    def source() -> str:
        said: str = ask(client, picture, model="chest-xray-pneumonia")["explanation"]["source"]
        return said

    assert {source() for _ in range(4)} == {"template"}
    assert len(llm.requests) == 3
    time.sleep(2.1)
    assert source() == "template"
    assert len(llm.requests) == 4, "one is asked, to see whether it is well again"
    assert source() == "template"
    assert len(llm.requests) == 4
    llm.behaviour = "answer"
    time.sleep(2.1)
    assert [source() for _ in range(2)] == ["llm", "llm"]


def test_in_a_stream_the_result_comes_before_the_llm_is_done(
    start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    llm.reply = speak("The image is labelled by the model.")
    client = start_router(**configured(llm))
    response = client.post(
        "/api/analyses",
        files={"files": (samples / "chest-xray.dcm").read_bytes()},
        headers={"Accept": "text/event-stream"},
    )
    names = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    assert names[-6:] == ["result", "progress", "words", "words", "words", "explanation"]
    stored = client.get("/api/analyses").json()["items"][0]
    assert stored["explanation"]["source"] == "llm"
