"""The base of all handlers: Open Inference Protocol bytes in, ONNX Runtime, Open Inference Protocol bytes out.

TorchServe calls `initialize` and `handle`; the light server calls `load` and `respond`. Neither torch nor ts is
imported: the runtime only hands over bytes and headers.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort

from .contract import golden, oip
from .contract.archive import verify
from .contract.card import INPUT, Card
from .contract.errors import ArchiveError, DeviceError, DokueiError, ProtocolError
from .settings import PROVIDERS, Settings

CHUNK = 16
"""Images in one run of the graph; a longer volume goes through in several, so its memory stays bounded."""

OPTIONS = {PROVIDERS["cuda"]: {"cudnn_conv_algo_search": "HEURISTIC"}}
"""Of the providers. Where cuDNN tries all its algorithms a start is slower and nothing else faster, and what is
computed depends on which was the fastest at that moment."""

Outputs = dict[str, oip.Array]


@dataclass(frozen=True)
class Output:
    """One output of a handler, as OIP metadata describes it; -1 stands for a size known only at run time."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Exchange:
    """The body and headers of one HTTP request."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """The answer to one request."""

    status: int
    message: oip.Message


def require_provider(provider: str) -> None:
    """Refuse an execution provider that this build of ONNX Runtime does not have.

    Raises:
        DeviceError: names the provider, those that are there, and what to do.
    """
    if provider not in ort.get_available_providers():
        raise DeviceError(
            f"{provider} was asked for and this ONNX Runtime has {', '.join(ort.get_available_providers())}; "
            "install the gpu extra, or set DOKUEI_EXECUTION_PROVIDER=cpu"
        )


def open_session(graph: Path, settings: Settings) -> ort.InferenceSession:
    """Load a graph on the execution provider the deployment asks for.

    Raises:
        DeviceError: the provider is not in this build of ONNX Runtime, or found no device.
        ArchiveError: ONNX Runtime cannot load the graph.
    """
    require_provider(settings.provider)
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    # Spinning threads keep a core busy between requests, which other pods on the node pay for.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(
            graph, options, providers=[(settings.provider, OPTIONS.get(settings.provider, {}))]
        )
    except Exception as error:  # ONNX Runtime has no common base class for its errors.
        raise ArchiveError(f"{graph}: ONNX Runtime cannot load the graph: {error}") from error
    if session.get_providers()[0] != settings.provider:
        raise DeviceError(
            f"{settings.provider} was asked for and has no usable device; is a GPU assigned to this process?"
        )
    return session


class Handler(ABC):
    """One served model. A subclass names its outputs and computes them from the graph's."""

    task: ClassVar[str]
    card: Card
    session: ort.InferenceSession

    def load(self, folder: Path) -> None:
        """Verify and load the unpacked archive in `folder`, and run its golden set, or else a blank image, through it.

        Raises:
            CardError, ArchiveError, DeviceError, EvidenceError, GoldenError: the model cannot be served; says why.
            SettingsError: see `handlers.settings`.
        """
        model = verify(folder)
        if model.card.task != self.task:
            raise ArchiveError(
                f"{model.handler}: a {self.task} handler cannot serve {model.card.name}, a {model.card.task} model"
            )
        self.card = model.card
        self.session = open_session(model.graph, Settings.from_environment())
        size = self.card.input
        known = golden.read(model.golden) if model.golden is not None else None
        try:
            outputs = self.predict(
                np.zeros((1, size.height, size.width, size.channels), np.uint8) if known is None else known.images
            )
        except DokueiError:
            raise
        except Exception as error:  # Of ONNX Runtime, or a KeyError for an output the handler misses.
            raise ArchiveError(f"{model.graph}: the graph does not do what its handler needs: {error!r}") from error
        if known is not None:
            known.check(outputs)

    @abstractmethod
    def outputs(self) -> Sequence[Output]:
        """Names, datatypes and shapes of what `compute` gives."""

    @abstractmethod
    def compute(self, graph: Mapping[str, oip.Array]) -> Outputs:
        """The handler's outputs from the graph's, for one chunk of images."""

    def finish(self, study: Outputs) -> Outputs:
        """The outputs of a whole study from those of its images; as they are, unless a subclass looks across images."""
        return study

    def predict(self, images: oip.Array) -> Outputs:
        """Run uint8 [N, H, W, C] images of one study, N at least 1, through the graph.

        Raises:
            EvidenceError: see `handlers.classifier`.
        """
        return self.finish(self.run(images))

    def run(self, images: oip.Array) -> Outputs:
        """Run uint8 [N, H, W, C] images through the graph; raises as `predict`."""
        names = [output.name for output in self.session.get_outputs()]
        parts = []
        for start in range(0, len(images), CHUNK):
            values = self._run_chunk(names, images[start : start + CHUNK])
            parts.append(self.compute(dict(zip(names, values, strict=True))))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_chunk(self, names: Sequence[str], images: oip.Array) -> list[oip.Array]:
        """The graph's outputs for at most CHUNK images."""
        count = len(images)
        if self.session.get_providers()[0] != PROVIDERS["cpu"]:
            # Whenever the shape changes cuDNN plans each convolution anew, and TensorRT builds an engine for each:
            # a series of 25 slices took 3 s on a GPU. So there is one shape, which `load` has seen.
            images = np.pad(images, [(0, CHUNK - count), (0, 0), (0, 0), (0, 0)])
        return [values[:count] for values in self.session.run(names, {INPUT: np.ascontiguousarray(images)})]

    def respond(self, exchanges: Sequence[Exchange]) -> list[Reply]:
        """Answer a batch of requests with one inference; a bad request spoils no other."""
        replies: dict[int, Reply] = {}
        accepted: dict[int, oip.InferRequest] = {}
        for index, exchange in enumerate(exchanges):
            try:
                accepted[index] = self._accept(exchange)
            except ProtocolError as error:
                replies[index] = failure(400, error)
        if accepted:
            try:
                replies |= self._answer(accepted)
            except DokueiError as error:
                replies |= {index: failure(500, error) for index in accepted}
        return [replies[index] for index in range(len(exchanges))]

    def _answer(self, requests: Mapping[int, oip.InferRequest]) -> dict[int, Reply]:
        computed = self.run(np.concatenate([request.inputs[INPUT] for request in requests.values()]))
        replies = {}
        start = 0
        for index, request in requests.items():
            end = start + len(request.inputs[INPUT])
            study = self.finish({name: values[start:end] for name, values in computed.items()})
            chosen = {name: study[name] for name in request.outputs or study}
            replies[index] = Reply(200, oip.encode_response(request, self.card.name, self.card.version, chosen))
            start = end
        return replies

    def _accept(self, exchange: Exchange) -> oip.InferRequest:
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        request = oip.decode_request(exchange.body, headers.get(oip.HEADER_LENGTH.lower()))
        size = self.card.input
        expected = (size.height, size.width, size.channels)
        if list(request.inputs) != [INPUT]:
            raise ProtocolError(f"inputs are {', '.join(request.inputs)}; {self.card.name} takes one, {INPUT}")
        images = request.inputs[INPUT]
        if images.dtype != np.uint8 or images.shape[1:] != expected or images.size == 0:
            raise ProtocolError(
                f"{INPUT} is {oip.datatype_name(images.dtype)} {list(images.shape)}; "
                f"{self.card.name} takes UINT8 [N, {', '.join(map(str, expected))}] with N from 1"
            )
        known = [output.name for output in self.outputs()]
        for name in request.outputs:
            if name not in known:
                raise ProtocolError(f"outputs asks for {name!r}; {self.card.name} gives {', '.join(known)}")
        return request

    # What TorchServe calls.

    def initialize(self, context: Any) -> None:
        """Load the model from where TorchServe unpacked it."""
        self.load(Path(context.system_properties["model_dir"]))

    def handle(self, data: Iterable[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a TorchServe batch; bodies come raw because of its decode_input_request=false."""
        exchanges = []
        for index, row in enumerate(data):
            # Among the request's headers TorchServe keeps a dictionary of each part's own.
            headers = {k: v for k, v in context.get_all_request_header(index).items() if isinstance(v, str)}
            exchanges.append(Exchange(bytes(row.get("body", b"")), headers))
        replies = self.respond(exchanges)
        for index, reply in enumerate(replies):
            context.set_response_status(reply.status, idx=index)
            for name, value in reply.message.headers.items():
                context.set_response_header(index, name, value)
        return [reply.message.body for reply in replies]


def failure(status: int, error: Exception) -> Reply:
    """An OIP error: a JSON object with one member, `error`."""
    return Reply(status, oip.Message(json.dumps({"error": str(error)}).encode(), {"Content-Type": oip.JSON_TYPE}))
