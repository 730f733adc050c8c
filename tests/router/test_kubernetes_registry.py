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
from urllib.parse import parse_qs, urlsplit

import kubernetes
import pytest
from paths import STORE

from router.kserve import CARD_ANNOTATION, VARIANT_ANNOTATION
from router.kubernetes import KubernetesRegistry

Service = dict[str, Any]
TRAFFIC = "dokuei-traffic"
CARD = (STORE / "modality" / "card.yaml").read_text()


def service(name: str, *, ready: bool = True, card: str = CARD, variant: str = "stable") -> Service:
    return {
        "metadata": {"name": name, "annotations": {CARD_ANNOTATION: card, VARIANT_ANNOTATION: variant}},
        "spec": {"predictor": {"model": {"runtime": "dokuei-onnx"}}},
        "status": {
            "address": {"url": f"http://{name}.dokuei.svc"},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def config_map(**data: str) -> Service:
    return {"metadata": {"name": TRAFFIC}, "data": data}


class Told:
    """What an API server says of one kind of objects: a list, and the events of a watch, up to None."""

    def __init__(self, listed: list[Service]) -> None:
        self.listed = listed
        self.events: queue.Queue[tuple[str, Service] | None] = queue.Queue()


class ApiServer:
    """Answers lists with the same objects, and tells a watch the events that it is given."""

    def __init__(self, services: list[Service], config_maps: list[Service]) -> None:
        self.services, self.config_maps = Told(services), Told(config_maps)
        kinds = {
            "/apis/serving.kserve.io/v1beta1/namespaces/dokuei/inferenceservices": self.services,
            "/api/v1/namespaces/dokuei/configmaps": self.config_maps,
        }

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                asked = urlsplit(self.path)
                told, query = kinds[asked.path], parse_qs(asked.query)
                if told is kinds["/api/v1/namespaces/dokuei/configmaps"]:  # The router may see no other.
                    assert query["fieldSelector"] == [f"metadata.name={TRAFFIC}"]
                if "watch" not in query:
                    self.send({"metadata": {"resourceVersion": "1"}, "items": told.listed})
                    self.wfile.write(b"0\r\n\r\n")
                    return
                while (event := told.events.get()) is not None:
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
    def client(self) -> kubernetes.client.ApiClient:
        host = f"http://127.0.0.1:{self.server.server_address[1]}"
        configuration = kubernetes.client.Configuration(host=host)
        configuration.no_proxy = "*"
        return kubernetes.client.ApiClient(configuration)


Start = Callable[..., tuple[KubernetesRegistry, ApiServer]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a registry of the given services."""
    with asyncio.Runner() as runner:
        started = []

        def run(*services: Service, traffic: Service | None = None) -> tuple[KubernetesRegistry, ApiServer]:
            api = ApiServer(list(services), [] if traffic is None else [traffic])
            registry = KubernetesRegistry("dokuei", TRAFFIC, api.client)
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
    api.services.events.put(("MODIFIED", service("a", ready=False)))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": False})
    api.services.events.put(("ADDED", service("b")))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": False, "http://b.dokuei.svc": True})
    api.services.events.put(("DELETED", service("a", ready=False)))
    eventually(lambda: ready(registry) == {"http://b.dokuei.svc": True})


def test_an_event_that_is_none_does_not_end_the_watch(start: Start) -> None:
    registry, api = start(service("a"))
    api.services.events.put(("MODIFIED", {"metadata": {}}))
    api.services.events.put(None)
    api.services.events.put(("ADDED", service("b")))
    eventually(lambda: ready(registry) == {"http://a.dokuei.svc": True, "http://b.dokuei.svc": True})


def weights(registry: KubernetesRegistry) -> dict[str, float]:
    return {model.variant: model.weight for model in registry.models()}


def test_a_candidate_has_the_weight_that_the_config_map_says_now(start: Start) -> None:
    candidate = service("a-canary", variant="canary")
    registry, api = start(service("a"), candidate, traffic=config_map(modality='{"weight": 5}'))
    assert weights(registry) == {"stable": 0, "canary": 5}
    api.config_maps.events.put(("MODIFIED", config_map(modality='{"weight": 50.5}')))
    eventually(lambda: weights(registry) == {"stable": 0, "canary": 50.5})
    api.config_maps.events.put(("DELETED", config_map()))
    eventually(lambda: weights(registry) == {"stable": 0, "canary": 0})


def test_a_candidate_of_an_aborted_rollout_reads_nothing_whatever_its_split_becomes(start: Start) -> None:
    candidate = service("a-canary", variant="canary")
    registry, api = start(service("a"), candidate, traffic=config_map(modality='{"weight": 5}'))
    aborted = {"modality.aborted": "it flips"}
    api.config_maps.events.put(("MODIFIED", config_map(modality='{"weight": 5}', **aborted)))
    eventually(lambda: weights(registry) == {"stable": 0, "canary": 0})
    api.config_maps.events.put(("MODIFIED", config_map(modality='{"weight": 50}', **aborted)))
    api.config_maps.events.put(("MODIFIED", config_map(modality='{"weight": 25}')))
    eventually(lambda: weights(registry)["canary"] > 0)
    assert weights(registry) == {"stable": 0, "canary": 25}


@pytest.mark.parametrize("split", ["", "5", '{"weight": 101}', '{"weight": "much"}', '{"share": 5}'])
def test_a_split_that_cannot_be_read_sends_nothing_to_the_candidate(start: Start, split: str) -> None:
    registry, api = start(service("a", variant="canary"), traffic=config_map(modality=split, other='{"weight": 1}'))
    assert weights(registry) == {"canary": 0}
    api.config_maps.events.put(("MODIFIED", config_map(modality='{"weight": 1}')))
    eventually(lambda: weights(registry) == {"canary": 1})
