"""Look for what makes figures look better than they are: duplicates, leakage between patients, conflicting labels.

    python -m training.quality --data ../shared/data        # or: make data-quality

It reads the files as they are, not as the models see them, and asks the loaders which fold each is in. It writes
`docs/data-quality.md` and `.json`: counts alone, from which no file or patient can be told.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from tqdm import tqdm

from handlers.contract.card import load_card
from handlers.contract.errors import DokueiError

from . import record
from .datasets import SLICE_NUMBER, DataError, chest_xray_patient, digests_of
from .recipes import RECIPES

BITS, CORRELATION = 10, 0.99
"""Chosen on the public sets by eye: the most alike X-rays of two patients correlate at 0.97, slices at 0.98."""
METHOD = f"""Near-duplicates are files of other bytes whose perceptual hashes (64 bits of the discrete cosine transform,
Zauner 2010) differ in at most {BITS} bits, and whose grey 64x64 thumbnails correlate above {CORRELATION}. That finds a
file that was saved again, even as a poor JPEG; copies that were cropped or turned it mostly misses."""
CHUNK = 128
SMALL = 128
BLACK = 16
"""Grey levels below this are background: JPEG leaves up to 7 in most of a slice's black margin."""

Row = tuple[str, int | float | str | dict[str, int], str]
"""What was looked for, what was found, what was done about it."""


@dataclass(frozen=True)
class Scan:
    """One set, file by file. Fold -1: not in training; form: height, width and mode, or None if unreadable."""

    files: list[Path]
    patients: NDArray[np.str_]
    classes: NDArray[np.str_]
    digests: NDArray[np.str_]
    folds: NDArray[np.int64]
    forms: list[tuple[int, int, str] | None]
    hashes: NDArray[np.uint64]
    thumbnails: NDArray[np.float32]


def _fingerprint(picture: Image.Image) -> tuple[int, NDArray[np.float32]]:
    """Hash, and thumbnail of mean 0 and length 1: the product of two is their correlation."""
    grey = picture.convert("L")
    low = dctn(np.asarray(grey.resize((32, 32), Image.Resampling.BILINEAR), np.float32), norm="ortho")[:8, :8].ravel()
    pixels = np.array(grey.resize((64, 64), Image.Resampling.BILINEAR), np.float32).ravel()
    pixels -= pixels.mean()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes()), pixels / max(float(np.linalg.norm(pixels)), 1)


def _folds(model: str, data: Path, seed: int) -> dict[str, int]:
    """Each file's fold in the training of `model`; none where the loader refuses the folder."""
    # Folds do not depend on the size of the images, and small ones take little memory.
    card = replace(RECIPES[model], size=32).at_its_size(load_card(Path("model-store") / model))
    try:
        images = RECIPES[model].load(data, card, seed)
    except (OSError, DataError) as error:
        print(f"the folds of {model} are not known: {error}")
        return {}
    return dict(zip(images.names.tolist(), images.folds.tolist(), strict=True))


def _scan(files: list[Path], told: Callable[[Path], tuple[str, str]], folds: dict[str, int], data: Path) -> Scan:
    forms: list[tuple[int, int, str] | None] = [None] * len(files)
    hashes, thumbnails = np.zeros(len(files), np.uint64), np.zeros((len(files), 64 * 64), np.float32)
    for index, file in enumerate(tqdm(files, desc="comparing files", unit="file")):
        try:
            with Image.open(file) as picture:
                hashes[index], thumbnails[index] = _fingerprint(picture)
                forms[index] = picture.height, picture.width, picture.mode
        except OSError:
            continue
    patients, classes = np.array([told(file) for file in files]).T
    digests = digests_of(files)
    known = np.array([folds.get(file.relative_to(data).as_posix(), -1) for file in files])
    return Scan(files, patients, classes, digests, known, forms, hashes, thumbnails)


def _near_duplicates(scan: Scan) -> NDArray[np.int64]:
    """[2, pairs] the files that are alike but not byte-identical, each pair once."""
    pairs = []
    for start in range(0, len(scan.files), CHUNK):
        bits = np.bitwise_count(scan.hashes[start : start + CHUNK, None] ^ scan.hashes)
        pair = np.add(np.nonzero(bits <= BITS), [[start], [0]])
        first, second = pair[:, (pair[0] < pair[1]) & (scan.digests[pair[0]] != scan.digests[pair[1]])]
        alike = np.einsum("ij,ij->i", scan.thumbnails[first], scan.thumbnails[second]) > CORRELATION
        pairs.append(np.stack([first[alike], second[alike]]))
    return np.concatenate(pairs, axis=1)


