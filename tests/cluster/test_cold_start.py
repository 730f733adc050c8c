"""How long a model's pod takes from its creation to its first answer, with its images on the node."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import kubernetes
import numpy as np
import pytest
from conftest import Install
from paths import STORE
from release import Release, kubectl

from handlers.contract import oip
from handlers.contract.card import load_card

ROUNDS = 10
MODEL = "chest-xray-pneumonia"
MOST_SECONDS = {"onnx": 5.0, "torchserve": None}
"""At the 95th percentile; TorchServe takes what it takes."""

pytestmark = pytest.mark.usefixtures("node")


def first_answer(release: Release) -> float:
    """Seconds from the creation of a new pod of the model to its first answer."""
    (old,) = release.pods(MODEL)
    card = load_card(STORE / MODEL)
    blank = np.zeros((1, card.input.height, card.input.width, card.input.channels), np.uint8)
    message = oip.encode_request({"images": blank})
    pods = kubernetes.client.CoreV1Api()
    seen = kubernetes.watch.Watch().stream(
        pods.list_namespaced_pod,
        release.namespace,
        label_selector=f"serving.kserve.io/inferenceservice={MODEL}",
        resource_version=pods.list_namespaced_pod(release.namespace).metadata.resource_version,
        timeout_seconds=120,
    )
    name = old["metadata"]["name"]
    kubectl("--namespace", release.namespace, "delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    created, address = 0.0, None
    for event in seen:
        pod = event["object"]
        if event["type"] == "ADDED":
            created = time.monotonic()
        if created and pod.metadata.name != name and pod.status.pod_ip:
            address = pod.status.pod_ip
            break
    assert address is not None, "no new pod has an address after two minutes"
    with httpx.Client(base_url=f"http://{address}:8080", timeout=5, trust_env=False) as client:
        while time.monotonic() - created < 120:
            try:
                answer = client.post(f"/v2/models/{MODEL}/infer", content=message.body, headers=message.headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                return time.monotonic() - created
            time.sleep(0.02)
    raise AssertionError("no answer after two minutes")


@pytest.mark.parametrize("runtime", MOST_SECONDS)
def test_a_new_pod_answers_soon(install: Install, runtime: str, record_property: Callable[[str, object], None]) -> None:
    kubernetes.config.load_kube_config()
    others = ("--set=models.brain-mri-tumour.enabled=false", "--set=models.modality.enabled=false")
    release = install("cold", f"--set=modelDefaults.runtime={runtime}", *others, models=(MODEL,))
    seconds = []
    for _ in range(ROUNDS):
        seconds.append(first_answer(release))
        release.wait()
    p50, p95 = np.percentile(seconds, [50, 95])
    record_property(
        "measured", f"{runtime}: pod created to first answer, p50 {p50:.1f} s, p95 {p95:.1f} s, {ROUNDS} times"
    )
    limit = MOST_SECONDS[runtime]
    assert limit is None or p95 <= limit
