"""The registry of a cluster: KServe InferenceServices, watched by label. What the cluster says is what is served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import kubernetes
from anyio.to_thread import run_sync
from urllib3.exceptions import HTTPError

from handlers.contract.card import parse_card
from handlers.contract.errors import CardError

from . import telemetry
from .errors import ModelUnavailable
from .registry import ServedModel, Variant

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
SELECTOR = "app.kubernetes.io/part-of=dokuei"
CARD_ANNOTATION = "dokuei.io/card"
VARIANT_ANNOTATION = "dokuei.io/variant"
RETRY_SECONDS = 2.0
WATCH_SECONDS = 300
"""A watch is renewed after this time, so a connection that died silently is noticed."""

Service = Mapping[str, Any]


def served_model(service: Service) -> ServedModel | None:
    """The model that an InferenceService serves, or None where it has no address yet or no usable card."""
    metadata = service["metadata"]
    status = service.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    url = status.get("address", {}).get("url") or status.get("url")
    annotations = metadata.get("annotations", {})
    if not url or CARD_ANNOTATION not in annotations:
        return None
    variant: Variant = annotations.get(VARIANT_ANNOTATION, "stable")
    if variant not in get_args(Variant):
        telemetry.log.error("InferenceService has an unknown variant", service=metadata["name"], variant=variant)
        return None
    try:
        card = parse_card(annotations[CARD_ANNOTATION], f"InferenceService {metadata['name']}, {CARD_ANNOTATION}")
    except CardError as error:
        telemetry.log.error("InferenceService has no usable card", service=metadata["name"], error=str(error))
        return None
    predictor = service["spec"]["predictor"].get("model", {})
    return ServedModel(card, url.rstrip("/"), predictor.get("runtime", "kserve"), variant, ready)


class KubernetesRegistry:
    """Watches the InferenceServices of one namespace.

    While the API server is away, the last known models stay served.

    Args:
        namespace: of the InferenceServices.
        api: of the kubernetes client; by default that of the pod's service account, else of the kubeconfig.
    """

    def __init__(self, namespace: str, api: kubernetes.client.CustomObjectsApi | None = None) -> None:
        self._namespace = namespace
        self._api = api
        self._models: dict[str, ServedModel] = {}
        self._closing = threading.Event()
        self._watch = kubernetes.watch.Watch()
        self._thread = threading.Thread(target=self._run, name="inferenceservices", daemon=True)
        self._listed = threading.Event()

    async def start(self) -> None:
        """List the services once, then watch them.

        Raises:
            ModelUnavailable: the API server did not answer within 30 s.
        """
        if self._api is None:
            await run_sync(_load_config)
            self._api = kubernetes.client.CustomObjectsApi()
        self._thread.start()
        if not await run_sync(self._listed.wait, 30):
            raise ModelUnavailable(f"InferenceServices of namespace {self._namespace} cannot be listed")

    async def close(self) -> None:
        """Stop watching; a watch that is under way ends with its connection."""
        self._closing.set()
        self._watch.stop()

    def models(self) -> Sequence[ServedModel]:
        """The models of all InferenceServices, those too that are not Ready just now."""
        return list(self._models.values())

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow(self._list())
            # The last two: what came is not what an API server sends. The thread must outlive that too.
            except (kubernetes.client.ApiException, HTTPError, OSError, KeyError, ValueError) as error:
                telemetry.log.warning("InferenceServices cannot be watched", error=type(error).__name__)
                self._closing.wait(RETRY_SECONDS)

    def _list(self) -> str:
        listing = self._services(GROUP, VERSION, self._namespace, PLURAL, label_selector=SELECTOR)
        found = {service["metadata"]["name"]: served_model(service) for service in listing["items"]}
        self._models = {name: model for name, model in found.items() if model is not None}
        self._listed.set()
        version: str = listing["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        events = self._watch.stream(
            self._services, GROUP, VERSION, self._namespace, PLURAL,
            label_selector=SELECTOR, resource_version=version, timeout_seconds=WATCH_SECONDS,
        )  # fmt: skip
        for event in events:
            if self._closing.is_set():
                return
            name = event["object"]["metadata"]["name"]
            model = served_model(event["object"]) if event["type"] != "DELETED" else None
            # A new dictionary instead of a change: `models` may be reading the old one.
            others = {other: known for other, known in self._models.items() if other != name}
            self._models = others if model is None else {**others, name: model}

    @property
    def _services(self) -> Callable[..., Any]:
        assert self._api is not None
        method: Callable[..., Any] = self._api.list_namespaced_custom_object
        return method


def _load_config() -> None:
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
