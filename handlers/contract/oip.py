"""The Open Inference Protocol v2 (REST) with its binary tensor data extension, for servers and clients.

Source: Open Inference Protocol, "Inference Request JSON Object" and "Inference Response JSON Object"; Triton/KServe
"Binary tensor data extension". A message is a JSON header, then the raw little-endian bytes of the binary tensors in
the header's order; the HTTP header `Inference-Header-Content-Length` gives the length of the JSON part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProtocolError

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"

Array = NDArray[Any]

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def datatype_name(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a numpy dtype, such as FP32 for float32."""
    return _NAMES[dtype.newbyteorder("<")]


@dataclass(frozen=True)
class InferRequest:
    """A decoded inference request.

    Attributes:
        inputs: tensors by name, in the order sent.
        outputs: names of the outputs asked for; empty: all.
        binary: names of the outputs to send as binary; None: all of them.
        id: the caller's id, returned with the response.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[str] = ()
    binary: frozenset[str] | None = frozenset()
    id: str | None = None

    def wants_binary(self, name: str) -> bool:
        """Whether output `name` goes as raw bytes behind the JSON part."""
        return self.binary is None or name in self.binary


@dataclass(frozen=True)
class InferResponse:
    """A decoded inference response."""

    model_name: str
    outputs: Mapping[str, Array]
    model_version: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Message:
    """An encoded message: the body and its HTTP headers (Content-Type, and the header length where it is binary)."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def encode_request(inputs: Mapping[str, Array], outputs: Sequence[str] = (), id: str | None = None) -> Message:
    """Encode a request whose inputs and outputs all travel as binary tensors."""
    header: dict[str, Any] = {"parameters": {"binary_data_output": True}}
    if id is not None:
        header["id"] = id
    if outputs:
        header["outputs"] = [{"name": name} for name in outputs]
    return _encode(header, "inputs", inputs, binary=None)


def encode_response(
    request: InferRequest, model_name: str, model_version: str, outputs: Mapping[str, Array]
) -> Message:
    """Encode the outputs that `request` asked for, in the form it asked for."""
    header: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if request.id is not None:
        header["id"] = request.id
    binary = None if request.binary is None else request.binary & outputs.keys()
    return _encode(header, "outputs", outputs, binary)


def decode_request(body: bytes, header_length: str | int | None = None) -> InferRequest:
    """Decode a request.

    Args:
        body: the HTTP body.
        header_length: the value of `Inference-Header-Content-Length`, where it was sent.

    Raises:
        ProtocolError: says which part of the message is wrong and what it should be.
    """
    header, inputs = _decode(body, header_length, "inputs")
    if not inputs:
        raise ProtocolError("inputs is empty: send at least one tensor")
    outputs = header.get("outputs", [])
    if not isinstance(outputs, list) or not all(
        isinstance(o, dict) and isinstance(o.get("name"), str) for o in outputs
    ):
        raise ProtocolError("outputs must be a list of objects with a name")
    everything_binary = _parameters(header, "request").get("binary_data_output", False) is True
    binary: set[str] = set()
    for output in outputs:
        if _parameters(output, f"outputs[{output['name']}]").get("binary_data", everything_binary) is True:
            binary.add(output["name"])
    return InferRequest(
        inputs=inputs,
        outputs=tuple(o["name"] for o in outputs),
        binary=None if everything_binary and not outputs else frozenset(binary),
        id=_optional_string(header, "id"),
    )


def decode_response(body: bytes, header_length: str | int | None = None) -> InferResponse:
    """Decode a response; arguments and errors as `decode_request`."""
    header, outputs = _decode(body, header_length, "outputs")
    name = header.get("model_name")
    if not isinstance(name, str):
        raise ProtocolError("model_name must be a string")
    return InferResponse(name, outputs, _optional_string(header, "model_version"), _optional_string(header, "id"))


def _encode(header: dict[str, Any], part: str, tensors: Mapping[str, Array], binary: frozenset[str] | None) -> Message:
    described = []
    raw = []
    for name, array in tensors.items():
        datatype = datatype_name(array.dtype)
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
        if binary is None or name in binary:
            data = np.ascontiguousarray(array, dtype=_DTYPES[datatype]).tobytes()
            entry["parameters"] = {"binary_data_size": len(data)}
            raw.append(data)
        else:
            entry["data"] = array.ravel().tolist()
        described.append(entry)
    head = json.dumps({**header, part: described}, separators=(",", ":"), allow_nan=False).encode()
    if not raw:
        return Message(head, {"Content-Type": JSON_TYPE})
    return Message(b"".join([head, *raw]), {"Content-Type": BINARY_TYPE, HEADER_LENGTH: str(len(head))})


