"""The light model server: one archive behind the whole REST surface of the Open Inference Protocol v2. Never torch.

    python -m handlers.server model-store/chest-xray-pneumonia --port 8080

The model is loaded before the port is bound, so whatever answers is ready. A start that takes longer (a TensorRT engine
is built first) needs a startup probe.

Source: Open Inference Protocol, "HTTP/REST"; the binary tensor extension is `handlers.contract.oip`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import re
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import uvicorn
from anyio import CapacityLimiter, to_thread
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import command
from .base import Exchange, Handler, Reply
from .contract.archive import unpack
from .contract.card import INPUT
from .contract.errors import ArchiveError
from .settings import Settings

STOP_SECONDS = 5
"""How long requests under way get to finish after SIGTERM."""
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2: version, trace id, parent id, flags."""

log = logging.getLogger("dokuei.server")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and the members of the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def load_handler(archive: Path) -> Handler:
    """Unpack and verify `archive`, import the handler inside it, and load the model.

    Raises:
        CardError, ArchiveError, DeviceError, EvidenceError, GoldenError, SettingsError: the model cannot be served;
            says why.
    """
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        handler = handler_class(unpack(archive, Path(temporary)).handler)()
        handler.load(Path(temporary))
    return handler


def handler_class(file: Path) -> type[Handler]:
    """Import `file` and return the one subclass of Handler that it defines.

    Raises:
        ArchiveError: the file cannot be imported, or does not define exactly one.
    """
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ArchiveError(f"{file}: the handler is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # Whatever the archive's code raises, it cannot be served.
        raise ArchiveError(f"{file}: the handler cannot be imported: {error!r}") from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Handler) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ArchiveError(f"{file}: the handler file has to define one subclass of Handler, and defines {len(found)}")
    return found[0]


class Server:
    """The routes of one loaded model."""

    def __init__(self, handler: Handler, max_request_bytes: int, load_seconds: float) -> None:
        self.handler = handler
        self.card = handler.card
        self.max_request_bytes = max_request_bytes
        # One inference at a time, as a TorchServe worker: it uses all the threads it may. Health answers meanwhile.
        self.limiter = CapacityLimiter(1)
        self.metrics = CollectorRegistry()
        metrics = self.metrics = CollectorRegistry()
        self.requests = Counter("dokuei_requests", "Inference requests by HTTP status", ["status"], registry=metrics)
        self.inference = Histogram("dokuei_inference_seconds", "Seconds of one inference", registry=metrics)
        Gauge("dokuei_load_seconds", "Seconds to verify and load the model", registry=metrics).set(load_seconds)

    def app(self) -> Starlette:
        """The ASGI application."""
        model = "/v2/models/{model}"
        routes = [
            Route("/v2", self.server_metadata),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/metrics", self.prometheus),
        ]
        for prefix in (model, model + "/versions/{version}"):
            routes += [
                Route(prefix, self.model_metadata),
                Route(prefix + "/ready", self.model_ready),
                Route(prefix + "/infer", self.infer, methods=["POST"]),
            ]
        return Starlette(routes=routes, exception_handlers={HTTPException: refuse, Exception: fail})

    async def server_metadata(self, _request: Request) -> Response:
        """Name, version and extensions of the server."""
        return JSONResponse({"name": "dokuei", "version": version("dokuei"), "extensions": ["binary_tensor_data"]})

    async def live(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """The model is loaded, because it was before the port was bound."""
        return JSONResponse({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        """The model is loaded, and is the one of the path."""
        self._require_model(request)
        return JSONResponse({"name": self.card.name, "ready": True})

    async def model_metadata(self, request: Request) -> Response:
        """Inputs and outputs with datatype and shape; -1 is a size known only at run time."""
        self._require_model(request)
        size = self.card.input
        image = {"name": INPUT, "datatype": "UINT8", "shape": [-1, size.height, size.width, size.channels]}
        outputs = [
            {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
            for output in self.handler.outputs()
        ]
        return JSONResponse(
            {
                "name": self.card.name,
                "versions": [self.card.version],
                "platform": "onnxruntime_onnx",
                "inputs": [image],
                "outputs": outputs,
            }
        )

    async def prometheus(self, _request: Request) -> Response:
        """Metrics in the Prometheus text format."""
        return Response(generate_latest(self.metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def infer(self, request: Request) -> Response:
        """One inference."""
        started = time.monotonic()
        status = 500
        try:
            self._require_model(request)
            exchange = Exchange(await self._body(request), request.headers)
            reply = await to_thread.run_sync(self._respond, exchange, limiter=self.limiter)
            status = reply.status
            return Response(reply.message.body, status, reply.message.headers)
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self.requests.labels(str(status)).inc()
            # Never what was sent, nor messages that repeat it.
            fields = {"model": self.card.name, "version": self.card.version, "status": status}
            fields["milliseconds"] = round(1000 * (time.monotonic() - started), 1)
            trace = TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
            if trace:
                fields["trace_id"] = trace[1]
            log.info("inference", extra={"fields": fields})

    def _respond(self, exchange: Exchange) -> Reply:
        with self.inference.time():
            return self.handler.respond([exchange])[0]

    def _require_model(self, request: Request) -> None:
        card = self.card
        name, wanted = request.path_params["model"], request.path_params.get("version", card.version)
        if (name, wanted) != (card.name, card.version):
            raise HTTPException(404, f"{name!r} version {wanted!r} is not served here; {card.name} {card.version} is")

    async def _body(self, request: Request) -> bytes:
        most = self.max_request_bytes
        too_large = HTTPException(413, f"the body is longer than {most} bytes (DOKUEI_MAX_REQUEST_MB)")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
        except ClientDisconnect:
            raise HTTPException(400, "the connection ended before the body did") from None
        return bytes(body)


async def refuse(_request: Request, error: Exception) -> Response:
    """An error of the protocol's form: a JSON object with one member, `error`."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def fail(_request: Request, _error: Exception) -> Response:
    """A fault of ours; the log has the traceback, the client does not."""
    return JSONResponse({"error": "the inference failed; the log of the model server says why"}, 500)


def main() -> int:
    """Serve one archive until told to stop; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m handlers.server", description="Serve one model archive.")
    parser.add_argument("archive", metavar="ARCHIVE_OR_FOLDER", type=Path, help=".mar, or a folder with one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    given = parser.parse_args()
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    settings = Settings.from_environment()
    archive = command.archive_at(given.archive, settings)
    started = time.monotonic()
    handler = load_handler(archive)
    seconds = time.monotonic() - started
    fields = {"model": handler.card.name, "version": handler.card.version, "seconds": round(seconds, 3)}
    log.info("model loaded", extra={"fields": fields})
    uvicorn.run(
        Server(handler, settings.max_request_bytes, seconds).app(),
        host=given.host,
        port=given.port,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
