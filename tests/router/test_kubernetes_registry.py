"""The registry follows the InferenceServices of an API server: what is there, what is Ready, and what goes."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes
import pytest
from paths import STORE

from router.kubernetes import CARD_ANNOTATION, KubernetesRegistry

Service = dict[str, Any]
CARD = (STORE / "modality" / "card.yaml").read_text()


def service(name: str, *, ready: bool = True, card: str = CARD) -> Service:
    return {
        "metadata": {"name": name, "annotations": {CARD_ANNOTATION: card}},
        "spec": {"predictor": {"model": {"runtime": "dokuei-onnx"}}},
        "status": {
            "address": {"url": f"http://{name}.dokuei.svc"},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


class ApiServer:
    """Answers lists with the same services, and tells a watch the events that it is given, up to None."""

    def __init__(self, listed: list[Service]) -> None:
        self.events: queue.Queue[tuple[str, Service] | None] = queue.Queue()
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if "watch=true" not in self.path.lower():
                    self.send({"metadata": {"resourceVersion": "1"}, "items": listed})
                    self.wfile.write(b"0\r\n\r\n")
                    return
                while (event := events.get()) is not None:
                    kind, thing = event
                    thing["metadata"]["resourceVersion"] = "2"
                    self.send({"type": kind, "object": thing})

            def send(self, document: dict[str, Any]) -> None:
                line = json.dumps(document).encode() + b"\n"
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))

            def log_message(self, *_: object) -> None:
                """Nothing to tell."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def client(self) -> kubernetes.client.CustomObjectsApi:
        host = f"http://127.0.0.1:{self.server.server_address[1]}"
        configuration = kubernetes.client.Configuration(host=host)
        configuration.no_proxy = "*"
        return kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))


Start = Callable[..., tuple[KubernetesRegistry, ApiServer]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a registry of the given services."""
    with asyncio.Runner() as runner:
        started = []

        def run(*listed: Service) -> tuple[KubernetesRegistry, ApiServer]:
            api = ApiServer(list(listed))
            registry = KubernetesRegistry("dokuei", api.client)
            started.append((registry, api))
            runner.run(registry.start())
            return registry, api

        yield run
        for registry, api in started:
            runner.run(registry.close())
            api.server.shutdown()
            api.server.server_close()


def eventually(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ready(registry: KubernetesRegistry) -> dict[str, bool]:
    return {model.url: model.ready for model in registry.models()}


def test_it_knows_what_is_there_at_once(start: Start) -> None:
    registry, _ = start(service("a"), service("b", ready=False), service("c", card="no card"))
    assert ready(registry) == {"http://a.dokuei.svc": True, "http://b.dokuei.svc": False}
    assert {model.runtime for model in registry.models()} == {"dokuei-onnx"}


def test_a_model_that_is_not_ready_any_more_stays_known_until_its_service_goes(start: Start) -> None:
    registry, api = start(service("a"))
    api.events.put(("MODIFIED", service("a", ready=False)))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": False})
    api.events.put(("ADDED", service("b")))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": False, "http://b.dokuei.svc": True})
    api.events.put(("DELETED", service("a", ready=False)))
    eventually(lambda: ready(registry) == {"http://b.dokuei.svc": True})


def test_an_event_that_is_none_does_not_end_the_watch(start: Start) -> None:
    registry, api = start(service("a"))
    api.events.put(("MODIFIED", {"metadata": {}}))
    api.events.put(None)
    api.events.put(("ADDED", service("b")))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": True, "http://b.dokuei.svc": True})
