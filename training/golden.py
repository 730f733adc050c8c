"""The golden set of an archive: synthetic images, and what the archive's handler answers to them here.

    python -m training.golden chest-xray-pneumonia      # or: make golden-chest-xray-pneumonia

The images are drawn by the formulas of the portal's samples: of no patient, and yet lungs and a brain with a lesion.
Every label is among the answers; a chest is called pneumonia where its lungs are blurred. `make export-<name>` ends
with this. By itself it is for a handler that is meant to answer otherwise than before, under a new version of the card.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from handlers.contract import golden
from handlers.contract.card import CARD_FILE, Card, load_card
from handlers.contract.errors import DokueiError
from handlers.contract.preprocess import fit, fit_all
from handlers.server import load_handler
from router.samples import samples_with_content
from router.samples.brain import draw_brain
from router.samples.chest import draw_chest

from .archive import members, write_archive, write_digest

SEED = 1977
BLURS = (4, 8)
"""Standard deviations in pixels of the model's input; the answers to these lie between those of the others."""
SLICES = slice(13, 17)
"""Of the drawn brain: the lesion is at its largest."""


def images_for(card: Card) -> NDArray[np.uint8]:
    """Images as the card's input takes them: of what the model accepts; for a modality model, of each kind."""
    chests = [_grey(draw_chest(opacity)) for opacity in (False, True)]
    brains = [_grey(image) for image in draw_brain(np.random.default_rng(SEED))[SLICES]]
    if card.accepts is None:
        (other,) = [content for sample, content in samples_with_content() if sample.modality == "other"]
        picture = np.asarray(Image.open(io.BytesIO(other)).convert("RGB"))
        return fit_all([*chests, *brains, picture], card.input)
    if card.accepts.modality == "brain-mri":
        return fit_all(brains, card.input)
    clear = Image.fromarray(fit(chests[0], card.input))
    blurred = [np.asarray(clear.filter(ImageFilter.GaussianBlur(radius))) for radius in BLURS]
    return np.stack([*fit_all(chests, card.input), *blurred])


def _grey(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return (values >> 4).astype(np.uint8)  # They are drawn with 12 bits.


def compute(folder: Path, graph: Path) -> golden.Golden:
    """What the handler of the card in `folder` answers here, with `graph`.

    Raises:
        CardError, ArchiveError, EvidenceError: they cannot be served.
    """
    card = load_card(folder).model_copy(update={"golden": None})
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        place = Path(temporary) / folder.name
        place.mkdir()
        (place / CARD_FILE).write_text(yaml.safe_dump(card.model_dump(exclude_none=True), allow_unicode=True))
        handler = load_handler(write_archive(place, graph))
    images = images_for(card)
    return golden.Golden(images, handler.predict(images))


def write_archive_with_golden(folder: Path, graph: Path) -> Path:
    """Compute the golden set, write its digest into the card of `folder`, and pack all; gives the archive.

    Raises:
        CardError, ArchiveError, EvidenceError: as `compute`.
    """
    known = compute(folder, graph)
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        file = Path(temporary) / golden.GOLDEN_FILE
        golden.write(known, file)
        write_digest(folder / CARD_FILE, "golden", file)
        return write_archive(folder, graph, file)


def main() -> None:
    """Renew the golden set of one model."""
    parser = argparse.ArgumentParser(prog="python -m training.golden", description="Renew one model's golden set.")
    parser.add_argument("model", help="name of a folder in model-store/")
    folder = Path("model-store") / parser.parse_args().model
    with members(folder) as (graph, _):
        print(f"wrote {write_archive_with_golden(folder, graph)}")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
