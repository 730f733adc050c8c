"""The light server alone: what TorchServe has no route for, its limits, and its end."""

import http.client
import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from processes import Runtime, Served, answers, command, free_port, image, light_server, running

from handlers.contract import oip
from handlers.contract.card import load_card


@pytest.fixture
def brain(light: Runtime) -> Served:
    return light.models["brain-mri-tumour"]


def test_metadata_tells_inputs_and_outputs(brain: Served) -> None:
    metadata = httpx.get(brain.path).json()
    assert metadata == {
        "name": "brain-mri-tumour",
        "versions": [brain.card.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 256, 256, 3]}],
        "outputs": [
            {"name": "mask", "datatype": "UINT8", "shape": [-1, 256, 256]},
            {"name": "probability", "datatype": "FP32", "shape": [-1, 256, 256]},
        ],
    }


@pytest.mark.parametrize("model", ["brain-mri-tumour", "chest-xray-pneumonia", "modality"])
def test_metadata_is_what_inference_gives(light: Runtime, model: str) -> None:
    served = light.models[model]
    described = {
        output["name"]: (output["datatype"], output["shape"]) for output in httpx.get(served.path).json()["outputs"]
    }
    given = served.infer(image(served.card, 1, count=2))
    assert described.keys() == given.keys()
    for name, (datatype, shape) in described.items():
        assert oip.datatype_name(given[name].dtype) == datatype
        assert len(shape) == given[name].ndim
        assert all(size in (-1, actual) for size, actual in zip(shape, given[name].shape, strict=True))


def test_the_server_tells_its_name_and_the_binary_extension(brain: Served) -> None:
    metadata = httpx.get(f"{brain.url}/v2").json()
    assert metadata["name"] == "dokuei"
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["version"])
    assert metadata["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("health/live", {"live": True}),
        ("health/ready", {"ready": True}),
        ("models/modality/ready", {"name": "modality", "ready": True}),
        ("models/modality/versions/{version}/ready", {"name": "modality", "ready": True}),
    ],
)
def test_health(light: Runtime, path: str, answer: dict[str, object]) -> None:
    served = light.models["modality"]
    response = httpx.get(f"{served.url}/v2/{path.format(version=served.card.version)}")
    assert (response.status_code, response.json()) == (200, answer)


def test_a_version_in_the_path_is_served_like_none(light: Runtime) -> None:
    served = light.models["modality"]
    message = oip.encode_request({"images": image(served.card, 2)})
    url = f"{served.path}/versions/{served.card.version}"
    response = httpx.post(f"{url}/infer", content=message.body, headers=message.headers)
    assert response.content == served.post(message).content
    assert httpx.get(url).json() == httpx.get(served.path).json()


@pytest.mark.parametrize("path", ["models/foot-xray", "models/modality/versions/9.9.9"])
@pytest.mark.parametrize("route", ["", "/ready", "/infer"])
def test_another_model_or_version_is_not_found_and_the_error_tells_which_is(
    light: Runtime, path: str, route: str
) -> None:
    served = light.models["modality"]
    url = f"{served.url}/v2/{path}{route}"
    response = httpx.post(url, content=b"{}") if route == "/infer" else httpx.get(url)
    assert response.status_code == 404
    assert response.json().keys() == {"error"}
    assert f"modality {served.card.version} is" in response.json()["error"]


def test_another_path_or_method_is_refused_in_the_form_of_the_protocol(brain: Served) -> None:
    for response, status in (
        (httpx.get(f"{brain.url}/v3"), 404),
        (httpx.get(f"{brain.path}/infer"), 405),
        (httpx.post(f"{brain.url}/v2/health/live"), 405),
    ):
        assert (response.status_code, list(response.json())) == (status, ["error"])


def test_health_answers_during_an_inference(brain: Served) -> None:
    volume = oip.encode_request({"images": image(brain.card, 3, count=48)})
    answers = 0
    with ThreadPoolExecutor(1) as threads, httpx.Client() as client:
        inference = threads.submit(brain.post, volume)
        while not inference.done():
            assert client.get(f"{brain.url}/v2/health/live").status_code == 200
            answers += not inference.done()
    assert inference.result().status_code == 200
    assert answers > 5, "where an inference held them up, one might come before it"


def test_a_body_over_the_limit_is_refused_and_the_next_one_is_served(store: Path, tmp_path: Path) -> None:
    with light_server(store / "modality", tmp_path / "log", DOKUEI_MAX_REQUEST_MB="1") as served:
        large = bytes(2 * 1024 * 1024)
        declared = httpx.post(f"{served.path}/infer", content=large)
        streamed = httpx.post(f"{served.path}/infer", content=iter([large[:1000], large]))
        for response in (declared, streamed):
            assert response.status_code == 413
            assert "1048576 bytes (DOKUEI_MAX_REQUEST_MB)" in response.json()["error"]

        unsent = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)
        unsent.putrequest("POST", "/v2/models/modality/infer")
        unsent.putheader("Content-Length", str(len(large)))
        unsent.endheaders()
        assert unsent.getresponse().status == 413  # Its length is enough to refuse it.
        unsent.close()

        assert served.infer(image(served.card, 4)).keys() == {"probabilities"}


def test_metrics_count_requests_by_status_and_the_log_has_a_line_each_without_what_was_sent(
    store: Path, tmp_path: Path
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with light_server(store / "modality", tmp_path / "log") as served:
        served.infer(image(served.card, 5))
        body = b'{"inputs": "Yamada Taro"}'
        httpx.post(f"{served.path}/infer", content=body, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
        metrics = httpx.get(f"{served.url}/metrics").text
    assert 'dokuei_requests_total{status="200"} 2.0' in metrics  # The first is the one that waited for the start.
    assert 'dokuei_requests_total{status="400"} 1.0' in metrics
    assert "dokuei_inference_seconds_count 3.0" in metrics
    assert re.search(r"^dokuei_load_seconds 0\.0*[1-9]|^dokuei_load_seconds [1-9]", metrics, re.MULTILINE)

    log = (tmp_path / "log").read_text()
    assert "Yamada" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    inferences = [line for line in lines if line["message"] == "inference"]
    assert [line["status"] for line in inferences] == [200, 200, 400]
    assert [line.get("trace_id") for line in inferences] == [None, None, trace]


def test_sigterm_lets_the_request_under_way_finish_and_leaves_no_files(store: Path, tmp_path: Path) -> None:
    port = free_port()
    served = Served(load_card(store / "modality"), f"http://127.0.0.1:{port}")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arguments = command("handlers.server", store / "modality", "--port", port)
    message = oip.encode_request({"images": image(served.card, 6)})
    with (
        running(arguments, answers(served), tmp_path / "log", TMPDIR=str(temporary), HOME=str(temporary)) as process,
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
    ):
        headers = {**message.headers, "Host": "x", "Content-Length": str(len(message.body)), "Expect": "100-continue"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"POST /v2/models/modality/infer HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # The server has begun with it.

        process.send_signal(signal.SIGTERM)
        while _accepts(port):
            time.sleep(0.01)
        connection.sendall(message.body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        answer = oip.decode_response(response.read(), response.headers[oip.HEADER_LENGTH])
        np.testing.assert_allclose(answer.outputs["probabilities"].sum(), 1, atol=1e-5)
        assert process.wait(10) == 0
    assert list(temporary.iterdir()) == []


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
