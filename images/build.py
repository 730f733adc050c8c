"""Build the container images, with an OCI archive, a bill of materials and a digest of each in build/images.

python -m images.build                            router, model-server, torchserve, and each model
python -m images.build router model-modality      these
python -m images.build --base registry/debian:12-slim --builder podman
"""

from __future__ import annotations

import argparse
import configparser
import io
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from handlers.contract.archive import load_models
from handlers.contract.errors import DokueiError

from . import archive, context, install

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "images"
BUILDERS = ("docker", "podman", "buildah")
PUBLIC_BASE = "debian:12-slim"
LOCAL_BASE = "dokuei/base:12"
"""What `make base-image` makes; taken where it is there and no other base is named."""
NICE = ("nice", "-n", "19")
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
"""What a build has to know of the machine's pip."""
MEGABYTE = 1_000_000


class BuildError(DokueiError):
    """An image that cannot be built as it was asked for."""


@dataclass(frozen=True)
class Image:
    """One image to build.

    Attributes:
        name: without the prefix `dokuei/`.
        tag: its version.
        file: Dockerfile, from the repository's root.
        target: stage of the Dockerfile.
        optional: built only where it is named.
        arguments: build arguments beside BASE, VERSION and REVISION.
        components: entries of its bill of materials that no package manager knows.
        sources: what it is made of, from the repository's root; the last commit that changed these is its revision.
    """

    name: str
    tag: str
    file: str
    target: str
    optional: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    components: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[str] = ()

    @property
    def reference(self) -> str:
        """Name and tag."""
        return f"dokuei/{self.name}:{self.tag}"


def images(root: Path) -> list[Image]:
    """All images of the repository in `root`.

    Raises:
        CardError, ArchiveError: a model of the store cannot be used.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = project["version"]
    code = [
        {
            "type": "application",
            "name": project["name"],
            "version": version,
            "purl": f"pkg:pypi/{project['name']}@{version}",
            "licenses": [{"license": {"id": project["license"]}}],
        }
    ]
    models = [
        Image(
            name=f"model-{card.name}",
            tag=card.version,
            file="images/model.Dockerfile",
            target="model",
            arguments={"MODEL": card.name, "LICENCE": card.licence},
            components=[
                {
                    "type": "machine-learning-model",
                    "name": card.name,
                    "version": card.version,
                    "hashes": [{"alg": "SHA-256", "content": card.graph.sha256 if card.graph else ""}],
                    "licenses": [{"license": {"name": card.licence}}],
                }
            ],
            sources=("images", f"model-store/{card.name}"),
        )
        for card, _ in load_models(root / "model-store")
    ]
    common = ("LICENSE", "README.md", "constraints-gpu.txt", "constraints.txt", "handlers", "images", "pyproject.toml")
    server = partial(Image, tag=version, file="handlers/Dockerfile", components=code, sources=common)
    return [
        Image("router", version, "router/Dockerfile", "router", components=code, sources=(*common, "portal", "router")),
        server("model-server", target="onnx"),
        server("model-server-gpu", target="onnx-gpu", optional=True),
        server("torchserve", target="torchserve"),
        server("torchserve-gpu", target="torchserve-gpu", optional=True),
        *models,
    ]


def chosen(available: Sequence[Image], names: Sequence[str]) -> list[Image]:
    """The images of these names; without names all that are not optional.

    Raises:
        BuildError: a name that is none.
    """
    known = {image.name: image for image in available}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BuildError(f"there is no image {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else [image for image in available if not image.optional]


def choose_builder(name: str | None) -> str:
    """`name`, or else the first builder that is installed and answers.

    Raises:
        BuildError: there is none.
    """
    for builder in [name] if name else BUILDERS:
        # Docker's client is often there without its daemon.
        if (
            shutil.which(builder)
            and subprocess.run([builder, "info"], capture_output=True, check=False).returncode == 0
        ):
            return builder
    raise BuildError(f"{name or 'none of ' + ', '.join(BUILDERS)} answers; one of them builds the images (BUILDER=…)")


def build_command(
    builder: str,
    file: Path,
    context: Path,
    reference: str,
    *,
    target: str = "",
    arguments: Mapping[str, str] | None = None,
    secrets: Mapping[str, Path] | None = None,
) -> list[str]:
    """The command that builds one image; its secrets are files that a RUN instruction mounts."""
    # Without a daemon: RUN needs neither a network of its own nor more rights than a chroot has. With one: a signed
    # statement of the build would make an index of what has to be one image.
    start = ["--provenance=false"] if builder == "docker" else ["--isolation=chroot", "--layers"]
    named = ["--file", str(file), "--tag", reference, *(("--target", target) if target else ())]
    given = [part for name, value in (arguments or {}).items() for part in ("--build-arg", f"{name}={value}")]
    mounted = [part for name, path in (secrets or {}).items() for part in ("--secret", f"id={name},src={path}")]
    return [builder, "build", *start, *named, *given, *mounted, str(context)]


def export_command(builder: str, reference: str, file: Path) -> list[str]:
    """The command that writes a built image as an OCI archive."""
    if builder == "docker":
        return ["docker", "save", "--output", str(file), reference]
    return [builder, "push", "--quiet", reference, f"oci-archive:{file}:{reference}"]


def pip_configuration(listing: str, certificates: bool) -> str:
    """A pip.conf for the build, from the answer of `pip config list` on this machine."""
    values = {name: value for name, value in install.settings(listing).items() if name in PIP_KEYS}
    if certificates:
        values["cert"] = "/run/secrets/certificates"
    parser = configparser.RawConfigParser()
    parser["global"] = values
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def pip_secrets(folder: Path) -> dict[str, Path]:
    """What pip needs in the build, as files that no layer keeps: its configuration, and the certificates it trusts."""
    listing = install.listed()
    certificates = install.settings(listing).get("cert")
    (folder / "pip.conf").write_text(pip_configuration(listing, certificates is not None))
    return {"pip": folder / "pip.conf", **({"certificates": Path(certificates)} if certificates else {})}


def base_image(builder: str, named: str | None) -> str:
    """The base image: the one that is named, or the one made here, or Debian's."""
    if named:
        return named
    inspect = [builder, "inspect", *(() if builder == "docker" else ("--type", "image")), LOCAL_BASE]
    made = subprocess.run(inspect, capture_output=True, check=False).returncode == 0
    return LOCAL_BASE if made else PUBLIC_BASE