def _decode(body: bytes, header_length: str | int | None, part: str) -> tuple[dict[str, Any], dict[str, Array]]:
    length = len(body)
    if header_length is not None:
        try:
            length = int(header_length)
        except ValueError:
            raise ProtocolError(f"{HEADER_LENGTH} must be a whole number, and is {header_length!r}") from None
        if not 0 <= length <= len(body):
            raise ProtocolError(f"{HEADER_LENGTH} is {length}, and the body has {len(body)} bytes")
    try:
        header = json.loads(body[:length])
    except (ValueError, RecursionError):
        raise ProtocolError(
            f"the body does not start with a JSON object of {length} bytes; "
            f"where binary tensors follow it, {HEADER_LENGTH} gives its length"
        ) from None
    if not isinstance(header, dict):
        raise ProtocolError("the JSON part must be an object")
    listed = header.get(part)
    if not isinstance(listed, list):
        raise ProtocolError(f"{part} must be a list of tensors")
    tensors: dict[str, Array] = {}
    at = length
    for index, entry in enumerate(listed):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in tensors:
            raise ProtocolError(f"{part}[{index}].name must be a string that no other tensor has")
        tensors[name], at = _tensor(entry, f"{part}[{name}]", body, at)
    if at != len(body):
        raise ProtocolError(
            f"{len(body) - at} bytes follow the last tensor; binary_data_size of each says what belongs to it"
        )
    return header, tensors


def _tensor(entry: dict[str, Any], where: str, body: bytes, at: int) -> tuple[Array, int]:
    dtype = _DTYPES.get(str(entry.get("datatype")))
    if dtype is None:
        raise ProtocolError(f"{where}.datatype must be one of {', '.join(_DTYPES)}, and is {entry.get('datatype')!r}")
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ProtocolError(f"{where}.shape must be a list of whole numbers")
    count = 1
    for n in shape:
        count *= n
    size = _parameters(entry, where).get("binary_data_size")
    if size is None:
        return _shaped(_json_values(entry, where, dtype, count), shape, where), at
    if "data" in entry:
        raise ProtocolError(f"{where} has data and binary_data_size; send one")
    if type(size) is not int or size != count * dtype.itemsize:
        raise ProtocolError(
            f"{where}.parameters.binary_data_size is {size!r}; shape and datatype make {count * dtype.itemsize}"
        )
    if at + size > len(body):
        raise ProtocolError(f"{where} needs {size} bytes, and {len(body) - at} are left in the body")
    return _shaped(np.frombuffer(body, dtype, count, at), shape, where), at + size


def _shaped(values: Array, shape: list[int], where: str) -> Array:
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError):  # More than 64 dimensions, or one of 0 beside one beyond 64 bits.
        raise ProtocolError(f"{where}.shape has more dimensions, or larger ones, than an array can have") from None


def _json_values(entry: dict[str, Any], where: str, dtype: np.dtype[Any], count: int) -> Array:
    try:
        values = np.asarray(entry.get("data"))
        if values.dtype.kind not in "biuf" or values.size != count:
            raise ValueError
        if dtype.kind in "iu" and values.size:
            if values.dtype.kind == "f":  # Also what numpy makes of whole numbers on both sides of 2**63.
                values = np.asarray(entry.get("data"), dtype=object)
                if any(type(value) is not int for value in values.flat):
                    raise ValueError
            limits = np.iinfo(dtype)
            if values.min() < limits.min or values.max() > limits.max:
                raise ValueError
        return values.astype(dtype).ravel()
    except (ValueError, TypeError, OverflowError):
        raise ProtocolError(
            f"{where}.data must be {count} numbers of datatype {entry['datatype']}, flat or nested"
        ) from None


def _parameters(entry: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ProtocolError(f"{where}.parameters must be an object")
    return parameters


def _optional_string(header: dict[str, Any], key: str) -> str | None:
    value = header.get(key)
    if value is not None and not isinstance(value, str):
        raise ProtocolError(f"{key} must be a string")
    return value
