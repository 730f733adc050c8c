"""The files that the parts of the cluster read: certificates, kubeconfigs, settings, and who is started how."""

from __future__ import annotations

import configparser
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trustme
import yaml

from .layout import (
    API_PORT,
    API_SERVICE_ADDRESS,
    CGROUP,
    CONTAINERD,
    CONTAINERD_SOCKET,
    DNS_ADDRESS,
    KUBECONFIG,
    LOGS,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    PROGRAMS,
    RUN,
    SERVICE_NETWORK,
    SUPERVISOR,
)
from .programs import module_folder

PKI = RUN / "pki"
CNI = RUN / "cni"
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
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
PAUSE_IMAGE = "docker.io/dokuei/pause:1"


def write() -> None:
    """Write everything into RUN."""
    for folder in (PKI, CNI, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    _certificates()
    _write_yaml(RUN / "kubelet.yaml", _kubelet())
    _write_yaml(RUN / "kube-proxy.yaml", _kube_proxy())
    (RUN / "containerd.toml").write_text(_CONTAINERD)
    (CNI / "10-pods.conflist").write_text(_CNI)
    _supervisor()


def _certificates() -> None:
    authority = trustme.CA(organization_name="Dokuei test cluster")
    authority.cert_pem.write_to_path(PKI / "ca.crt")
    names = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", API_SERVICE_ADDRESS, NODE_ADDRESS]
    _write_certificate("apiserver", authority.issue_cert(*names, "localhost", "127.0.0.1"))
    client = authority.issue_cert("apiserver.onenode", common_name="apiserver", organization_name="system:masters")
    _write_certificate("apiserver-kubelet-client", client)
    _write_certificate("service-accounts", authority.issue_cert("service-accounts"))
    for user, (name, group) in USERS.items():
        _write_certificate(user, authority.issue_cert(f"{user}.onenode", common_name=name, organization_name=group))
        path = KUBECONFIG if user == "admin" else RUN / f"{user}.kubeconfig"
        _write_yaml(path, _kubeconfig(user))


def _write_certificate(name: str, certificate: trustme.LeafCert) -> None:
    certificate.private_key_pem.write_to_path(PKI / f"{name}.key")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(PKI / f"{name}.crt", append=number > 0)


def _kubeconfig(user: str) -> Mapping[str, Any]:
    cluster = {"server": f"https://{NODE_ADDRESS}:{API_PORT}", "certificate-authority": str(PKI / "ca.crt")}
    credentials = {"client-certificate": str(PKI / f"{user}.crt"), "client-key": str(PKI / f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "onenode", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "onenode", "context": {"cluster": "onenode", "user": user}}],
        "current-context": "onenode",
    }


def _kubelet() -> Mapping[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        # The machine's disk is not the cluster's own, so its filling up is not the cluster's to mend.
        "evictionHard": {"memory.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(LOGS / "pods"),
        "resolvConf": "/dev/null",
        "shutdownGracePeriod": "0s",
        "volumePluginDir": str(RUN / "volume-plugins"),
    }


def _kube_proxy() -> Mapping[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(RUN / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_NETWORK,
        # The number of connections to follow is the machine's setting, which a network namespace cannot change.
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": NODE,
        "mode": "iptables",
    }


_CONTAINERD = f"""\
version = 2
root = "{CONTAINERD}"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_hugetlb_controller = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{CNI}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""

_CNI = f"""\
{{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "pods0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {{
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{{"subnet": "{POD_NETWORK}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"""


def _commands() -> Mapping[str, list[str]]:
    def kubeconfig(user: str) -> str:
        return f"--kubeconfig={RUN / user}.kubeconfig"

    stages = module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    return {
        "containerd": ["containerd", f"--config={RUN / 'containerd.toml'}"],
        "etcd": [
            str(PROGRAMS / "etcd"),
            f"--data-dir={RUN / 'etcd'}",
            # A test cluster loses nothing that matters when the machine loses power.
            "--unsafe-no-fsync",
        ],
        "kube-apiserver": [
            str(PROGRAMS / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={NODE_ADDRESS}",
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
        "kubelet": [
            str(PROGRAMS / "kubelet"),
            kubeconfig("kubelet"),
            f"--config={RUN / 'kubelet.yaml'}",
            f"--root-dir={RUN / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        "kube-proxy": [str(PROGRAMS / "kube-proxy"), f"--config={RUN / 'kube-proxy.yaml'}"],
        "kube-router": [
            str(PROGRAMS / "kube-router"),
            f"--kubeconfig={KUBECONFIG}",
            f"--hostname-override={NODE}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
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
    for name, command in _commands().items():
        parser[f"program:{name}"] = {
            "command": " ".join(command),
            "autorestart": "true",
            # Each waits for the one that it needs by ending, and being started again.
            "startretries": "1000000",
            "startsecs": "1",
            "redirect_stderr": "true",
            "stdout_logfile": str(LOGS / f"{name}.log"),
            "stdout_logfile_maxbytes": "0",
        }
    with SUPERVISOR.open("w") as file:
        parser.write(file)


def supervisor_command() -> list[str]:
    """What runs all parts, and starts those again that end."""
    return [str(Path(sys.executable).with_name("supervisord")), "--configuration", str(SUPERVISOR)]


def _write_yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False))


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
