"""What runs on each node, and the files that it reads: containerd, kubelet, kube-proxy, and kube-router's firewall."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .layout import DNS_ADDRESS, KUBECONFIG, LOGS, POD_NETWORK, PROGRAMS, RUN, SERVICE_NETWORK, Node

PKI = RUN / "pki"
PAUSE_IMAGE = "docker.io/dokuei/pause:1"


def write(node: Node) -> None:
    """Write the files of a node into its folder."""
    (node.folder / "cni").mkdir(parents=True)
    write_yaml(node.folder / "kubelet.yaml", _kubelet(node))
    write_yaml(node.folder / "kube-proxy.yaml", _kube_proxy(node))
    (node.folder / "containerd.toml").write_text(_containerd(node))
    (node.folder / "cni" / "10-pods.conflist").write_text(_cni(node))


def commands(node: Node) -> Mapping[str, list[str]]:
    """The commands of a node's parts, by name; to be run in its network."""
    return {
        "containerd": ["containerd", f"--config={node.folder / 'containerd.toml'}"],
        "kubelet": [
            str(PROGRAMS / "kubelet"),
            f"--kubeconfig={RUN / node.name}.kubeconfig",
            f"--config={node.folder / 'kubelet.yaml'}",
            f"--root-dir={node.folder / 'kubelet'}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
        ],
        "kube-proxy": [str(PROGRAMS / "kube-proxy"), f"--config={node.folder / 'kube-proxy.yaml'}"],
        "kube-router": [
            str(PROGRAMS / "kube-router"),
            f"--kubeconfig={KUBECONFIG}",
            f"--hostname-override={node.name}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
        ],
    }


def _kubelet(node: Node) -> Mapping[str, Any]:
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
        "cgroupRoot": f"/{node.cgroup}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        # The machine's disk is not the cluster's own, so its filling up is not the cluster's to mend.
        "evictionHard": {"memory.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(LOGS / f"pods-{node.number}"),
        "resolvConf": "/dev/null",
        "shutdownGracePeriod": "0s",
        "volumePluginDir": str(node.folder / "volume-plugins"),
    }


def _kube_proxy(node: Node) -> Mapping[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(RUN / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_NETWORK,
        # The number of connections to follow is the machine's setting, which a network namespace cannot change.
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": node.name,
        "mode": "iptables",
    }


def _containerd(node: Node) -> str:
    return f"""\
version = 2
root = "{node.images}"
state = "/run/{node.name}/containerd"
[grpc]
address = "{node.socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_hugetlb_controller = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{node.folder / "cni"}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def _cni(node: Node) -> str:
    return f"""\
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
        "dataDir": "/run/{node.name}/cni",
        "ranges": [[{{"subnet": "{node.pod_network}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"""


def write_yaml(path: Path, value: Any) -> None:
    """Write a value as YAML, in its own order."""
    path.write_text(yaml.safe_dump(value, sort_keys=False))
