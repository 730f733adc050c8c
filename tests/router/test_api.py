"""The HTTP API, through a real router and real model servers."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hostile import HOSTILE
from serving import StartRouter, sse
from uploads import png_bytes, read_image

from router.decode.limits import DecodeLimits


def send(client: httpx.Client, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    return client.post("/api/analyses", files=[("files", file) for file in files], data=fields)


def test_an_xray_is_classified_with_heat_map_and_explanation(shared_router: httpx.Client, samples: Path) -> None:
    data = (samples / "chest-xray.dcm").read_bytes()
    response = send(shared_router, ("whatever", data))
    assert response.status_code == 201
    analysis = response.json()
    assert response.headers["location"] == f"/api/analyses/{analysis['id']}"
    assert analysis["input"]["kind"] == "dicom"
    assert analysis["input"]["images"] == 1
    assert analysis["input"]["sha256"] == hashlib.sha256(data).hexdigest()
    modality = analysis["modality"]
    assert (modality["label"], modality["source"], modality["doubtful"]) == ("chest-xray", "dicom", False)
    assert modality["confidence"] > 0.9
    assert analysis["model"]["name"] == "chest-xray-pneumonia"
    assert analysis["model"]["runtime"] == "light"
    assert analysis["model"]["variant"] == "stable"
    result = analysis["result"]
    assert result["task"] == "classification"
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    above = result["probabilities"]["pneumonia"] >= result["threshold"]
    assert result["label"] == ("pneumonia" if above else "normal")
    assert analysis["explanation"]["source"] == "template"
    assert "Research use only" in analysis["explanation"]["text"]
    assert {"decode", "dispatch", "inference", "pictures"} <= analysis["timings_ms"].keys()


def test_the_pictures_of_an_xray_have_its_size_and_agree_with_each_other(
    shared_router: httpx.Client, samples: Path
) -> None:
    location = send(shared_router, ("x", (samples / "chest-xray.dcm").read_bytes())).headers["location"]
    image = read_image(shared_router.get(f"{location}/images/0.png").content)
    heat = read_image(shared_router.get(f"{location}/heatmap.png").content)
    overlay = read_image(shared_router.get(f"{location}/overlay.png").content)
    assert heat.dtype == np.uint8
    assert heat.shape == image.shape
    assert overlay.shape == (*image.shape, 3)
    cold, hot = heat == 0, heat > 200
    assert np.array_equal(overlay[cold], np.repeat(image[cold][:, None], 3, axis=1))
    if hot.any():
        assert np.abs(overlay[hot].astype(int) - image[hot][:, None]).max() > 50
    missing = shared_router.get(f"{location}/images/1.png")
    assert missing.status_code == 404
    assert missing.json()["type"] == "/problems/not-found"


def test_a_series_is_segmented_in_slice_order_with_volume_and_masks(shared_router: httpx.Client, samples: Path) -> None:
    response = send(shared_router, ("series.zip", (samples / "brain-mri.zip").read_bytes()))
    assert response.status_code == 201
    analysis = response.json()
    location = response.headers["location"]
    result = analysis["result"]
    assert analysis["modality"]["label"] == "brain-mri"
    assert result["task"] == "segmentation"
    assert [part["index"] for part in result["slices"]] == list(range(analysis["input"]["images"]))
    voxels = 0
    for part in result["slices"]:
        mask = read_image(shared_router.get(f"{location}/masks/{part['index']}.png").content)
        image = read_image(shared_router.get(f"{location}/images/{part['index']}.png").content)
        assert mask.shape == image.shape[:2]
        assert set(np.unique(mask)) <= {0, 255}
        assert part["area_fraction"] == pytest.approx((mask == 255).mean())
        voxels += int((mask == 255).sum())
    assert result["voxels"] == voxels
    spacing = analysis["input"]["spacing_mm"]
    assert result["volume_ml"] == pytest.approx(
        voxels * spacing["row"] * spacing["column"] * spacing["slice"] / 1000, abs=1e-3
    )


def test_the_point_cloud_holds_the_mask_at_its_slices(shared_router: httpx.Client, samples: Path) -> None:
    response = send(shared_router, ("series.zip", (samples / "brain-mri.zip").read_bytes()))
    analysis, location = response.json(), response.headers["location"]
    data = shared_router.get(f"{location}/points.bin").content
    magic, version, count, slices = struct.unpack_from("<4sIII", data)
    assert (magic, version, slices) == (b"DKPC", 1, analysis["input"]["images"])
    assert len(data) == 16 + count * (12 + 2 + 1)
    positions = np.frombuffer(data, "<f4", count * 3, 16).reshape(count, 3)
    numbers = np.frombuffer(data, "<u2", count, 16 + 12 * count)
    kinds = np.frombuffer(data, "u1", count, 16 + 14 * count)
    assert int((kinds == 1).sum()) == analysis["result"]["voxels"]
    assert (kinds == 0).sum() > 1000
    step = analysis["input"]["spacing_mm"]["slice"]
    assert positions[:, 2] == pytest.approx((numbers - (slices - 1) / 2) * step)


def test_one_grey_slice_without_tags_goes_by_the_modality_model(shared_router: httpx.Client, samples: Path) -> None:
    location = send(shared_router, ("x", (samples / "chest-xray.dcm").read_bytes())).headers["location"]
    picture = shared_router.get(f"{location}/images/0.png").content
    analysis = send(shared_router, ("picture.png", picture)).json()
    assert analysis["modality"]["source"] == "classifier"
    assert analysis["modality"]["label"] == "chest-xray"
    assert analysis["modality"]["confidence"] >= 0.8


def test_dicom_and_its_own_pixels_as_png_get_the_same_answer(shared_router: httpx.Client, samples: Path) -> None:
    first = send(shared_router, ("x", (samples / "chest-xray-opacity.dcm").read_bytes()))
    picture = shared_router.get(f"{first.headers['location']}/images/0.png").content
    second = send(shared_router, ("x.png", picture), model="chest-xray-pneumonia")
    assert second.json()["result"] == first.json()["result"]


def test_what_no_model_accepts_is_refused_with_what_was_seen(shared_router: httpx.Client, samples: Path) -> None:
    response = send(shared_router, ("x.png", (samples / "not-medical.png").read_bytes()))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "/problems/unsupported-image"
    assert "chest-xray" in problem["detail"]
    assert "brain-mri" in problem["detail"]
    assert "seen" in problem


def test_override_uses_the_named_model(shared_router: httpx.Client) -> None:
    grey = np.full((64, 64), 90, np.uint8)
    analysis = send(shared_router, ("x.png", png_bytes(grey)), model="brain-mri-tumour").json()
    blank = {"label": "brain-mri", "confidence": None, "source": "override", "doubtful": True}
    assert analysis["modality"] == blank
    assert analysis["result"]["volume_ml"] is None
    unknown = send(shared_router, ("x.png", png_bytes(grey)), model="knee")
    assert unknown.status_code == 404
    assert unknown.json()["models"] == ["brain-mri-tumour", "chest-xray-pneumonia"]


def test_two_xrays_in_one_request_are_refused(shared_router: httpx.Client) -> None:
    grey = png_bytes(np.full((64, 64), 90, np.uint8))
    response = send(shared_router, ("1.png", grey), ("2.png", grey), model="chest-xray-pneumonia")
    assert response.status_code == 422
    assert "request of its own" in response.json()["detail"]


def test_explanation_in_japanese(shared_router: httpx.Client, samples: Path) -> None:
    analysis = send(shared_router, ("x", (samples / "chest-xray.dcm").read_bytes()), language="ja").json()
    assert analysis["explanation"]["language"] == "ja"
    assert "肺炎" in analysis["explanation"]["text"]


def test_a_stream_tells_each_step_and_then_the_stored_result(shared_router: httpx.Client, samples: Path) -> None:
    response = shared_router.post(
        "/api/analyses",
        files={"files": (samples / "chest-xray.dcm").read_bytes()},
        headers={"Accept": "text/event-stream"},
    )
    events = sse(response)
    assert [data["step"] for event, data in events[:-2]] == ["received", "decoded", "dispatched", "predicted", "stored"]
    event, analysis = events[-2]
    assert event == "result"
    assert shared_router.get(f"/api/analyses/{analysis['id']}").json()["result"] == analysis["result"]
    assert events[-1] == ("explanation", analysis["explanation"])


def test_a_stream_ends_in_a_problem_where_the_upload_is_refused(shared_router: httpx.Client) -> None:
    response = shared_router.post("/api/analyses", files={"files": b"hello"}, headers={"Accept": "text/event-stream"})
    event, problem = sse(response)[-1]
    assert event == "error"
    assert problem["status"] == 422


def test_analyses_are_listed_newest_first_and_deleted_with_their_pictures(
    start_router: StartRouter, samples: Path
) -> None:
    client = start_router()
    data = (samples / "chest-xray.dcm").read_bytes()
    ids = [send(client, ("x", data)).json()["id"] for _ in range(3)]
    listed = client.get("/api/analyses").json()["items"]
    assert [item["id"] for item in listed] == ids[::-1]
    page = client.get("/api/analyses", params={"limit": 1, "before": listed[0]["created"]}).json()["items"]
    assert [item["id"] for item in page] == [ids[1]]
    assert client.delete(f"/api/analyses/{ids[1]}").status_code == 204
    for path in ("", "/images/0.png", "/heatmap.png", "/points.bin"):
        assert client.get(f"/api/analyses/{ids[1]}{path}").status_code == 404
    assert client.delete(f"/api/analyses/{ids[1]}").status_code == 404
    assert [item["id"] for item in client.get("/api/analyses").json()["items"]] == [ids[2], ids[0]]


def test_a_review_is_shown_with_the_analysis_and_taken_back(start_router: StartRouter, samples: Path) -> None:
    client = start_router()
    location = send(client, ("x", (samples / "chest-xray.dcm").read_bytes())).headers["location"]
    assert client.get(location).json()["review"] is None
    said = client.put(f"{location}/review", json={"verdict": "disagree", "reason": "a fold of skin"})
    assert said.status_code == 200
    for shown in (said.json(), client.get(location).json(), client.get("/api/analyses").json()["items"][0]):
        assert (shown["review"]["verdict"], shown["review"]["reason"]) == ("disagree", "a fold of skin")
    assert client.delete(f"{location}/review").status_code == 204
    assert client.get(location).json()["review"] is None


@pytest.mark.parametrize(
    "body", [{"verdict": "maybe"}, {}, {"verdict": "agree", "reason": "x" * 2001}, {"verdict": "agree", "by": "me"}]
)
def test_a_wrong_review_is_refused(shared_router: httpx.Client, samples: Path, body: dict[str, str]) -> None:
    location = send(shared_router, ("x", (samples / "chest-xray.dcm").read_bytes())).headers["location"]
    refused = shared_router.put(f"{location}/review", json=body)
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/invalid-parameter"
    assert shared_router.get(location).json()["review"] is None
    assert shared_router.put("/api/analyses/none/review", json={"verdict": "agree"}).status_code == 404


def test_reviews_are_a_table_in_which_no_reason_is_a_formula(start_router: StartRouter, samples: Path) -> None:
    client = start_router()
    for sample, verdict, reason in (
        ("chest-xray.dcm", "agree", ""),
        ("brain-mri.zip", "disagree", '=HYPERLINK("http://x")'),
    ):
        location = send(client, ("x", (samples / sample).read_bytes())).headers["location"]
        client.put(f"{location}/review", json={"verdict": verdict, "reason": reason})
    answer = client.get("/api/reviews.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    brain, chest = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (brain["model"], brain["verdict"], brain["reason"]) == (
        "brain-mri-tumour", "disagree", "'=HYPERLINK(\"http://x\")",
    )  # fmt: skip
    assert float(brain["volume_ml"]) > 0
    assert brain["probability"] == chest["volume_ml"] == ""
    assert 0 <= float(chest["probability"]) <= 1
    some = client.get("/api/reviews.csv", params={"verdict": "agree"}).content.decode("utf-8-sig")
    assert [row["model"] for row in csv.DictReader(io.StringIO(some))] == ["chest-xray-pneumonia"]


def test_models_are_listed_with_what_their_cards_say(shared_router: httpx.Client) -> None:
    models = {model["name"]: model for model in shared_router.get("/api/models").json()["items"]}
    assert set(models) == {"chest-xray-pneumonia", "brain-mri-tumour", "modality"}
    assert models["chest-xray-pneumonia"]["labels"] == ["normal", "pneumonia"]
    assert models["brain-mri-tumour"]["intended_use"]["ja"]
    assert models["modality"]["modality"] is None


@pytest.mark.parametrize(
    ("files", "fields", "status", "said"),
    [
        ([], {"language": "en"}, 400, "field 'files'"),
        ([("files", ("a", b"x"))], {"language": "fr"}, 400, "language is one of en, ja"),
        ([("files", ("a", b"x"))], {"colour": "red"}, 400, "a field is not known"),
        ([("files", ("a", b"x")), ("other", ("b", b"x"))], {}, 400, "a field is not known"),
    ],
)
def test_wrong_forms_are_refused_with_a_sentence(
    shared_router: httpx.Client, files: list[Any], fields: dict[str, str], status: int, said: str
) -> None:
    parts = files or [("unused", (None, ""))]
    response = shared_router.post("/api/analyses", files=parts if files else None, data=fields)
    if not files:
        response = shared_router.post("/api/analyses", files=[("language", (None, "en"))])
    assert response.status_code == status
    assert said in response.json()["detail"]


def test_a_body_that_is_no_form_is_refused(shared_router: httpx.Client) -> None:
    response = shared_router.post("/api/analyses", content=b"{}", headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    broken = shared_router.post(
        "/api/analyses", content=b"no boundary", headers={"Content-Type": "multipart/form-data"}
    )
    assert broken.status_code == 400
    assert "form data cannot be read" in broken.json()["detail"]


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_are_4xx_problems_and_the_service_goes_on(shared_router: httpx.Client, name: str) -> None:
    response = send(shared_router, HOSTILE[name]())
    assert 400 <= response.status_code < 500
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.json()["detail"]) > 20
    assert response.elapsed.total_seconds() < 10 * DecodeLimits().seconds, "it ends, however busy the machine is"
    assert shared_router.get("/healthz").status_code == 200
    assert shared_router.get("/api/analyses", params={"limit": 1}).status_code == 200


def test_health_metrics_and_openapi_are_there(shared_router: httpx.Client, samples: Path) -> None:
    send(shared_router, ("x", (samples / "chest-xray.dcm").read_bytes()))
    assert shared_router.get("/readyz").json() == {"status": "ok"}
    metrics = shared_router.get("/metrics").text
    assert 'dokuei_analyses_total{modality="chest-xray",model="chest-xray-pneumonia"' in metrics
    assert 'dokuei_stage_seconds_count{stage="inference"}' in metrics
    schema = shared_router.get("/openapi.json").json()
    assert "multipart/form-data" in schema["paths"]["/api/analyses"]["post"]["requestBody"]["content"]


def test_every_answer_has_the_security_headers(shared_router: httpx.Client) -> None:
    for path in ("/", "/static/icon.svg", "/api/models", "/api/analyses/none"):
        headers = shared_router.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_dead_model_server_is_a_503_with_retry_after(start_router: StartRouter, samples: Path) -> None:
    client = start_router(model_endpoints={"chest-xray-pneumonia": "http://127.0.0.1:9"})
    response = send(client, ("x", (samples / "chest-xray.dcm").read_bytes()))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert client.get("/api/analyses").json()["items"] == []


def test_concurrent_uploads_each_get_their_own_answer(shared_router: httpx.Client) -> None:
    import concurrent.futures

    random = np.random.default_rng(5)
    pictures = [png_bytes(random.integers(0, 256, (96, 80 + n), dtype=np.uint8)) for n in range(12)]

    def ask(picture: bytes) -> dict[str, Any]:
        response = send(shared_router, ("x.png", picture), model="chest-xray-pneumonia")
        assert response.status_code == 201
        answer: dict[str, Any] = response.json()
        return answer

    alone = [ask(picture) for picture in pictures]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(ask, pictures))
    for picture, one, other in zip(pictures, alone, together, strict=True):
        assert other["input"]["sha256"] == hashlib.sha256(picture).hexdigest()
        assert other["result"] == one["result"]