def _several(values: NDArray[Any], keys: NDArray[np.str_]) -> int:
    """How many of the keys stand beside more than one value."""
    different = set(zip(keys.tolist(), values.tolist(), strict=True))
    return sum(count > 1 for count in Counter(key for key, _ in different).values())


def _common_checks(scan: Scan) -> list[Row]:
    forms = Counter(f"{form[1]}x{form[0]} {form[2]}" for form in scan.forms if form)
    used = scan.folds >= 0
    first, second = _near_duplicates(scan)
    apart, classes = (values[first] != values[second] for values in (scan.patients, scan.classes))
    leaks = used[first] & used[second] & (scan.folds[first] != scan.folds[second])
    leaking = [_several(scan.folds[used], keys[used]) for keys in (scan.patients, scan.digests)] + [int(leaks.sum())]
    in_folds = leaking if used.any() else ["not known: training refuses the folder"] * 3
    return [
        ("files", len(scan.files), ""),
        ("files by class", dict(sorted(Counter(scan.classes.tolist()).items())), ""),
        ("patients", len(set(scan.patients)), "told by the path; where it tells none, each image counts as one"),
        ("unreadable files", scan.forms.count(None), "training refuses them"),
        ("different sizes and modes", len(forms), "all are fitted to the model's input"),
        ("most frequent sizes and modes", dict(forms.most_common(3)), ""),
        ("patients in several folds", in_folds[0], "would leak"),
        ("byte-identical groups", sum(count > 1 for count in Counter(scan.digests.tolist()).values()), ""),
        ("surplus byte-identical files", len(scan.files) - len(set(scan.digests)), "of X-rays, left out of training"),
        ("byte-identical groups across patients", _several(scan.patients, scan.digests), ""),
        ("byte-identical groups across classes", _several(scan.classes, scan.digests), "a conflict of labels"),
        ("byte-identical groups across folds", in_folds[1], "would leak"),
        ("near-duplicate pairs within a patient", int((~apart).sum()), "expected: a patient is in one fold"),
        ("near-duplicate pairs across patients", int(apart.sum()), "left in"),
        ("near-duplicate pairs across classes", int(classes.sum()), "left in"),
        ("near-duplicate pairs across patients and classes", int((apart & classes).sum()), "left in"),
        ("near-duplicate pairs across folds", in_folds[2], "left in: each may flatter the figures by one image"),
    ]


def _xray_checks(scan: Scan) -> list[Row]:
    folders = np.array([file.parents[1].name for file in scan.files])
    series = np.array([file.name[:2] for file in scan.files])
    causes = np.array([file.name.split("_")[1] if "_" in file.name else "" for file in scan.files])
    numbers = np.array([patient.removeprefix("IM-").removeprefix("person").lstrip("0") for patient in scan.patients])
    return [
        ("byte-identical groups across published train and val", _several(folders, scan.digests), "one is used"),
        ("patients in published train and val", _several(folders, scan.patients), "both are used as one set"),
        ("patients in both classes", _several(scan.classes, scan.patients), ""),
        ("numbers in both `IM-` and `NORMAL2-IM-`", _several(series, scan.patients), "taken for one patient"),
        ("numbers in both `person` and `IM-`", _several(scan.patients.astype("U2"), numbers), "taken for two patients"),
        ("`person` numbers of bacteria and virus", _several(causes, scan.patients), "taken for one patient"),
    ]


def _mask(file: Path) -> NDArray[np.uint8] | None:
    try:
        with Image.open(file.with_name(f"{file.stem}_mask.png")) as picture:
            return np.asarray(picture.convert("L"))
    except OSError:
        return None


def _slice(file: Path) -> tuple[str, str]:
    mask = _mask(file)
    return file.parent.name, "no mask" if mask is None else "tumour" if mask.any() else "no tumour"


