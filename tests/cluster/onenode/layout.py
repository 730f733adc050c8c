"""Where the cluster keeps things, and its addresses."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "cluster"
"""What outlives a cluster: programs and unpacked images."""
PROGRAMS = CACHE / "bin"
CONTAINERD = CACHE / "containerd"
RUN = CACHE / "run"
"""What belongs to the running cluster."""
VOLUMES = RUN / "volumes"
LOGS = RUN / "logs"
KUBECONFIG = RUN / "admin.kubeconfig"
PROCESS = RUN / "process"
"""Holds the id of the process that holds the namespaces."""
SUPERVISOR = RUN / "supervisord.conf"

NODE = "node-1"
NODE_ADDRESS = "10.77.0.1"
API_PORT = 6443
POD_NETWORK = "10.78.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CGROUP = f"dokuei-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
"""Parent of all pods' control groups; of its own for each working copy."""
