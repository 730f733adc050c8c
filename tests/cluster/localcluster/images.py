"""The images on the node: Dokuei's own as `make images` builds them, and one for each program that runs in a pod."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from images.build import (
    OUTPUT,
    PUBLIC_BASE,
    base_image,
    build_command,
    choose_builder,
    chosen,
    export_command,
    images,
)

from .errors import ClusterError
from .layout import CACHE, FIRST, PROGRAMS, ROOT, Node
from .machine import ctr
from .nodes import PAUSE_IMAGE

PODS = {
    "pause": PAUSE_IMAGE,
    "coredns": "docker.io/dokuei/coredns:1.13.2",
    "kserve-controller": "docker.io/kserve/kserve-controller:v0.20.0",
    "kube-rbac-proxy": "quay.io/brancz/kube-rbac-proxy:v0.19.1",
}
"""Programs that run in pods, by the names that the manifests and KServe's chart give their images."""
ARCHIVES = CACHE / "images"


def build() -> None:
    """Build all images that are not built yet, as OCI archives.

    Raises:
        ClusterError: a build fails.
    """
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    builder = choose_builder(None)
    if base_image(builder, None) == PUBLIC_BASE:
        _python("images.base", "--builder", builder)
    _python("images.build", "--builder", builder)
    for program, reference in PODS.items():
        archive, binary = ARCHIVES / f"{program}.tar", PROGRAMS / program
        if archive.is_file() and archive.stat().st_mtime > binary.stat().st_mtime:
            continue
        archive.unlink(missing_ok=True)
        file = Path(__file__).with_name("Dockerfile")
        command = build_command(builder, file, PROGRAMS, reference, arguments={"PROGRAM": program})
        for each in (command, export_command(builder, reference, archive)):
            if subprocess.run(each, check=False, stdout=sys.stderr).returncode != 0:
                raise ClusterError(f"{reference} was not built; {builder} says why above")


def _python(module: str, *arguments: str) -> None:
    # What a build prints is worth reading only where it fails.
    log = CACHE / f"{module}.log"
    print(f"{module} … ({log.relative_to(ROOT)})", flush=True)
    with log.open("w") as output:
        ran = subprocess.run(
            [sys.executable, "-m", module, *arguments], check=False, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    if ran.returncode != 0:
        raise ClusterError(f"{module} failed:\n{log.read_text()[-2000:]}")


def load(node: Node = FIRST, names: Collection[str] = ()) -> None:
    """Bring to a node the images that it has not got already: those of these names (as in dokuei/NAME), or else all."""
    known = _known(node)
    for program, reference in PODS.items():
        archive = ARCHIVES / f"{program}.tar"
        if (not names or program in names) and known.get(reference) != _digest(archive):
            _load(node, archive, reference)
    wanted = {image.name for image in chosen(images(ROOT), ())}  # Those for GPUs may have been built too.
    for entry in json.loads((OUTPUT / "digests.json").read_text()):
        name = entry["name"].removeprefix("dokuei/")
        if name not in wanted:
            continue
        reference = f"docker.io/{entry['name']}:{entry['tag']}"
        if (not names or name in names) and known.get(reference) != entry["digest"]:
            _load(node, OUTPUT / f"{name}.tar", reference)


def _load(node: Node, archive: Path, reference: str) -> None:
    started = time.monotonic()
    print(f"loading {reference} …", flush=True)
    for line in ctr("images", "import", "--snapshotter", "overlayfs", archive, node=node).splitlines():
        name = line.split()[1] if line.startswith("unpacking ") else reference
        if name != reference:  # Builders leave the registry out of the name; the kubelet does not.
            ctr("images", "tag", "--force", name, reference, node=node)
            ctr("images", "rm", name, node=node)
    print(f"loaded {reference} in {time.monotonic() - started:.0f} s", flush=True)


def _known(node: Node) -> Mapping[str, str]:
    rows = [line.split() for line in ctr("images", "ls", node=node).splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def _digest(archive: Path) -> str:
    command = ["tar", "--extract", "--to-stdout", f"--file={archive}", "index.json"]
    index = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    digest: str = index["manifests"][0]["digest"]
    return digest
