"""What is in an image: read from its OCI archive, so that it does not matter who built it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

SBOM = "opt/dokuei/sbom.cdx.json"
"""Where images/install.sh leaves the bill of materials of the Python environment."""
PACKAGES = "var/lib/dpkg/status"
PACKAGES_OF_ONE = "var/lib/dpkg/status.d"


@dataclass(frozen=True)
class Contents:
    """One image, as a registry would see it.

    Attributes:
        digest: of the manifest, to pin the image by.
        compressed_bytes: what is pulled: configuration and layers.
        config: the image's configuration (user, entrypoint, labels).
        python: bill of materials of the Python environment, or None.
        packages: Debian packages, as the fields of dpkg's status.
    """

    digest: str
    compressed_bytes: int
    config: Mapping[str, Any]
    python: dict[str, Any] | None
    packages: Sequence[Mapping[str, str]]


def read(file: Path) -> Contents:
    """Read an OCI archive of one image."""
    with tarfile.open(file) as archive:

        def blob(digest: str) -> Any:
            return archive.extractfile(f"blobs/{digest.replace(':', '/')}") or _missing(digest)

        names = {PurePosixPath(name).as_posix(): name for name in archive.getnames()}
        index = json.load(archive.extractfile(names["index.json"]) or _missing("index.json"))
        (described,) = index["manifests"]
        manifest = json.load(blob(described["digest"]))
        found: dict[str, bytes] = {}
        for layer in manifest["layers"]:  # A later layer's file takes the place of an earlier one's.
            with tarfile.open(fileobj=blob(layer["digest"])) as files:
                found.update(_wanted(files))
        return Contents(
            digest=described["digest"],
            compressed_bytes=sum(part["size"] for part in (manifest["config"], *manifest["layers"])),
            config=json.load(blob(manifest["config"]["digest"])),
            python=json.loads(found[SBOM]) if SBOM in found else None,
            packages=[package for name in sorted(found) if name != SBOM for package in _packages(found[name].decode())],
        )


def bill(contents: Contents, name: str, version: str, components: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The bill of materials of an image (CycloneDX 1.6): `components`, the Python packages and those of Debian."""
    empty: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}
    document = dict(contents.python or empty)
    subject = {"type": "container", "name": name, "version": version, "bom-ref": f"{name}@{contents.digest}"}
    # What the environment said of itself comes along as one of its own components.
    document["metadata"] = {**document.get("metadata", {}), "component": subject}
    listed = [*components, *document.get("components", []), *map(_debian, contents.packages)]
    document["components"] = listed
    return document


def _wanted(files: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in files:
        name = member.name.removeprefix("./").lstrip("/")
        if member.isfile() and (name in (SBOM, PACKAGES) or name.startswith(f"{PACKAGES_OF_ONE}/")):
            content = files.extractfile(member)
            if content is not None:
                yield name, content.read()


def _packages(status: str) -> Iterator[Mapping[str, str]]:
    for paragraph in status.strip().split("\n\n"):
        fields = dict(Parser().parsestr(paragraph, headersonly=True).items())
        if fields.get("Status", "").endswith(" installed"):
            yield fields


def _debian(package: Mapping[str, str]) -> dict[str, str]:
    name, version, architecture = package["Package"], package["Version"], package["Architecture"]
    purl = (
        f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}&distro=debian-12"
    )
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _missing(name: str) -> Any:
    raise KeyError(f"{name} is not in the archive")