def build(
    image: Image, builder: str, base: str, source: Path, secrets: Mapping[str, Path], known: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """Build one image from the context in `source`, and export it unless it is the one of `known`.

    Returns its entry of digests.json.
    """
    log = ["git", "log", "-1", "--format=%H", "--", *image.sources]
    revision = subprocess.run(log, cwd=ROOT, check=True, capture_output=True, text=True)
    arguments = {"BASE": base, "VERSION": image.tag, "REVISION": revision.stdout.strip(), **image.arguments}
    command = build_command(
        builder, ROOT / image.file, source, image.reference, target=image.target, arguments=arguments, secrets=secrets
    )
    file = OUTPUT / f"{image.name}.tar"
    if subprocess.run([*NICE, *command], check=False, stdout=sys.stderr).returncode != 0:
        raise BuildError(
            f"{image.reference} was not built on {base}; its builder says why above. Where no base image can be "
            "pulled, `make base-image` makes one"
        )
    listed = [builder, "images", "--no-trunc", "--quiet", image.reference]
    built = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.strip()
    if known is not None and known.get("image") == built and file.is_file():
        return known
    file.unlink(missing_ok=True)
    if (
        subprocess.run(
            [*NICE, *export_command(builder, image.reference, file)], check=False, stdout=sys.stderr
        ).returncode
        != 0
    ):
        raise BuildError(f"{image.reference} was built, but not written to {file}; {builder} says why above")
    contents = archive.read(file)
    bill = archive.bill(contents, f"dokuei/{image.name}", image.tag, image.components)
    (OUTPUT / f"{image.name}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    return {
        "name": f"dokuei/{image.name}",
        "tag": image.tag,
        "image": built,
        "digest": contents.digest,
        "compressed_bytes": contents.compressed_bytes,
    }


def main() -> int:
    """Build the images; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m images.build", description="Build the container images into build/images."
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="as in dokuei/NAME; default: all but those for GPUs")
    parser.add_argument("--builder", choices=BUILDERS, help="default: the first of them that answers")
    parser.add_argument(
        "--base", help=f"base image, a Debian 12 (default: {LOCAL_BASE} if it is there, else {PUBLIC_BASE})"
    )
    given = parser.parse_args()
    wanted = chosen(images(ROOT), given.names)
    builder = choose_builder(given.builder)
    base = base_image(builder, given.base)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    listing = OUTPUT / "digests.json"
    digests = {entry["name"]: entry for entry in json.loads(listing.read_text())} if listing.is_file() else {}
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        secrets = pip_secrets(Path(temporary))
        source = Path(temporary) / "context"
        context.copy(ROOT, source)
        for image in wanted:
            entry = build(image, builder, base, source, secrets, digests.get(f"dokuei/{image.name}"))
            digests[entry["name"]] = entry
            listing.write_text(
                json.dumps(sorted(digests.values(), key=lambda each: str(each["name"])), indent=1) + "\n"
            )
            print(f"{image.reference}  {entry['compressed_bytes'] / MEGABYTE:.1f} MB  {entry['digest']}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DokueiError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
