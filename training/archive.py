"""Write a model archive with torch-model-archiver, byte for byte the same for the same graph, handler and card.

python -m training.archive chest-xray-pneumonia     # renew the archive after an edit of its card or handler
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

import handlers
from handlers.contract.archive import GRAPH_FILE, MANIFEST_FILE, load_model
from handlers.contract.card import CARD_FILE, load_card
from handlers.contract.errors import DokueiError

from .record import RECORD_FILE

HANDLERS = {"classification": "classifier.py", "segmentation": "segmenter.py", "modality": "modality.py"}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment a zip can hold, instead of the time of packing."""


def write_archive(folder: Path, graph: Path) -> Path:
    """Pack `graph`, the handler of the card's task, card and training record of `folder` into `folder/<name>.mar`.

    Returns:
        The archive's path.
    """
    card = load_card(folder)
    # A graph that was not trained here has no record.
    extra = [folder / CARD_FILE, *folder.glob(RECORD_FILE)]
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
        partial.replace(archive)
    load_model(folder)
    return archive


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
    """Renew the archive of one model around the graph it already holds."""
    parser = argparse.ArgumentParser(prog="python -m training.archive", description="Renew one model's archive.")
    parser.add_argument("model", help="name of a folder in model-store/")
    folder = Path("model-store") / parser.parse_args().model
    card = load_card(folder)
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(folder / card.archive_name) as packed:
        print(f"wrote {write_archive(folder, Path(packed.extract(GRAPH_FILE, temporary)))}")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
