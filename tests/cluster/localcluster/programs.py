"""The programs of the cluster, built from the Go modules in tests/cluster/programs, which pin them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from .errors import ClusterError
from .layout import PROGRAMS, ROOT

MODULE = ROOT / "tests" / "cluster" / "programs"
"""One Go module for all: what several of them use, above all Kubernetes' libraries, is compiled once."""
KWOK_MODULE = MODULE / "kwok"
"""But kwok needs these in a later version."""
KUBERNETES = "v1.34.2"
"""The last minor version that runs with control groups v1."""
_BASE, _CLIENT = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
_VERSION = {f"{_BASE}.gitVersion": KUBERNETES, f"{_BASE}.gitMajor": "1", f"{_BASE}.gitMinor": "34"}
_VARIABLES = {**_VERSION, f"{_CLIENT}.gitVersion": KUBERNETES}
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "coredns": "github.com/coredns/coredns",
    "kserve-controller": "github.com/kserve/kserve/cmd/manager",
    "kube-rbac-proxy": "github.com/brancz/kube-rbac-proxy/cmd/kube-rbac-proxy",
    "registry": "github.com/google/go-containerregistry/cmd/registry",
    "pause": "./pause",
}
"""The Go package of each program."""


def build(names: Collection[str] = PACKAGES.keys()) -> None:
    """Build what is missing of these programs or was built from another module.

    Raises:
        ClusterError: a program cannot be built.
    """
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    flags = "-s -w " + " ".join(f"-X {name}={value}" for name, value in _VARIABLES.items())
    sources = b"".join(path.read_bytes() for path in sorted(MODULE.rglob("*")) if path.is_file())
    digest = hashlib.sha256(sources + flags.encode()).hexdigest()
    for name in names:
        stamp = PROGRAMS / f".{name}"
        if stamp.is_file() and stamp.read_text() == digest and (PROGRAMS / name).is_file():
            continue
        print(f"building {name} …", flush=True)
        command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", PROGRAMS / name, PACKAGES[name]]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        module = KWOK_MODULE if name == "kwok" else MODULE
        if subprocess.run(command, cwd=module, env=environment, check=False).returncode != 0:
            raise ClusterError(f"{name} was not built; Go says why above")
        stamp.write_text(digest)


def kwok_folder() -> Path:
    """Where kwok's module lies on this machine."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"]
    return Path(subprocess.run(command, cwd=KWOK_MODULE, check=True, capture_output=True, text=True).stdout.strip())
