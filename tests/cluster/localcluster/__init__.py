"""A real Kubernetes on one Linux machine, as root, without Docker and without a network.

    make cluster-up        # or, with PYTHONPATH=tests/cluster: python -m localcluster up
    make cluster-down

etcd, API server, controller manager, scheduler, kubelet, kube-proxy, kube-router (NetworkPolicies) and kwok (nodes that
only pretend) are built from pinned Go modules; containerd, runc and the CNI plugins are Debian's. All of it runs in
namespaces of its own for network, mounts and processes: the end of their first process is the end of everything. It has
one node, and a second in a further network namespace, which tests start and end.
"""
