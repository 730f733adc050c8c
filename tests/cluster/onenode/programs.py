"""The programs of the cluster, built from the Go modules that tests/cluster/programs pins."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError
from .layout import PROGRAMS, ROOT

MODULES = ROOT / "tests" / "cluster" / "programs"
KUBERNETES = "v1.34.2"
"""The last minor version that runs with control groups v1."""
_BASE, _CLIENT = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
_VERSION = {f"{_BASE}.gitVersion": KUBERNETES, f"{_BASE}.gitMajor": "1", f"{_BASE}.gitMinor": "34"}
_VARIABLES = {**_VERSION, f"{_CLIENT}.gitVersion": KUBERNETES}


@dataclass(frozen=True)
class Program:
    """A program: its Go package, and the folder of the module file that pins it."""

    name: str
    module: str
    package: str


ALL = (
    Program("etcd", "kubernetes", "go.etcd.io/etcd/server/v3"),
    *(
        Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        )
    ),
    Program("kube-router", "kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
    Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    Program("coredns", "coredns", "github.com/coredns/coredns"),
    Program("kserve-controller", "kserve", "github.com/kserve/kserve/cmd/manager"),
    Program("kube-rbac-proxy", "kube-rbac-proxy", "github.com/brancz/kube-rbac-proxy/cmd/kube-rbac-proxy"),
    Program("pause", "pause", "."),
)


def build() -> None:
    """Build what is missing or was built from other modules; from an empty cache that takes about 15 minutes.

    Raises:
        ClusterError: a program cannot be built.
    """
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    flags = "-s -w " + " ".join(f"-X {name}={value}" for name, value in _VARIABLES.items())
    for program in ALL:
        folder = MODULES / program.module
        sources = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
        digest = hashlib.sha256(sources + flags.encode()).hexdigest()
        stamp = PROGRAMS / f".{program.name}"
        if stamp.is_file() and stamp.read_text() == digest and (PROGRAMS / program.name).is_file():
            continue
        print(f"building {program.name} …", flush=True)
        command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", PROGRAMS / program.name, program.package]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        if subprocess.run(command, cwd=folder, env=environment, check=False).returncode != 0:
            raise ClusterError(f"{program.name} was not built; Go says why above")
        stamp.write_text(digest)


def module_folder(module: str, path: str) -> Path:
    """Where the Go module `path`, which the module file in the folder `module` pins, lies on this machine."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", path]
    return Path(
        subprocess.run(command, cwd=MODULES / module, check=True, capture_output=True, text=True).stdout.strip()
    )
