"""Both model servers speak the Open Inference Protocol v2, and give the same answers to the same images."""

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from processes import MODELS, Runtime, Served, image, outputs

from handlers.contract import oip
from handlers.segmenter import main_parts

EXACT = 1e-5
"""What the order of additions may change between a batch and a single image."""


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], tolerance: float = EXACT) -> None:
    """Same names, datatypes, shapes and values."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=tolerance, atol=tolerance, strict=True)


def json_request(images: np.ndarray, **more: object) -> oip.Message:
    tensor = {"name": "images", "shape": images.shape, "datatype": "UINT8", "data": images.tolist()}
    return oip.Message(json.dumps({"inputs": [tensor], **more}).encode(), {"Content-Type": "application/json"})


def test_binary_tensors_come_back_for_binary_tensors(served: Served) -> None:
    response = served.post(oip.encode_request({"images": image(served.card, 1)}, id="of-the-caller"))
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[oip.HEADER_LENGTH])
    answer = oip.decode_response(response.content, length)
    assert (answer.model_name, answer.model_version) == (served.card.name, served.card.version)
    assert answer.id == "of-the-caller"
    header = json.loads(response.content[:length])
    sizes = [tensor["parameters"]["binary_data_size"] for tensor in header["outputs"]]
    assert length + sum(sizes) == len(response.content)
    assert all(len(tensor) == 1 for tensor in answer.outputs.values())


def test_json_gets_the_answer_of_binary_tensors_as_json(served: Served) -> None:
    images = image(served.card, 2)
    response = served.post(json_request(images))
    assert response.headers["content-type"] == "application/json"
    assert oip.HEADER_LENGTH not in response.headers
    assert all("data" in tensor for tensor in response.json()["outputs"])
    assert_same(outputs(response), served.infer(images))


def test_only_the_outputs_asked_for_come_back_each_in_its_form(brain: Served) -> None:
    images = image(brain.card, 3)
    wanted = [
        {"name": "probability", "parameters": {"binary_data": False}},
        {"name": "mask", "parameters": {"binary_data": True}},
    ]
    response = brain.post(json_request(images, outputs=wanted))
    header = json.loads(response.content[: int(response.headers[oip.HEADER_LENGTH])])
    assert [("data" in tensor, tensor["name"]) for tensor in header["outputs"]] == [
        (True, "probability"),
        (False, "mask"),
    ]
    assert_same(outputs(response), brain.infer(images))

    only = outputs(brain.post(oip.encode_request({"images": images}, ["mask"])))
    assert list(only) == ["mask"]


def alone(served: Served, images: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """The answer to image n in a request of its own, without a mask: what it leaves out depends on the whole study."""
    return {name: values for name, values in served.infer(images[n : n + 1]).items() if name != "mask"}


def test_a_batch_gets_the_answers_of_its_images(served: Served) -> None:
    images = image(served.card, 4, count=3)
    singles = [alone(served, images, n) for n in range(3)]
    together = {name: values for name, values in served.infer(images).items() if name != "mask"}
    assert_same(together, {name: np.concatenate([one[name] for one in singles]) for name in singles[0]})


def test_a_volume_gets_the_answers_of_its_slices_in_their_order(brain: Served) -> None:
    volume = image(brain.card, 5, count=20)
    answer = brain.infer(volume)
    assert answer["mask"].shape == (20, brain.card.input.height, brain.card.input.width)
    for n in (0, 15, 16, 19):
        assert_same({"probability": answer["probability"][n : n + 1]}, alone(brain, volume, n))


def test_a_mask_is_where_the_probability_reaches_the_threshold_without_small_parts(brain: Served) -> None:
    answer = brain.infer(image(brain.card, 6, count=3))
    reached = (answer["probability"] >= brain.card.threshold).astype(np.uint8)
    np.testing.assert_array_equal(answer["mask"], main_parts(reached))


def test_concurrent_requests_each_get_their_own_answer(chest: Served) -> None:
    images = [image(chest.card, seed) for seed in range(100, 116)]
    singles = [chest.infer(one) for one in images]
    heatmaps = np.stack([single["heatmap"] for single in singles])
    for n in range(15):  # Or the test could not tell one answer from another.
        assert np.abs(heatmaps[n + 1 :] - heatmaps[n]).max(axis=(1, 2, 3)).min() > 100 * EXACT

    def ask(n: int) -> httpx.Response:
        return chest.post(oip.encode_request({"images": images[n]}, id=str(n)))

    with ThreadPoolExecutor(16) as threads:
        for n, response in enumerate(threads.map(ask, range(16))):
            assert oip.decode_response(response.content, response.headers[oip.HEADER_LENGTH]).id == str(n)
            assert_same(outputs(response), singles[n])


Fault = Callable[[np.ndarray], oip.Message]


def sent(images: np.ndarray, cut: int | None = None, more: bytes = b"", **headers: str) -> oip.Message:
    """A good binary request, but for the changes."""
    good = oip.encode_request({"images": images})
    return oip.Message(good.body[:cut] + more, {**good.headers, **headers})


def header_one_short(images: np.ndarray) -> oip.Message:
    good = oip.encode_request({"images": images})
    return oip.Message(good.body, {**good.headers, oip.HEADER_LENGTH: str(int(good.headers[oip.HEADER_LENGTH]) - 1)})


def raw(body: bytes, content_type: str = "application/json") -> Fault:
    return lambda _: oip.Message(body, {"Content-Type": content_type})


FAULTS: dict[str, tuple[Fault, str]] = {
    "shape": (
        lambda images: oip.encode_request({"images": images[:, :100]}),
        r"UINT8 \[1, 100, (\d+), 3\]; .* takes UINT8 \[N, \1, \1, 3\]",
    ),
    "rank": (lambda images: oip.encode_request({"images": images[0]}), r"takes UINT8 \[N, (\d+), \1, 3\]"),
    "no images": (lambda images: oip.encode_request({"images": images[:0]}), "with N from 1"),
    "datatype": (lambda images: oip.encode_request({"images": images.astype(np.float32)}), "FP32.*takes UINT8"),
    "input": (lambda images: oip.encode_request({"picture": images}), "inputs are picture; .* takes one, images"),
    "output": (
        lambda images: oip.encode_request({"images": images}, ["saliency"]),
        "'saliency'; .*gives probabilities",
    ),
    "truncated": (lambda images: sent(images, cut=-1), r"inputs\[images\] needs (\d+) bytes, and \d+ are left"),
    "too long": (lambda images: sent(images, more=b"!"), "1 bytes follow the last tensor"),
    "header too short": (header_one_short, oip.HEADER_LENGTH),
    "header past the end": (lambda images: sent(images, **{oip.HEADER_LENGTH: "999999999"}), "is 999999999, and the"),
    "header no number": (lambda images: sent(images, **{oip.HEADER_LENGTH: "long"}), "a whole number, and is 'long'"),
    "not JSON": (raw(b"\x89PNG\r\n"), "does not start with a JSON object"),
    "empty": (raw(b"", "application/octet-stream"), "a JSON object of 0 bytes"),
    "no inputs": (raw(b'{"inputs": []}'), "inputs is empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_request_is_told_its_fault_and_the_next_one_is_served(chest: Served, fault: str) -> None:
    message, told = FAULTS[fault]
    images = image(chest.card, 7)
    response = chest.post(message(images))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert re.search(told, response.json()["error"]), response.json()["error"]
    assert chest.infer(images).keys() == {"probabilities", "heatmap"}


def test_a_model_that_is_not_served_is_not_found(runtime: Runtime) -> None:
    chest = runtime.models["chest-xray-pneumonia"]
    message = oip.encode_request({"images": image(chest.card, 7)})
    url = f"{chest.url}/v2/models/foot-xray/infer"
    assert httpx.post(url, content=message.body, headers=message.headers).status_code == 404


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_the_kserve_client_gets_the_same_answer(served: Served, binary: bool) -> None:
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    images = image(served.card, 9)
    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    request = InferRequest(served.card.name, [tensor], "7", parameters={"binary_data_output": binary})

    async def ask() -> object:
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        try:
            return await client.infer(served.url, request, model_name=served.card.name)
        finally:
            await client.close()

    answer = asyncio.run(ask())
    assert (answer.id, answer.model_name) == ("7", served.card.name)
    assert_same({output.name: output.as_numpy() for output in answer.outputs}, served.infer(images))


@pytest.mark.parametrize("model", MODELS)
def test_both_servers_agree(light: Runtime, torchserve: Runtime, model: str) -> None:
    images = image(light.models[model].card, 10, count=4)
    one, other = light.models[model].infer(images), torchserve.models[model].infer(images)
    assert_same(one, other, tolerance=1e-4)
    for name in one:
        if one[name].dtype == np.uint8:
            np.testing.assert_array_equal(one[name], other[name])
