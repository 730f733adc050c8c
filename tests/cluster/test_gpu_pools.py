"""GPU pools, on nodes that only pretend to have GPUs: what the scheduler does with the chart's pods is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from localcluster.addons import renew_volumes
from release import CHART, VALUES, eventually, helm, is_ready, kubectl, objects

NAMESPACE = "gpu"
POOL_LABEL = "dokuei.io/pool"
POOL = (
    "--set=modelDefaults.gpu.pool=main",
    "--set=gpuPools.main.nodeSelector.dokuei\\.io/pool=main",
    "--set=gpuPools.main.tolerations[0].key=nvidia.com/gpu",
    "--set=gpuPools.main.tolerations[0].operator=Exists",
    "--set=gpuPools.main.tolerations[0].effect=NoSchedule",
    "--set=models.brain-mri-tumour.enabled=false",
    "--set=models.modality.enabled=false",
)

pytestmark = pytest.mark.usefixtures("node")


def gpu_node(name: str, gpus: int) -> dict[str, Any]:
    resources = {"cpu": "16", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"type": "kwok", POOL_LABEL: "main", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
        "status": {"allocatable": resources, "capacity": resources},
    }


@pytest.fixture
def one_gpu() -> Iterator[str]:
    """A node with one GPU, and the namespace for a release; gives the node's name."""
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump(gpu_node("gpu-1", 1)))
    yield "gpu-1"
    helm("uninstall", "dokuei", "--namespace", NAMESPACE, "--ignore-not-found")
    kubectl("--namespace", NAMESPACE, "delete", "pods", "--all", "--force", "--grace-period=0")
    kubectl("delete", "namespace", NAMESPACE)
    kubectl("delete", "node", "gpu-1")
    renew_volumes()


def apply(*settings: str) -> None:
    helm("upgrade", "--install", "dokuei", CHART, "--namespace", NAMESPACE, "--values", VALUES, *POOL, *settings)


def model_pods() -> list[dict[str, Any]]:
    return objects("pods", NAMESPACE, "app.kubernetes.io/component=model")


def placeholders() -> list[dict[str, Any]]:
    return objects("pods", NAMESPACE, "app.kubernetes.io/component=warm-main")


def serving() -> list[dict[str, Any]]:
    """Model pods that are Ready and not going."""
    return [pod for pod in model_pods() if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def nodes_of(pods: list[dict[str, Any]]) -> set[str | None]:
    return {pod["spec"].get("nodeName") for pod in pods}


def test_a_model_takes_the_place_of_the_placeholder_that_kept_its_gpu(
    one_gpu: str, record_property: Callable[[str, object], None]
) -> None:
    apply("--set=gpuPools.main.warmNodes=1", "--set=models.chest-xray-pneumonia.enabled=false")
    eventually(lambda: nodes_of(placeholders()) == {one_gpu}, "the placeholder on the GPU")
    apply("--set=gpuPools.main.warmNodes=1")
    wanted = time.monotonic()
    eventually(lambda: nodes_of(model_pods()) == {one_gpu}, "the model in its place", pause=0.05)
    seconds = time.monotonic() - wanted
    record_property("measured", f"`helm upgrade` done to the model on the GPU of the placeholder: {seconds:.1f} s")
    eventually(lambda: nodes_of(serving()) == {one_gpu}, "the model to be ready")
    # Its successor waits for another node.
    eventually(lambda: nodes_of(placeholders()) == {None}, "a placeholder that waits")


def test_models_run_on_their_pool_and_nothing_else_does(one_gpu: str) -> None:
    apply("--set=gpuPools.main.prePull=true")
    eventually(lambda: nodes_of(serving()) == {one_gpu}, "the model on the GPU")
    pulled = "app.kubernetes.io/component=pull-main"
    eventually(lambda: nodes_of(objects("pods", NAMESPACE, pulled)) == {one_gpu}, "the images on the pool's node")
    others = [pod for pod in objects("pods", NAMESPACE) if pod["spec"].get("nodeName") == one_gpu]
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in others} == {"model", "pull-main"}


def test_an_update_finishes_where_there_is_one_gpu(one_gpu: str) -> None:
    apply()
    eventually(lambda: nodes_of(serving()) == {one_gpu}, "the model on the GPU")
    before = {pod["metadata"]["uid"] for pod in serving()}
    apply("--set=modelDefaults.runtime=onnx")
    after = eventually(
        lambda: {pod["metadata"]["uid"] for pod in serving() if "model-server" in str(pod["spec"]["containers"])},
        "the new pod of the model",
    )
    assert after.isdisjoint(before)
    eventually(lambda: len(model_pods()) == 1, "the old pod to be gone")