def _slice_checks(scan: Scan) -> list[Row]:
    counts: Counter[str] = Counter()
    stacks: dict[str, set[int]] = {patient: set() for patient in scan.patients.tolist()}
    for file, form in zip(tqdm(scan.files, desc="comparing masks", unit="mask"), scan.forms, strict=True):
        stacks[file.parent.name] |= {int(number) for number in SLICE_NUMBER.findall(file.stem)}
        if (mask := _mask(file)) is None or form is None:
            counts["missing"] += mask is None
            continue
        counts.update(grey=len(np.unique(mask)) > 2, size=mask.shape != form[:2])
        if mask.shape == form[:2] and mask.any():
            with Image.open(file) as picture:
                black = np.asarray(picture.convert("RGB")).max(2)[mask > 0] < BLACK
            counts.update(pixels=len(black), black=int(black.sum()), outside=bool(black.mean() > 0.5))
    missing = sum(max(stack) - min(stack) + 1 - len(stack) for stack in stacks.values() if stack)
    tumour = scan.classes == "tumour"
    return [
        ("masks missing or unreadable", counts["missing"], "training refuses them"),
        ("masks of another size than the slice", counts["size"], "fitted to the model's input"),
        ("masks of more than two grey levels", counts["grey"], "cut at 127"),
        ("share of mask pixels where the slice is black", round(counts["black"] / max(counts["pixels"], 1), 4), ""),
        ("masks that are mostly where the slice is black", counts["outside"], ""),
        ("slice numbers missing in stacks", missing, "neighbours are taken in file order"),
        ("patients without any tumour", len(stacks) - len(set(scan.patients[tumour])), ""),
        ("share of slices with tumour", round(float(tumour.mean()), 4), "an epoch draws both kinds equally"),
        ("patients by institution", dict(Counter(patient.split("_")[1] for patient in stacks)), "spread over folds"),
    ]


def _other_checks(scan: Scan) -> list[Row]:
    small = sum(min(form[:2]) < SMALL for form in scan.forms if form)
    return [(f"images below {SMALL} pixels on a side", small, "resolution is augmented for every class alike")]


SETS: dict[str, tuple[str, str, Callable[[Path], tuple[str, str]], Callable[[Scan], list[Row]]]] = {
    "chest-xray/*/*/*.jpeg": (
        "Chest X-rays", "chest-xray-pneumonia", lambda file: (chest_xray_patient(file), file.parent.name), _xray_checks
    ),
    "brain-mri/TCGA_*/*.jpg": ("Brain MRI", "brain-mri-tumour", _slice, _slice_checks),
    "other/*/*": ("Other images", "modality", lambda file: (str(file), file.parent.name), _other_checks),
}  # fmt: skip
"""By pattern: title, the model whose folds count, a file's patient and class, and the set's own checks."""


def inspect(data: Path, seed: int) -> tuple[dict[str, list[Row]], str]:
    """The rows of each set that is in the folder, by title, and one digest of all files of the sets, masks too.

    Raises:
        DataError: none of the sets is there.
    """
    tables = {}
    for pattern, (title, model, told, checks) in SETS.items():
        if files := sorted(data.glob(pattern)):
            scan = _scan(files, told, _folds(model, data, seed), data)
            tables[title] = _common_checks(scan) + checks(scan)
    if not tables:
        raise DataError(f"{data}: holds none of {', '.join(SETS)}")
    known = [file for pattern in SETS for file in data.glob(f"{pattern.partition('/')[0]}/**/*") if file.is_file()]
    return tables, record.digest_of(digests_of(known))


def main() -> None:
    """Inspect a data folder and write the report."""
    parser = argparse.ArgumentParser(prog="python -m training.quality", description="Inspect a folder of images.")
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=20, help="of the folds (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the report (default: %(default)s)")
    given = parser.parse_args()
    tables, digest = inspect(Path(given.data), given.seed)
    command = f"python -m training.quality --data {given.data} --seed {given.seed}"
    origin = f"By `{command}`, on files of digest `{digest}` (SHA-256 of their sorted SHA-256)."
    lines = ["# Data quality", "", origin, "", METHOD]
    for title, rows in tables.items():
        lines += ["", f"## {title}", "", "| check | found | what was done about it |", "|---|---|---|"]
        for check, found, done in rows:
            shown = ", ".join(f"{k} {v}" for k, v in found.items()) if isinstance(found, dict) else found
            lines.append(f"| {check} | {shown} | {done} |")
    sets = {title: {check: found for check, found, _ in rows} for title, rows in tables.items()}
    facts = {"command": command, "data_sha256": digest, "bits": BITS, "correlation": CORRELATION, "sets": sets}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "data-quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (given.out / "data-quality.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
