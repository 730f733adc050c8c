"""Starts and stops the cluster's processes, and runs others beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from . import configuration
from .errors import ClusterError
from .layout import CGROUP, FIRST, KUBECONFIG, LOGS, NODES, PROCESS, RUN, SECOND, SUPERVISOR, Node

CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation=private", "--kill-child")


def running() -> psutil.Process | None:
    """The first process of the cluster's namespaces, or None."""
    try:
        number, created = PROCESS.read_text().split()
        process = psutil.Process(int(number))
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE else None


def start() -> None:
    """Start every part; they go on when this process ends.

    Raises:
        ClusterError: one is running, this machine cannot run one, or the namespaces end at once.
    """
    if running() is not None:
        raise ClusterError("the cluster is running; `make cluster-down` stops it")
    if os.geteuid() != 0:
        raise ClusterError("a cluster needs root: it makes namespaces, mounts and control groups")
    clean()
    configuration.write()
    for hierarchy in _hierarchies():
        for cgroup in (CGROUP, *(node.cgroup for node in NODES)):
            (hierarchy / cgroup).mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if hierarchy.name == "cpuset":  # Version 1 leaves them empty, and then no process may come in.
                    (hierarchy / cgroup / setting).write_text((hierarchy / setting).read_text())
    networks = [FIRST.address, SECOND.name, SECOND.address, SECOND.pod_network]
    init = ["sh", str(Path(__file__).with_name("init.sh")), *networks, *configuration.supervisor_command()]
    with (LOGS / "init.log").open("w") as log:
        holder = subprocess.Popen(
            ["unshare", *NAMESPACES, *init],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    try:
        first = _first_child(holder)
        PROCESS.write_text(f"{first.pid} {first.create_time()}")
    except BaseException:
        holder.kill()
        holder.wait()
        clean()
        raise


def _first_child(holder: subprocess.Popen[bytes]) -> psutil.Process:
    deadline = time.monotonic() + 10
    while not (children := psutil.Process(holder.pid).children()):
        if holder.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"the namespaces cannot be made: {(LOGS / 'init.log').read_text().strip()}")
        time.sleep(0.05)
    return children[0]


def stop() -> None:
    """End every process of the cluster, and take away what it left; nothing happens where there is none."""
    process = running()
    if process is not None:
        # The kernel ends all others of the process namespace with its first, and their mounts and links with them.
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    clean()


def clean() -> None:
    """Take away the folders and control groups of a cluster that has ended."""
    for hierarchy in _hierarchies():
        for folder in sorted((hierarchy / CGROUP).glob("**/"), reverse=True):
            _remove_cgroup(folder)
    if RUN.exists():
        shutil.rmtree(RUN)


def _hierarchies() -> list[Path]:
    """The roots of the control groups: one in version 2, one a controller in version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _remove_cgroup(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:  # The kernel is still ending its processes.
            if time.monotonic() > deadline:
                raise ClusterError(f"control group {folder} is still in use") from None
            time.sleep(0.1)


def inside(command: Sequence[str | Path], *, files: bool = False) -> list[str]:
    """`command`, run in the network of the cluster; with `files`, among its mounts and processes too.

    Raises:
        ClusterError: no cluster is running.
    """
    process = running()
    if process is None:
        raise ClusterError("no cluster is running; `make cluster-up` starts one")
    kinds = ("--net", "--mount", "--pid") if files else ("--net",)
    return ["nsenter", f"--target={process.pid}", *kinds, "--", *map(str, command)]


def run_inside(*command: str | Path) -> None:
    """Run a command among the cluster's mounts, processes and links.

    Raises:
        CalledProcessError: it fails.
    """
    subprocess.run(inside(command, files=True), check=True)


def environment() -> dict[str, str]:
    """The environment of a process that talks to the cluster: no proxy may stand between."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "KUBECONFIG": str(KUBECONFIG)}


def control(*arguments: str) -> str:
    """What supervisorctl answers, as in `control("stop", "kubelet")`."""
    program = str(Path(configuration.supervisor_command()[0]).with_name("supervisorctl"))
    command = inside([program, "--configuration", SUPERVISOR, *arguments], files=True)
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def ctr(*arguments: str | Path, node: Node = FIRST) -> str:
    """What the client of a node's containerd answers, in the namespace of Kubernetes.

    Raises:
        ClusterError: it refuses.
    """
    command = inside(["ctr", "--address", node.socket, "--namespace", "k8s.io", *arguments], files=True)
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise ClusterError(f"ctr {' '.join(map(str, arguments))}: {ran.stderr.strip()}")
    return ran.stdout


def descendants(words: Sequence[str]) -> list[psutil.Process]:
    """The cluster's processes in whose command line each of `words` occurs."""
    process = running()
    found = []
    for child in process.children(recursive=True) if process is not None else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            line = " ".join(child.cmdline())
            if all(word in line for word in words):
                found.append(child)
    return found
