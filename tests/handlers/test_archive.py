"""An archive holds the repository's handler and card and nothing more, and a damaged one is refused."""

import json
import zipfile
from pathlib import Path

import pytest
from processes import MODELS

from handlers.contract.archive import unpack
from handlers.contract.errors import ArchiveError, CardError

HANDLERS = {"brain-mri-tumour": "segmenter.py", "chest-xray-pneumonia": "classifier.py", "modality": "modality.py"}


@pytest.mark.parametrize("name", MODELS)
def test_a_committed_archive_holds_the_handler_and_the_card_of_the_repository(
    repository: Path, store: Path, name: str
) -> None:
    handler = HANDLERS[name]
    with zipfile.ZipFile(store / name / f"{name}.mar") as archive:
        record = [file.name for file in (store / name).glob("training.json")]
        expected = ["MAR-INF/MANIFEST.json", "card.yaml", "golden.npz", handler, "model.onnx", *record]
        assert sorted(archive.namelist()) == sorted(expected)
        assert archive.read(handler) == (repository / "handlers" / handler).read_bytes()
        assert archive.read("card.yaml") == (store / name / "card.yaml").read_bytes()
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
    assert (manifest["modelName"], manifest["handler"], manifest["serializedFile"]) == (name, handler, "model.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_a_committed_archive_unpacks(store: Path, tmp_path: Path, name: str) -> None:
    model = unpack(store / name / f"{name}.mar", tmp_path)
    assert model.card.name == name
    assert (model.graph, model.handler) == (tmp_path / "model.onnx", tmp_path / HANDLERS[name])


@pytest.fixture
def members(store: Path) -> dict[str, bytes]:
    """The members of a good archive, for a test to damage."""
    with zipfile.ZipFile(store / "modality" / "modality.mar") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(members: dict[str, bytes], folder: Path) -> Path:
    archive = folder / "modality.mar"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return archive


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "a/../../outside.py"])
def test_a_member_outside_the_folder_is_refused_and_nothing_is_written(
    members: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = written({**members, name: b"outside"}, tmp_path)
    with pytest.raises(ArchiveError, match="lies outside the archive") as caught:
        unpack(archive, inside)
    assert repr(name) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == sorted([inside, archive])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 truncated"])
def test_what_is_not_a_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "modality.mar"
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"modality\.mar: the archive cannot be unpacked"):
        unpack(archive, tmp_path / "unpacked")


def test_a_damaged_member_is_refused(store: Path, tmp_path: Path) -> None:
    content = bytearray((store / "modality" / "modality.mar").read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive = tmp_path / "modality.mar"
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"modality\.mar: the archive cannot be unpacked"):
        unpack(archive, tmp_path / "unpacked")


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"none\.mar: the archive cannot be unpacked"):
        unpack(tmp_path / "none.mar", tmp_path)


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("modality.py", r"modality\.py: the handler that .* names is missing"),
        ("model.onnx", r"model\.onnx: the graph that .* names is missing"),
        ("MAR-INF/MANIFEST.json", r"MANIFEST\.json: the manifest cannot be read"),
    ],
)
def test_a_missing_part_is_named(members: dict[str, bytes], tmp_path: Path, member: str, told: str) -> None:
    del members[member]
    with pytest.raises(ArchiveError, match=told):
        unpack(written(members, tmp_path), tmp_path / "unpacked")


def test_a_missing_card_is_named(members: dict[str, bytes], tmp_path: Path) -> None:
    del members["card.yaml"]
    with pytest.raises(CardError, match=r"card\.yaml: the card cannot be read"):
        unpack(written(members, tmp_path), tmp_path / "unpacked")


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"model": {}}', b'{"model": {"handler": 1, "serializedFile": 2}}'])
def test_a_manifest_that_names_no_parts_is_refused(members: dict[str, bytes], tmp_path: Path, manifest: bytes) -> None:
    members["MAR-INF/MANIFEST.json"] = manifest
    with pytest.raises(ArchiveError, match=r"MANIFEST\.json: the manifest cannot be read"):
        unpack(written(members, tmp_path), tmp_path / "unpacked")


@pytest.mark.parametrize("part", ["handler", "serializedFile"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(
    members: dict[str, bytes], tmp_path: Path, part: str
) -> None:
    manifest = json.loads(members["MAR-INF/MANIFEST.json"])
    manifest["model"][part] = __file__
    members["MAR-INF/MANIFEST.json"] = json.dumps(manifest).encode()
    with pytest.raises(ArchiveError, match=r"MANIFEST\.json: .*outside the archive"):
        unpack(written(members, tmp_path), tmp_path / "unpacked")
