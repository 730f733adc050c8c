"""How long a model on a GPU pool takes to its first answer, with a placeholder that keeps a node for it and without."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Install
from release import Release, eventually, is_ready, kubectl, objects
from second import second_node

NAMESPACE = "warm"
MODEL = "chest-xray-pneumonia"
IMAGES = ("model-server", f"model-{MODEL}")
RESOURCE = "nvidia.com/gpu"
SETTINGS = (
    "--set=modelDefaults.runtime=onnx",
    "--set=models.brain-mri-tumour.enabled=false",
    "--set=gpuPools.main.nodeSelector.dokuei\\.io/pool=main",
    # There is no GPU in the node, and a model that asks for one in vain does not start; all else is as if.
    "--set=runtimes.onnx.gpuImage.repository=dokuei/model-server",
    "--post-renderer=sed",
    "--post-renderer-args=s/value: cuda/value: cpu/",
    f"--set=models.{MODEL}.gpu.pool=main",
)
OFF = f"--set=models.{MODEL}.enabled=false"
WARM = "--set=gpuPools.main.warmNodes=1"


def give_gpu(node: str) -> None:
    """Make it a node of the pool, with one GPU for the scheduler to count."""
    kubectl("label", "node", node, "dokuei.io/pool=main")
    path = RESOURCE.replace("/", "~1")
    patch = [{"op": "add", "path": f"/status/{kind}/{path}", "value": "1"} for kind in ("capacity", "allocatable")]
    kubectl("patch", "node", node, "--subresource=status", "--type=json", f"--patch={json.dumps(patch)}")


def placeholder_runs() -> bool:
    pods = objects("pods", NAMESPACE, "app.kubernetes.io/component=warm-main")
    return any(is_ready(pod) for pod in pods)


def model_waits(release: Release) -> bool:
    return any(pod["status"]["phase"] == "Pending" and "nodeName" not in pod["spec"] for pod in release.pods(MODEL))


@pytest.mark.usefixtures("node")
def test_a_placeholder_saves_the_time_that_a_node_takes(
    install: Install, samples: Path, record_property: Callable[[str, object], None]
) -> None:
    release = install(NAMESPACE, *SETTINGS, OFF, models=("modality",))
    xray = samples / "chest-xray.dcm"

    def first_answer() -> None:
        eventually(lambda: release.analyse(xray).is_success, "the first answer", pause=0.1)

    release.apply(*SETTINGS)
    started = time.monotonic()
    eventually(lambda: model_waits(release), "a pod that waits for a node")
    with second_node(IMAGES) as second:
        give_gpu(second)
        first_answer()
        without = time.monotonic() - started
        release.upgrade(*SETTINGS, OFF, WARM)
        eventually(placeholder_runs, "the placeholder on the node")
        release.apply(*SETTINGS, WARM)
        started = time.monotonic()
        first_answer()
        warm = time.monotonic() - started
        assert {pod["spec"]["nodeName"] for pod in release.pods(MODEL)} == {second}
    told = f"light runtime: {warm:.1f} s in the placeholder's stead; {without:.1f} s where the node is started first"
    record_property("measured", f"{told} (containerd, images, kubelet; a cloud's machine is not counted)")
    assert warm < without
