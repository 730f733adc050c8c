"""What is built, with which command, and what is told of it; nothing is built here."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
from paths import ROOT, STORE

from handlers.contract.archive import load_models
from images import archive, context
from images.base import sources
from images.build import (
    BuildError,
    build_command,
    choose_builder,
    chosen,
    export_command,
    images,
    pip_configuration,
)
from images.install import environment

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: the C library
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_every_part_and_every_model_is_an_image_of_its_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    names = [image.reference for image in images(ROOT)]
    parts = ("router", "model-server", "model-server-gpu", "torchserve", "torchserve-gpu")
    models = [f"dokuei/model-{card.name}:{card.version}" for card, _ in load_models(STORE)]
    assert names == [*(f"dokuei/{part}:{version}" for part in parts), *models]


def test_images_for_gpus_are_built_only_when_they_are_named() -> None:
    available = images(ROOT)
    assert {image.name for image in available} - {image.name for image in chosen(available, [])} == {
        "model-server-gpu",
        "torchserve-gpu",
    }
    assert [image.target for image in chosen(available, ["torchserve-gpu"])] == ["torchserve-gpu"]
    with pytest.raises(BuildError, match=r"no image moodality; there are router, model-server, "):
        chosen(available, ["moodality"])


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_every_builder_gets_the_same_build(builder: str) -> None:
    command = build_command(
        builder, Path("f"), Path(), "dokuei/x:1", target="t", arguments={"BASE": "b"}, secrets={"pip": Path("p")}
    )
    assert command[0] == builder
    joined = " ".join(command)
    for part in ("--file f", "--tag dokuei/x:1", "--target t", "--build-arg BASE=b", "--secret id=pip,src=p"):
        assert part in joined
    assert command[-1] == "."
    assert "oci" in " ".join(export_command(builder, "dokuei/x:1", Path("x.tar"))) or builder == "docker"


def test_every_working_copy_gives_the_same_context(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "handlers" / "__pycache__").mkdir(parents=True)
    (root / ".dockerignore").write_text("# comment\n*\n!handlers\n!model-store/*/card.yaml\n**/__pycache__\n")
    (root / "model-store" / "modality").mkdir(parents=True)
    for name in ("handlers/server.py", "handlers/__pycache__/server.pyc", "model-store/modality/card.yaml", "secret"):
        (root / name).write_text(name)
    context.copy(root, tmp_path / "context")
    copied = [path for path in (tmp_path / "context").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "context")) for path in copied} == {
        "handlers/server.py",
        "model-store/modality/card.yaml",
    }
    assert {path.stat().st_mtime for path in (tmp_path / "context").rglob("*")} == {context.TIME}


def test_a_builder_that_does_not_answer_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, status in (("docker", 1), ("podman", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_builder(None) == "podman"
    with pytest.raises(BuildError, match="docker answers"):
        choose_builder("docker")
    (tmp_path / "podman").unlink()
    with pytest.raises(BuildError, match="none of docker, podman, buildah answers"):
        choose_builder(None)


def test_the_build_knows_the_machines_pip() -> None:
    listed = (
        "global.index-url='https://u:p%40@mirror.example/simple'\n:env:.default-timeout='180'\n:env:.no-input='1'\n"
    )
    parser = configparser.RawConfigParser()
    parser.read_string(pip_configuration(listed, certificates=True))
    assert dict(parser["global"]) == {
        "index-url": "https://u:p%40@mirror.example/simple",
        "timeout": "180",
        "cert": "/run/secrets/certificates",
    }
    assert "cert" not in pip_configuration("", certificates=False)


def test_uv_takes_packages_from_where_pip_would() -> None:
    listed = (
        ":env:.cert='/etc/ssl/ca.pem'\n"
        "global.cert='/etc/ssl/other.pem'\n"
        "global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'\n"
        "global.find-links='/opt/wheels\\nhttps://wheels.example/'\n"
        "global.index-url='https://u:p%40@mirror.example/simple'\n"
        "install.no-compile='true'\n"
        "list.format='json'\n"
    )
    assert environment(listed) == {
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
        "UV_DEFAULT_INDEX": "https://u:p%40@mirror.example/simple",
        "UV_FIND_LINKS": "/opt/wheels,https://wheels.example/",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_the_base_comes_from_the_mirrors_of_apt() -> None:
    targets = (
        "Debian http://mirror.example/debian/ bookworm main\n"
        "Debian http://mirror.example/debian/ bookworm contrib\n"
        "Debian http://mirror.example/debian-security/ bookworm-security main\n"
        "Other http://other.example/ bookworm main\n"
        " http://flat.example/ ./ \n"
    )
    assert sources(targets) == {
        "bookworm": "http://mirror.example/debian/",
        "bookworm-security": "http://mirror.example/debian-security/",
    }
    with pytest.raises(BuildError, match="no mirror of Debian bookworm"):
        sources("Debian http://mirror.example/debian/ trixie main\n")


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def image_file(tmp_path: Path) -> tuple[Path, str, int]:
    """An OCI archive of two layers, its digest, and its compressed size."""
    older = json.dumps({"components": []}).encode()
    newer = json.dumps({"specVersion": "1.6", "components": [{"name": "numpy"}], "metadata": {"tools": 1}}).encode()
    layers = [
        gzip.compress(tarred({"./var/lib/dpkg/status": STATUS.encode(), "opt/dokuei/sbom.cdx.json": older})),
        gzip.compress(tarred({"opt/dokuei/sbom.cdx.json": newer, "opt/dokuei/other": b"x"})),
    ]
    blobs = [json.dumps({"config": {"User": "65532:65532"}}).encode(), *layers]
    described = [{"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)} for blob in blobs]
    manifest = json.dumps({"config": described[0], "layers": described[1:]}).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    files = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (*blobs, manifest)}
    files["index.json"] = json.dumps({"manifests": [{"digest": digest}]}).encode()
    (tmp_path / "image.tar").write_bytes(tarred(files))
    return tmp_path / "image.tar", digest, sum(map(len, blobs))


def test_an_archive_tells_digest_size_and_contents(image_file: tuple[Path, str, int]) -> None:
    file, digest, size = image_file
    contents = archive.read(file)
    assert (contents.digest, contents.compressed_bytes) == (digest, size)
    assert contents.config["config"]["User"] == "65532:65532"
    assert [package["Package"] for package in contents.packages] == ["libc6"]


def test_a_bill_lists_model_python_and_debian(image_file: tuple[Path, str, int]) -> None:
    bill = archive.bill(archive.read(image_file[0]), "dokuei/x", "1", [{"name": "modality"}])
    assert [component["name"] for component in bill["components"]] == ["modality", "numpy", "libc6"]
    assert bill["components"][-1]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"
    assert bill["metadata"]["component"]["name"] == "dokuei/x"
    assert bill["metadata"]["tools"] == 1
