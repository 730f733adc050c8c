"""The files that the parts of the cluster read: certificates, kubeconfigs, settings, and who is started how."""

from __future__ import annotations

import configparser
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme

from . import nodes
from .layout import (
    API_PORT,
    API_SERVICE_ADDRESS,
    FIRST,
    KUBECONFIG,
    LOGS,
    NODES,
    PROGRAMS,
    RUN,
    SECOND,
    SERVICE_NETWORK,
    SUPERVISOR,
)
from .nodes import PKI
from .programs import kwok_folder

USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    **{node.name: (f"system:node:{node.name}", "system:nodes") for node in NODES},
}
"""Common name and organisation of each user's certificate: what Kubernetes takes for name and group."""
KWOK_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
"""What becomes of nodes and pods that only pretend: ready at once, gone when deleted."""


def write() -> None:
    """Write everything into RUN."""
    for folder in (PKI, LOGS):
        folder.mkdir(parents=True)
    _certificates()
    for node in NODES:
        nodes.write(node)
    _supervisor()


def _certificates() -> None:
    authority = trustme.CA(organization_name="Dokuei test cluster")
    authority.cert_pem.write_to_path(PKI / "ca.crt")
    names = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", API_SERVICE_ADDRESS, FIRST.address]
    _write_certificate("apiserver", authority.issue_cert(*names, "localhost", "127.0.0.1"))
    client = authority.issue_cert("apiserver.localcluster", common_name="apiserver", organization_name="system:masters")
    _write_certificate("apiserver-kubelet-client", client)
    _write_certificate("service-accounts", authority.issue_cert("service-accounts"))
    for user, (name, group) in USERS.items():
        _write_certificate(
            user, authority.issue_cert(f"{user}.localcluster", common_name=name, organization_name=group)
        )
        path = KUBECONFIG if user == "admin" else RUN / f"{user}.kubeconfig"
        nodes.write_yaml(path, _kubeconfig(user))


def _write_certificate(name: str, certificate: trustme.LeafCert) -> None:
    certificate.private_key_pem.write_to_path(PKI / f"{name}.key")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(PKI / f"{name}.crt", append=number > 0)


def _kubeconfig(user: str) -> Mapping[str, Any]:
    cluster = {"server": f"https://{FIRST.address}:{API_PORT}", "certificate-authority": str(PKI / "ca.crt")}
    credentials = {"client-certificate": str(PKI / f"{user}.crt"), "client-key": str(PKI / f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "localcluster", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "localcluster", "context": {"cluster": "localcluster", "user": user}}],
        "current-context": "localcluster",
    }


def _commands() -> Mapping[str, list[str]]:
    def kubeconfig(user: str) -> str:
        return f"--kubeconfig={RUN / user}.kubeconfig"

    stages = kwok_folder() / "kustomize" / "stage"
    return {
        "etcd": [
            str(PROGRAMS / "etcd"),
            f"--data-dir={RUN / 'etcd'}",
            # A test cluster loses nothing that matters when the machine loses power.
            "--unsafe-no-fsync",
        ],
        "kube-apiserver": [
            str(PROGRAMS / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={FIRST.address}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--tls-cert-file={PKI / 'apiserver.crt'}",
            f"--tls-private-key-file={PKI / 'apiserver.key'}",
            f"--client-ca-file={PKI / 'ca.crt'}",
            f"--kubelet-client-certificate={PKI / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={PKI / 'apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI / 'service-accounts.key'}",
            f"--service-account-signing-key-file={PKI / 'service-accounts.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
        ],
        "kube-controller-manager": [
            str(PROGRAMS / "kube-controller-manager"),
            kubeconfig("kube-controller-manager"),
            f"--root-ca-file={PKI / 'ca.crt'}",
            f"--service-account-private-key-file={PKI / 'service-accounts.key'}",
            "--use-service-account-credentials",
            "--leader-elect=false",
        ],
        "kube-scheduler": [
            str(PROGRAMS / "kube-scheduler"),
            kubeconfig("kube-scheduler"),
            "--leader-elect=false",
        ],
        "kwok": [
            str(PROGRAMS / "kwok"),
            f"--kubeconfig={KUBECONFIG}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-label-selector=type=kwok",
            *(f"--config={stages / stage}" for stage in KWOK_STAGES),
        ],
    }


def _supervisor() -> None:
    parser = configparser.RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "user": "root",
        "logfile": str(LOGS / "supervisord.log"),
        "pidfile": "/run/supervisord.pid",
        "childlogdir": str(LOGS),
        "minfds": "16384",
    }
    parser["unix_http_server"] = {"file": "/run/supervisor.sock"}
    parser["supervisorctl"] = {"serverurl": "unix:///run/supervisor.sock"}
    factory = "supervisor.rpcinterface:make_main_rpcinterface"
    parser["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": factory}
    for name, command in {**_commands(), **nodes.commands(FIRST)}.items():
        parser[f"program:{name}"] = _program(name, command)
    in_network = ["nsenter", f"--net=/run/netns/{SECOND.name}", "--"]
    parts = {f"{SECOND.name}-{name}": command for name, command in nodes.commands(SECOND).items()}
    parser[f"group:{SECOND.name}"] = {"programs": ",".join(parts)}
    for name, command in parts.items():
        parser[f"program:{name}"] = {**_program(name, [*in_network, *command]), "autostart": "false"}
    with SUPERVISOR.open("w") as file:
        parser.write(file)


def _program(name: str, command: Sequence[str]) -> Mapping[str, str]:
    return {
        "command": " ".join(command),
        "autorestart": "true",
        # Each waits for the one that it needs by ending, and being started again.
        "startretries": "1000000",
        "startsecs": "1",
        "redirect_stderr": "true",
        "stdout_logfile": str(LOGS / f"{name}.log"),
        "stdout_logfile_maxbytes": "0",
    }


def supervisor_command() -> list[str]:
    """What runs all parts, and starts those again that end."""
    return [str(Path(sys.executable).with_name("supervisord")), "--configuration", str(SUPERVISOR)]


def missing_packages() -> list[str]:
    """Debian packages that the cluster needs and this machine lacks."""
    needed = {
        "containerd": "containerd",
        "runc": "runc",
        "conntrack": "conntrack",
        "iptables": "iptables",
        "ipset": "ipset",
        "/usr/lib/cni/bridge": "containernetworking-plugins",
    }
    return [package for program, package in needed.items() if shutil.which(program) is None]
