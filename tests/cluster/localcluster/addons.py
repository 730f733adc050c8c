"""What a cluster has before anything is installed in it: DNS, storage, and KServe."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .errors import ClusterError
from .images import PODS
from .layout import FIRST, PROGRAMS, ROOT, VOLUMES, Node
from .machine import environment, inside, running

OBJECTS = Path(__file__).with_name("objects")
HELM = ROOT / ".cache" / "bin" / "helm"
START_SECONDS = 120
STORAGE_CLASS = "folders"
"""As objects/storage.yaml names it."""
VOLUME_COUNT = 12


def run(command: Sequence[str | Path], *, text: str | None = None) -> str:
    """Run a command against the cluster; `text` is its input. Returns its output.

    Raises:
        ClusterError: it fails; with what it said.
    """
    # KServe's charts are in the Go module that its controller was built from, and that was held against go.sum; the
    # database of checksums, which Go would ask for a module that is named on its own, is not to be reached from here.
    known = {"PATH": f"{PROGRAMS}:{environment()['PATH']}", "GONOSUMDB": "github.com/kserve/kserve"}
    ran = subprocess.run(
        inside(command), check=False, capture_output=True, text=True, input=text, env={**environment(), **known}
    )
    if ran.returncode != 0:
        raise ClusterError(f"{' '.join(map(str, command))}: {ran.stderr.strip() or ran.stdout.strip()}")
    return ran.stdout


def kubectl(*arguments: str | Path, text: str | None = None) -> str:
    """Run kubectl; see `run`."""
    return run([PROGRAMS / "kubectl", *arguments], text=text)


def wait_for_node(node: Node = FIRST) -> None:
    """Wait until a node can take pods.

    Raises:
        ClusterError: it cannot after START_SECONDS.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=5s")
        except ClusterError as error:
            if running() is None or time.monotonic() > deadline:
                raise ClusterError(f"{node.name} is not ready after {START_SECONDS} s: {error}") from None
            time.sleep(0.5)
        else:
            return


def install() -> None:
    """Install DNS, storage and KServe."""
    for file in sorted(OBJECTS.iterdir()):
        kubectl("apply", "--server-side", "--filename", file)
    for number in range(VOLUME_COUNT):
        add_volume(f"folder-{number}", VOLUMES / str(number))
    kubectl("--namespace", "kube-system", "rollout", "status", "deployment/coredns", f"--timeout={START_SECONDS}s")
    # A tenth of a processor, which KServe's chart gives its controller, makes its start a matter of minutes here.
    settings = {
        "resources.limits.cpu": "2",
        "resources.requests.cpu": "10m",
        "rbacProxyImage": PODS["kube-rbac-proxy"],
    }
    given = [part for name, value in settings.items() for part in ("--set", f"kserve.controller.{name}={value}")]
    run([ROOT / "charts" / "kserve-install.sh", HELM, *given])


def renew_volumes() -> None:
    """Empty the volumes whose claims are gone, and offer them again; those that a test brought are taken away."""
    volumes = json.loads(kubectl("get", "persistentvolumes", "--output", "json"))["items"]
    for volume in volumes:
        if volume["status"]["phase"] != "Released":
            continue
        name, folder = volume["metadata"]["name"], Path(volume["spec"]["local"]["path"])
        kubectl("delete", "persistentvolume", name)
        shutil.rmtree(folder)
        if volume["spec"].get("storageClassName") == STORAGE_CLASS:
            add_volume(name, folder)


def add_volume(name: str, folder: Path, capacity: str = "20Gi", storage_class: str = STORAGE_CLASS) -> None:
    """Offer a folder of the first node as a volume."""
    folder.mkdir(parents=True, exist_ok=True)
    where = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [FIRST.name]}]
    volume: Mapping[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "capacity": {"storage": capacity},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": where}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
        },
    }
    kubectl("apply", "--server-side", "--filename", "-", text=yaml.safe_dump(volume))
