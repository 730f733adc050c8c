"""The codec gives back what it was given, and answers every other message with a ProtocolError and nothing else."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handlers.contract import oip
from handlers.contract.errors import ProtocolError

DTYPES = ["?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"]
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


def tensors(finite: bool) -> st.SearchStrategy[np.ndarray]:
    options = {"allow_nan": False, "allow_infinity": False} if finite else {}
    return st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, SHAPES, elements=arrays.from_dtype(np.dtype(dtype), **options))
    )


def messages(finite: bool) -> st.SearchStrategy[dict[str, np.ndarray]]:
    return st.dictionaries(st.text(max_size=8), tensors(finite), min_size=1, max_size=3)


def assert_equal(one: Any, other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name], strict=True)


@given(messages(finite=False), st.none() | st.text(), st.lists(st.text(), unique=True))
def test_a_binary_request_comes_back(inputs: dict[str, np.ndarray], id: str | None, names: list[str]) -> None:
    message = oip.encode_request(inputs, names, id)
    request = oip.decode_request(message.body, message.headers[oip.HEADER_LENGTH])
    assert_equal(request.inputs, inputs)
    assert (request.id, list(request.outputs)) == (id, names)
    assert all(request.wants_binary(name) for name in names or ["any"])


@given(messages(finite=False), st.none() | st.text())
def test_a_binary_response_comes_back(outputs: dict[str, np.ndarray], id: str | None) -> None:
    request = oip.InferRequest({}, binary=None, id=id)
    message = oip.encode_response(request, "model", "1.0.0", outputs)
    response = oip.decode_response(message.body, message.headers[oip.HEADER_LENGTH])
    assert_equal(response.outputs, outputs)
    assert (response.model_name, response.model_version, response.id) == ("model", "1.0.0", id)


@given(messages(finite=True))
@example({"large": np.array([2**64 - 1, 1], np.uint64)})
@example({"small": np.array([-(2**63), 2**63 - 1], np.int64)})
def test_a_json_response_comes_back(outputs: dict[str, np.ndarray]) -> None:
    message = oip.encode_response(oip.InferRequest({}), "model", "1.0.0", outputs)
    assert message.headers == {"Content-Type": "application/json"}
    assert_equal(oip.decode_response(message.body).outputs, outputs)


@given(tensors(finite=True), tensors(finite=True))
def test_each_output_travels_in_the_form_asked_for(one: np.ndarray, other: np.ndarray) -> None:
    request = oip.InferRequest({}, ("json", "binary"), frozenset({"binary"}))
    message = oip.encode_response(request, "model", "1.0.0", {"json": one, "binary": other})
    header = json.loads(message.body[: int(message.headers[oip.HEADER_LENGTH])])
    assert ["data" in tensor for tensor in header["outputs"]] == [True, False]
    response = oip.decode_response(message.body, message.headers[oip.HEADER_LENGTH])
    assert_equal(response.outputs, {"json": one, "binary": other})


def test_big_endian_and_strided_arrays_travel_as_the_protocol_wants() -> None:
    array = np.arange(12, dtype=">i4").reshape(3, 4)[:, ::2]
    message = oip.encode_request({"x": array})
    decoded = oip.decode_request(message.body, message.headers[oip.HEADER_LENGTH]).inputs["x"]
    np.testing.assert_array_equal(decoded, [[0, 2], [4, 6], [8, 10]])
    assert decoded.dtype == np.dtype("<i4")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.recursive(st.integers() | st.floats() | st.booleans(), lambda inner: st.lists(inner, max_size=4))
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | JSON,
        "datatype": st.sampled_from(["UINT8", "INT64", "UINT64", "FP16", "BOOL", "BYTES"]) | JSON,
        "shape": st.lists(st.integers(-1, 3) | st.just(10**30), max_size=70) | JSON,
        "data": NUMBERS | JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 9) | JSON}) | JSON,
    },
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "inputs": st.lists(TENSOR | JSON, max_size=3) | JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5)}) | JSON, max_size=2) | JSON,
        "parameters": JSON,
    },
)


def decode_or_refuse(body: bytes, header_length: str | None) -> None:
    with suppress(ProtocolError):
        assert oip.decode_request(body, header_length).inputs


@given(st.binary(max_size=200), st.none() | st.text(max_size=5) | st.integers(-5, 300).map(str))
def test_no_bytes_do_more_than_be_refused(body: bytes, header_length: str | None) -> None:
    decode_or_refuse(body, header_length)


@given(MESSAGE, st.binary(max_size=9), st.booleans())
def test_no_message_does_more_than_be_refused(message: dict[str, Any], more: bytes, told: bool) -> None:
    head = json.dumps(message).encode()
    decode_or_refuse(head + more, str(len(head)) if told else None)


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "UINT8", "shape": [2], "data": [1, 2]} | fields


BINARY = {"name": "x", "datatype": "UINT8", "parameters": {"binary_data_size": 0}}


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ([], "must be an object"),
        ({}, "inputs must be a list"),
        ({"inputs": []}, "inputs is empty"),
        ({"inputs": [tensor(name=1)]}, r"inputs\[0\].name"),
        ({"inputs": [tensor(), tensor()]}, r"inputs\[1\].name"),
        ({"inputs": [tensor(datatype="BYTES")]}, r"inputs\[x\].datatype must be one of BOOL.* and is 'BYTES'"),
        ({"inputs": [tensor(shape=[-1])]}, r"inputs\[x\].shape must be"),
        ({"inputs": [tensor(shape=[True, 2])]}, r"inputs\[x\].shape must be"),
        ({"inputs": [tensor(shape=[0, 10**30], data=[])]}, r"inputs\[x\].shape"),
        ({"inputs": [tensor(shape=[1] * 70, data=[1])]}, r"inputs\[x\].shape"),
        ({"inputs": [BINARY | {"shape": [0, 10**30]}]}, r"inputs\[x\].shape"),
        ({"inputs": [BINARY | {"shape": [0] * 70}]}, r"inputs\[x\].shape"),
        ({"inputs": [BINARY | {"shape": [0, 2**62, 2**62]}]}, r"inputs\[x\].shape"),
        ({"inputs": [BINARY | {"shape": [3]}]}, r"inputs\[x\].parameters.binary_data_size is 0; .* make 3"),
        ({"inputs": [tensor(data=[1])]}, r"inputs\[x\].data must be 2 numbers"),
        ({"inputs": [tensor(data=[1, 256])]}, r"inputs\[x\].data must be 2 numbers of datatype UINT8"),
        ({"inputs": [tensor(data=[1, -1])]}, r"inputs\[x\].data must be 2 numbers"),
        ({"inputs": [tensor(data=[1, 0.5])]}, r"inputs\[x\].data must be 2 numbers"),
        ({"inputs": [tensor(data=["1", "2"])]}, r"inputs\[x\].data must be 2 numbers"),
        ({"inputs": [tensor(data=[[1], [2, 3]])]}, r"inputs\[x\].data must be 2 numbers"),
        ({"inputs": [tensor(parameters={"binary_data_size": 2})]}, "data and binary_data_size"),
        ({"inputs": [tensor(parameters=7)]}, r"inputs\[x\].parameters must be an object"),
        ({"inputs": [tensor()], "id": 7}, "id must be a string"),
        ({"inputs": [tensor()], "outputs": ["y"]}, "outputs must be a list of objects with a name"),
        ({"inputs": [tensor()], "parameters": []}, "request.parameters must be an object"),
    ],
)
def test_an_error_names_the_part_that_is_wrong(header: Any, told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        oip.decode_request(json.dumps(header).encode())


def test_json_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(ProtocolError):
        oip.decode_request(b'{"inputs": ' + b"[" * 100_000)
