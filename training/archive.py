"""Write a model archive with torch-model-archiver, byte for byte the same for the same graph, handler and card.

python -m training.archive chest-xray-pneumonia     # renew the archive after an edit of its card or handler
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

import handlers
from handlers.contract.archive import GRAPH_FILE, MANIFEST_FILE, load_model
from handlers.contract.card import CARD_FILE, load_card
from handlers.contract.errors import DokueiError, GoldenError
from handlers.contract.golden import GOLDEN_FILE
from handlers.server import load_handler

from .record import RECORD_FILE

HANDLERS = {"classification": "classifier.py", "segmentation": "segmenter.py", "modality": "modality.py"}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment a zip can hold, instead of the time of packing."""


def write_archive(folder: Path, graph: Path, golden: Path | None = None) -> Path:
    """Pack `graph`, the handler of the card's task, card and training record of `folder` into `folder/<name>.mar`.

    Args:
        golden: the golden set, where the card names one.

    Returns:
        The archive's path.

    Raises:
        GoldenError: handler and graph do not answer as the golden set says; the archive stays as it was.
        CardError, ArchiveError: card, graph and golden set do not belong together.
    """
    card = load_card(folder)
    # A graph that was not trained here has no record.
    extra = [folder / CARD_FILE, *folder.glob(RECORD_FILE), *([golden] if golden else [])]
    with tempfile.TemporaryDirectory() as temporary:
        generate_model_archive(
            ModelArchiverConfig(
                model_name=card.name,
                version=card.version,
                handler=str(Path(handlers.__file__).with_name(HANDLERS[card.task])),
                serialized_file=str(graph),
                extra_files=",".join(map(str, extra)),
                export_path=temporary,
            )
        )
        archive = folder / card.archive_name
        partial = archive.with_suffix(".partial")
        _normalise(Path(temporary) / card.archive_name, partial)
        if golden is not None:
            try:
                load_handler(partial)
            except GoldenError as error:
                partial.unlink()
                raise GoldenError(
                    f"{error}; where that is meant, give the card another version and run `make golden-{card.name}`"
                ) from error
        partial.replace(archive)
    load_model(folder)
    return archive


@contextmanager
def members(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Graph and golden set (None where it holds none) of the archive in `folder`, as files until it is left."""
    card = load_card(folder)
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(folder / card.archive_name) as packed:
        golden = GOLDEN_FILE in packed.namelist()
        yield (
            Path(packed.extract(GRAPH_FILE, temporary)),
            Path(packed.extract(GOLDEN_FILE, temporary)) if golden else None,
        )


def write_digest(card_file: Path, part: Literal["graph", "golden"], file: Path) -> None:
    """Write the digest of one of the archive's members into a card, leaving its comments and order as they are."""
    text = card_file.read_text(encoding="utf-8")
    entry = f"{part}:\n  sha256: {hashlib.sha256(file.read_bytes()).hexdigest()}\n"
    renewed, found = re.subn(rf"^{part}:\n(?:[ ]+.*\n)+", entry, text, flags=re.MULTILINE)
    card_file.write_text(renewed if found else text.rstrip("\n") + "\n" + entry, encoding="utf-8")


def _normalise(source: Path, to: Path) -> None:
    """Copy a zip without what differs from one packing to the next: times, order, modes, and the manifest's date."""
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as clean:
        for name in sorted(member for member in packed.namelist() if not member.endswith("/")):
            content = packed.read(name)
            if name == MANIFEST_FILE:
                manifest = json.loads(content)
                del manifest["createdOn"]
                content = json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            clean.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=6)


def main() -> None:
    """Renew the archive of one model around the graph and the golden set it already holds."""
    parser = argparse.ArgumentParser(prog="python -m training.archive", description="Renew one model's archive.")
    parser.add_argument("model", help="name of a folder in model-store/")
    folder = Path("model-store") / parser.parse_args().model
    with members(folder) as (graph, golden):
        print(f"wrote {write_archive(folder, graph, golden)}")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
