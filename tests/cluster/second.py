"""The second node: started, filled with images, and taken away again as an autoscaler would."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from localcluster import images, machine
from localcluster.addons import wait_for_node
from localcluster.errors import ClusterError
from localcluster.layout import SECOND
from release import eventually, kubectl

PARTS = f"{SECOND.name}:*"


def _answers() -> bool:
    try:
        machine.ctr("version", node=SECOND)
    except ClusterError:
        return False
    return True


def _has_no_containers() -> bool:
    return not machine.ctr("containers", "ls", "--quiet", node=SECOND).strip()


@contextmanager
def second_node(names: Collection[str]) -> Iterator[str]:
    """A new node with the images of these names (as in dokuei/NAME) while it is entered; gives the node's name."""
    machine.control("start", f"{SECOND.name}:{SECOND.name}-containerd")
    try:
        eventually(_answers, "the second node's containerd", 20)
        images.load(SECOND, {"pause", *names})
        machine.control("start", PARTS)
        wait_for_node(SECOND)
        yield SECOND.name
    finally:
        _take_away()


def _take_away() -> None:
    if kubectl("get", "node", SECOND.name, "--ignore-not-found"):
        # No budget may hold a pod back: the test is over.
        evict = ("--force", "--disable-eviction", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=60s")
        kubectl("drain", SECOND.name, *evict)
        eventually(_has_no_containers, "the end of the second node's containers", 60)
        kubectl("delete", "node", SECOND.name)
    machine.control("stop", PARTS)
    machine.run_inside("rm", "--recursive", "--force", f"/run/{SECOND.name}", SECOND.images, SECOND.folder / "kubelet")
