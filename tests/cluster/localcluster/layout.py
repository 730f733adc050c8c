"""Where the cluster keeps things, and its addresses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "cluster"
"""What outlives a cluster: programs and unpacked images."""
PROGRAMS = CACHE / "bin"
RUN = CACHE / "run"
"""What belongs to the running cluster."""
VOLUMES = RUN / "volumes"
LOGS = RUN / "logs"
KUBECONFIG = RUN / "admin.kubeconfig"
PROCESS = RUN / "process"
"""Holds the id of the process that holds the namespaces."""
SUPERVISOR = RUN / "supervisord.conf"

API_PORT = 6443
POD_NETWORK = "10.78.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"


def cgroup_of(root: Path) -> str:
    """Parent of all control groups of the working copy in `root`."""
    return f"dokuei-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


CGROUP = cgroup_of(ROOT)


@dataclass(frozen=True)
class Node:
    """One machine of the cluster.

    Attributes:
        number: from 1.
        images: folder of containerd, with the unpacked images.
    """

    number: int
    images: Path

    @property
    def name(self) -> str:
        """Its name in Kubernetes, and that of its network namespace."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """Its address, in a network of all nodes (/24)."""
        return f"10.77.0.{self.number}"

    @property
    def pod_network(self) -> str:
        """The addresses of its pods."""
        return f"10.78.{self.number}.0/24"

    @property
    def folder(self) -> Path:
        """What its parts read and write."""
        return RUN / self.name

    @property
    def socket(self) -> str:
        """Where its containerd listens."""
        return f"/run/{self.name}/containerd.sock"

    @property
    def cgroup(self) -> str:
        """Parent of its pods' control groups."""
        return f"{CGROUP}/{self.name}"


FIRST = Node(1, CACHE / "containerd")
"""In the network of the cluster's other parts."""
SECOND = Node(2, RUN / "containerd-2")
"""In a network of its own; off until a test starts it."""
NODES = (FIRST, SECOND)
