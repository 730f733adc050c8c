"""The registry of a cluster: KServe InferenceServices, watched by label. What the cluster says is what is served.

How studies are split between a model and its candidate is in one ConfigMap: an annotation of an InferenceService would
be handed on to its pods, and start them anew with each change.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, get_args

import kubernetes
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from urllib3.exceptions import HTTPError

from handlers.contract.card import parse_card
from handlers.contract.errors import CardError

from . import telemetry
from .errors import ModelUnavailable
from .kserve import ABORTED, CARD_ANNOTATION, GROUP, PLURAL, SELECTOR, VARIANT_ANNOTATION, VERSION, Variant
from .registry import ServedModel

RETRY_SECONDS = 2.0
WATCH_SECONDS = 300
"""A watch is renewed after this time, so a connection that died silently is noticed."""

Object = Mapping[str, Any]
T = TypeVar("T")


class Split(BaseModel):
    """How studies are split between a model and its candidate: what the ConfigMap has for the model, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=0, ge=0, le=100)
    """Percentage of studies that the candidate reads."""
    shadow: float = Field(default=0, ge=0, le=100)
    """Percentage of studies that are mirrored to the candidate, those that it reads aside."""


def served_model(service: Object) -> ServedModel | None:
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


def splits(config_map: Object) -> dict[str, Split]:
    """The split of each model that a ConfigMap names.

    Where it cannot be read, or the rollout is aborted, the candidate reads nothing.
    """
    found = {}
    data: Mapping[str, str] = config_map.get("data") or {}
    for model, text in data.items():
        if model.endswith(ABORTED) or model + ABORTED in data:
            continue
        try:
            found[model] = Split.model_validate_json(text)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            telemetry.log.error("the split of a model cannot be read", model=model, error=wrong)
    return found


class Followed(Generic[T]):
    """Objects of one kind as the API server last told them, by name: listed once, then watched, in a thread of its own.

    While the API server is away, what was last known stays. The library's own informer takes no custom objects.

    Args:
        what: what they are called, for the log.
        listing: a list method of the kubernetes client.
        read: what is kept of an object; None for one that is left out.
        selection: arguments of `listing`.
    """

    def __init__(
        self, what: str, listing: Callable[..., Any], read: Callable[[Object], T | None], **selection: str
    ) -> None:
        self.what, self._listing, self._read, self._selection = what, listing, read, selection
        self._closing = threading.Event()
        self._watch = kubernetes.watch.Watch()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self.listed = threading.Event()
        self.found: dict[str, T] = {}

    def start(self) -> None:
        """Begin to follow them; `listed` is set once the first list is complete."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching; a watch that is under way ends with its connection."""
        self._closing.set()
        self._watch.stop()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow(self._list())
            # The last two: what came is not what an API server sends. The thread must outlive that too.
            except (kubernetes.client.ApiException, HTTPError, OSError, KeyError, ValueError) as error:
                telemetry.log.warning("what the API server says cannot be followed", of=self.what, error=repr(error))
                self._closing.wait(RETRY_SECONDS)

    def _list(self) -> str:
        listing = json.loads(self._listing(**self._selection, _preload_content=False).data)
        read = {each["metadata"]["name"]: self._read(each) for each in listing["items"]}
        self.found = {name: kept for name, kept in read.items() if kept is not None}
        self.listed.set()
        version: str = listing["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        events = self._watch.stream(
            self._listing, **self._selection, resource_version=version, timeout_seconds=WATCH_SECONDS
        )
        for event in events:
            if self._closing.is_set():
                return
            told = event["raw_object"]
            name = told["metadata"]["name"]
            kept = self._read(told) if event["type"] != "DELETED" else None
            # A new dictionary instead of a change: someone may be reading the old one.
            others = {other: known for other, known in self.found.items() if other != name}
            self.found = others if kept is None else {**others, name: kept}


class KubernetesRegistry:
    """Watches the InferenceServices of one namespace, and the ConfigMap that splits studies between versions.

    Args:
        namespace: of both.
        traffic: name of the ConfigMap; None where there are no candidates.
        client: of the kubernetes client; by default that of the pod's service account, else of the kubeconfig.
    """

    def __init__(self, namespace: str, traffic: str | None, client: kubernetes.client.ApiClient | None = None) -> None:
        self._namespace, self._traffic, self._client = namespace, traffic, client
        self._followed: list[Followed[Any]] = []
        self._services: Followed[ServedModel] | None = None
        self._splits: Followed[dict[str, Split]] | None = None

    async def start(self) -> None:
        """List the services and the splits once, then watch them.

        Raises:
            ModelUnavailable: the API server did not answer within 30 s.
        """
        if self._client is None:
            await run_sync(_load_config)
        custom = kubernetes.client.CustomObjectsApi(self._client)
        self._services = Followed(
            "InferenceServices", custom.list_namespaced_custom_object, served_model,
            group=GROUP, version=VERSION, plural=PLURAL, namespace=self._namespace, label_selector=SELECTOR,
        )  # fmt: skip
        self._followed = [self._services]
        if self._traffic is not None:
            core = kubernetes.client.CoreV1Api(self._client)
            self._splits = Followed(
                "ConfigMap", core.list_namespaced_config_map, splits,
                namespace=self._namespace, field_selector=f"metadata.name={self._traffic}",
            )  # fmt: skip
            self._followed.append(self._splits)
        for followed in self._followed:
            followed.start()
        for followed in self._followed:
            if not await run_sync(followed.listed.wait, 30):
                raise ModelUnavailable(f"{followed.what} of namespace {self._namespace} cannot be listed")

    async def close(self) -> None:
        """Stop watching."""
        for followed in self._followed:
            followed.close()

    def models(self) -> Sequence[ServedModel]:
        """The models of all InferenceServices, those too that are not Ready just now."""
        if self._services is None:
            return []
        split = {} if self._splits is None else next(iter(self._splits.found.values()), {})
        return [_weighted(model, split.get(model.card.name)) for model in self._services.found.values()]


def _weighted(model: ServedModel, split: Split | None) -> ServedModel:
    if model.variant == "stable" or split is None:
        return model
    return replace(model, weight=split.weight, shadow=split.shadow)


def _load_config() -> None:
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
