"""Handlers answer with evidence that adds up, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import SIDE, archive_of, classifier_graph, segmenter_graph
from processes import Runtime, image

from handlers.base import Exchange, Handler, Reply
from handlers.contract import oip
from handlers.contract.errors import ArchiveError, DokueiError, EvidenceError
from handlers.server import load_handler

Load = Callable[..., Handler]


@pytest.fixture
def load(repository: Path, tmp_path: Path) -> Load:
    """Loads the classifier around a graph, with a card of the chest model but for what is given."""

    def load(model: onnx.ModelProto, **fields: object) -> Handler:
        like = repository / "model-store" / "chest-xray-pneumonia"
        return load_handler(archive_of(model, like, tmp_path / "chest", **fields))

    return load


@pytest.fixture
def volumes(repository: Path, tmp_path: Path) -> Handler:
    """A segmenter that answers with the slice's first channel, under the brain model's card."""
    like = repository / "model-store" / "brain-mri-tumour"
    return load_handler(archive_of(segmenter_graph(), like, tmp_path / "brain"))


def grey(value: int, count: int = 1) -> np.ndarray:
    return np.full((count, SIDE, SIDE, 3), value, np.uint8)


def asked(images: np.ndarray, **more: str) -> Exchange:
    message = oip.encode_request({"images": images}, **more)
    return Exchange(message.body, message.headers)


def answer(reply: Reply) -> oip.InferResponse:
    assert reply.status == 200, reply.message.body
    return oip.decode_response(reply.message.body, reply.message.headers[oip.HEADER_LENGTH])


def error(reply: Reply) -> str:
    return json.loads(reply.message.body)["error"]


def test_a_logit_becomes_probabilities_and_its_map_grad_cam(load: Load) -> None:
    given = answer(load(classifier_graph()).respond([asked(grey(51))])[0]).outputs
    finding = 1 / (1 + np.exp(-(0.2 + 0.5)))
    np.testing.assert_allclose(given["probabilities"], [[1 - finding, finding]], atol=1e-6)
    np.testing.assert_allclose(given["heatmap"], np.full((1, SIDE, SIDE), 0.2 / SIDE**2), rtol=1e-5)


def test_the_map_shows_only_what_speaks_for_the_finding(load: Load) -> None:
    image = grey(0)
    image[0, 0, 0] = 255  # Here the map is 0.6, elsewhere -0.4.
    heatmap = answer(load(classifier_graph(least=-0.4)).respond([asked(image)])[0]).outputs["heatmap"]
    expected = np.zeros((1, SIDE, SIDE))
    expected[0, 0, 0] = 0.6 / SIDE**2
    np.testing.assert_allclose(heatmap, expected, rtol=1e-5)


def test_a_map_that_does_not_add_up_to_its_logit_is_not_shown(load: Load) -> None:
    handler = load(classifier_graph(slope=2))  # Both are 0.5 for the blank image of the start.
    refused, accepted = handler.respond([asked(grey(200))])[0], handler.respond([asked(grey(0))])[0]
    assert refused.status == 500
    assert "neither is shown" in error(refused)
    assert oip.HEADER_LENGTH not in refused.message.headers
    assert answer(accepted).outputs.keys() == {"probabilities", "heatmap"}


def test_one_map_of_a_chunk_that_does_not_add_up_is_enough(load: Load) -> None:
    images = np.concatenate([grey(0, 3), grey(200), grey(0, 30)])
    assert load(classifier_graph(slope=2)).respond([asked(images)])[0].status == 500


@pytest.mark.parametrize(
    ("model", "fields", "kind", "told"),
    [
        (classifier_graph(offset=0.1), {}, EvidenceError, "neither is shown"),
        (classifier_graph(bias=False), {}, ArchiveError, "KeyError('bias')"),
        (classifier_graph(), {"input": {"height": 64, "width": 64, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}},
         ArchiveError, "invalid dimensions"),
    ],
    ids=["evidence", "metadata", "size"],
)  # fmt: skip
def test_a_graph_that_its_handler_cannot_use_is_not_loaded(
    load: Load, model: onnx.ModelProto, fields: dict[str, object], kind: type[DokueiError], told: str
) -> None:
    with pytest.raises(kind) as caught:
        load(model, **fields)
    assert told in str(caught.value)


def test_bytes_that_are_no_graph_are_not_loaded(load: Load) -> None:
    with pytest.raises(ArchiveError, match="ONNX Runtime cannot load the graph"):
        load(onnx.ModelProto(producer_name="none"))


def test_a_bad_request_spoils_no_other_of_its_batch(load: Load) -> None:
    handler = load(classifier_graph())
    replies = handler.respond(
        [asked(grey(255), id="a"), Exchange(b"nonsense", {}), asked(grey(51, 2), id="b"), asked(grey(0)[:, :9])]
    )
    assert [reply.status for reply in replies] == [200, 400, 200, 400]
    first, second = answer(replies[0]), answer(replies[2])
    assert (first.id, second.id) == ("a", "b")
    np.testing.assert_allclose(first.outputs["heatmap"] * SIDE**2, np.ones((1, SIDE, SIDE)), rtol=1e-5)
    np.testing.assert_allclose(second.outputs["heatmap"] * SIDE**2, np.full((2, SIDE, SIDE), 0.2), rtol=1e-5)


def test_the_length_of_the_header_is_found_however_its_name_is_spelled(load: Load) -> None:
    message = oip.encode_request({"images": grey(1)})
    shouted = {name.upper(): value for name, value in message.headers.items()}
    assert load(classifier_graph()).respond([Exchange(message.body, shouted)])[0].status == 200


def levels(reply: Reply) -> list[int]:
    return [round(255 * float(slice_.mean())) for slice_ in answer(reply).outputs["probability"]]


def test_each_request_of_a_batch_gets_its_own_slices_in_their_order(volumes: Handler) -> None:
    replies = volumes.respond([asked(np.concatenate([grey(10), grey(20)])), asked(grey(200)), asked(grey(90, 2))])
    assert [levels(reply) for reply in replies] == [[10, 20], [200], [90, 90]]


def masks(reply: Reply) -> list[list[bool]]:
    """Of each slice, whether the two marked places are in its mask."""
    return [[bool(mask[2, 2]), bool(mask[20, 20])] for mask in answer(reply).outputs["mask"]]


def marked(slices: int, large: int, small: int) -> np.ndarray:
    """A black volume with two bright squares of these sides in each slice."""
    volume = grey(0, slices)
    volume[:, 2 : 2 + large, 2 : 2 + large] = volume[:, 20 : 20 + small, 20 : 20 + small] = 255
    return volume


def test_a_part_that_is_small_beside_the_largest_is_left_out_of_the_mask_alone(volumes: Handler) -> None:
    small, large = volumes.respond([asked(marked(4, 10, 3)), asked(marked(4, 10, 4))])
    assert masks(small) == [[True, False]] * 4
    assert masks(large) == [[True, True]] * 4
    assert answer(small).outputs["probability"][0, 20, 20] == 1


def test_parts_are_joined_across_slices_and_not_across_requests(volumes: Handler) -> None:
    thin = grey(0, 40)
    thin[:, 20, 20] = 255  # 40 voxels, of which a slice holds one: more than a tenth of the square's 100.
    thin[0, 2:12, 2:12] = 255
    alone = grey(0, 2)
    alone[0, 20, 20] = 255
    whole, apart = volumes.respond([asked(thin), asked(alone)])
    assert masks(whole)[:2] == [[True, True], [False, True]]
    assert masks(apart) == [[False, True], [False, False]]


def test_a_volume_that_is_cut_into_chunks_keeps_its_order(volumes: Handler) -> None:
    volume = np.concatenate([grey(value) for value in range(1, 41)])
    assert levels(volumes.respond([asked(volume)])[0]) == list(range(1, 41))


def test_a_gpu_sees_one_shape_whatever_the_length_of_a_volume(
    volumes: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This session computes on the CPU, and says that it is a GPU.
    shapes, run = set(), volumes.session.run

    def seen(names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        shapes.update(images.shape for images in inputs.values())
        return run(names, inputs)

    monkeypatch.setattr(volumes.session, "get_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(volumes.session, "run", seen)
    for count in (1, 15, 16, 17, 40):
        volume = np.concatenate([grey(value) for value in range(1, count + 1)])
        assert levels(volumes.respond([asked(volume)])[0]) == list(range(1, count + 1))
    assert len(shapes) == 1


def test_an_image_unlike_all_that_the_modality_model_learned_from_is_other_for_sure(runtime: Runtime) -> None:
    served = runtime.models["modality"]
    probabilities = served.infer(image(served.card, seed=3))["probabilities"]
    assert probabilities.tolist() == [[0.0, 0.0, 1.0]]
