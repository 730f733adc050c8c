"""The model archive (`.mar`): a zip of graph, handler and card, read the same way by both model servers.

The format is torch-model-archiver's: `MAR-INF/MANIFEST.json` names the handler and the serialised graph.
`training.archive` writes archives; this module only reads and verifies them.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .card import CARD_FILE, Card, Member, load_card, parse_card
from .errors import ArchiveError
from .golden import GOLDEN_FILE

GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "MAR-INF/MANIFEST.json"


@dataclass(frozen=True)
class UnpackedModel:
    """A verified model in a folder, as TorchServe and the light server unpack it.

    Attributes:
        golden: the golden set; None where the card names none.
    """

    card: Card
    graph: Path
    handler: Path
    golden: Path | None


def find_archive(path: Path) -> Path:
    """The archive at `path`: the file itself, or the only one in a folder (KServe mounts /mnt/models).

    Raises:
        ArchiveError: nothing is there, or the folder does not hold exactly one.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ArchiveError(f"{path}: there is no such archive or folder")
    archives = sorted(path.glob("*.mar"))
    if len(archives) != 1:
        names = ", ".join(archive.name for archive in archives) or "none"
        raise ArchiveError(f"{path}: the folder has to hold exactly one archive (.mar), and holds {names}")
    return archives[0]


def unpack(archive: Path, folder: Path) -> UnpackedModel:
    """Unpack `archive` into the empty `folder` and verify it.

    Raises:
        ArchiveError: missing, not a zip, a member outside `folder`, or as `verify`.
        CardError: the card inside cannot be used.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.namelist():
                if not (folder / member).resolve().is_relative_to(folder.resolve()):
                    raise ArchiveError(f"{archive}: member {member!r} lies outside the archive")
            zipped.extractall(folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArchiveError(f"{archive}: the archive cannot be unpacked: {error}") from error
    return verify(folder)


def verify(folder: Path) -> UnpackedModel:
    """Verify an unpacked archive: manifest, card, and the digests of graph and golden set.

    Raises:
        ArchiveError: a part is missing, or its SHA-256 is not the one in the card.
        CardError: the card cannot be used.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
        handler = folder / manifest["model"]["handler"]
        graph = folder / manifest["model"]["serializedFile"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{folder / MANIFEST_FILE}: the manifest cannot be read: {error!r}") from error
    for part in (handler, graph):
        if not part.resolve().is_relative_to(folder.resolve()):
            raise ArchiveError(f"{folder / MANIFEST_FILE}: {part} lies outside the archive")
    card = load_card(folder / CARD_FILE)
    if not handler.is_file():
        raise ArchiveError(f"{handler}: the handler that {MANIFEST_FILE} names is missing")
    if not graph.is_file():
        raise ArchiveError(f"{graph}: the graph that {MANIFEST_FILE} names is missing")
    _compare(card, "graph", graph.read_bytes(), graph)
    if card.golden is None:
        return UnpackedModel(card, graph, handler, golden=None)
    golden = folder / GOLDEN_FILE
    if not golden.is_file():
        raise ArchiveError(f"{golden}: the golden set that the card names is missing")
    _compare(card, "golden", golden.read_bytes(), golden)
    return UnpackedModel(card, graph, handler, golden)


def load_model(folder: Path) -> tuple[Card, Path]:
    """Read one model of the model store: `folder/card.yaml` and the archive beside it.

    Returns:
        The card and the path of its archive.

    Raises:
        CardError: the card cannot be used, or is not in a folder of its own name.
        ArchiveError: the archive is missing, damaged, or made from another card or graph.
    """
    card = load_card(folder)
    source = folder / CARD_FILE
    archive = folder / card.archive_name
    if card.name != folder.name:
        raise ArchiveError(f"{source}: name is {card.name!r}, and the folder is {folder.name!r}; they have to agree")
    if not archive.is_file():
        raise ArchiveError(f"{archive}: the archive of {source} is missing; `make export-{card.name}` writes it")
    try:
        with zipfile.ZipFile(archive) as zipped:
            inside = parse_card(zipped.read(CARD_FILE).decode(), f"{archive}!{CARD_FILE}")
            graph = zipped.read(GRAPH_FILE)
            golden = zipped.read(GOLDEN_FILE) if card.golden is not None else b""
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{archive}: the archive cannot be read: {error}") from error
    _compare(card, "graph", graph, f"{archive}!{GRAPH_FILE}")
    if card.golden is not None:
        _compare(card, "golden", golden, f"{archive}!{GOLDEN_FILE}")
    for field in Card.model_fields:
        if getattr(inside, field) != getattr(card, field):
            raise ArchiveError(
                f"{archive}!{CARD_FILE}: field {field} is not the one of {source}; `make export-{card.name}` renews it"
            )
    return card, archive


def load_models(store: Path) -> list[tuple[Card, Path]]:
    """Read every model of the model store, by name; returns and raises as `load_model`."""
    return [load_model(file.parent) for file in sorted(store.glob(f"*/{CARD_FILE}"))]


def _compare(card: Card, part: Literal["graph", "golden"], content: bytes, file: Path | str) -> None:
    expected: Member | None = getattr(card, part)
    if expected is None:
        raise ArchiveError(f"{file}: the card has no {part}.sha256; `make export-{card.name}` writes it")
    digest = hashlib.sha256(content).hexdigest()
    if expected.sha256 != digest:
        raise ArchiveError(
            f"{file}: SHA-256 is {digest}, and {part}.sha256 of the card is {expected.sha256}; "
            "it is not the one the card describes"
        )
