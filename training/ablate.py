"""What each part of a recipe does: train without it, and compare on the first fold.

    python -m training.ablate chest-xray-pneumonia       # or: make ablate-chest-xray-pneumonia

The first fold of the X-rays is the one that is nearest to the official test folder, see `datasets.chest_xray_folds`.
Runs that are there already are not repeated, and an interrupted one goes on. It writes

    model-store/<model>/ABLATION.md and ABLATION.json
"""

from __future__ import annotations

import argparse
import json
import runpy
from pathlib import Path
from typing import Any

from handlers.contract.errors import DokueiError

from .recipes import EXPERIMENTS, RECIPES, experiments
from .runs import train_all
from .train import Arguments, add_workers, again

FOLD = 0


def table(rows: list[dict[str, Any]], view: str) -> list[str]:
    """A Markdown table of one view: the recipe's own figures first, then the others' with their difference from it."""
    names = list(rows[0]["held_out"][view])
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    base = rows[0]["held_out"][view]
    for row in rows:
        cells = [
            f"{value:.4f}" + ("" if row is rows[0] else f" ({value - base[name]:+.4f})")
            for name, value in row["held_out"][view].items()
        ]
        lines.append(f"| {row['what']} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Train and compare all experiments of one model."""
    parser = argparse.ArgumentParser(prog="python -m training.ablate", description="Compare a recipe's parts.")
    parser.add_argument(
        "model", choices=sorted(model for model in RECIPES if experiments(model) and model != "modality")
    )
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    add_workers(parser)
    given = parser.parse_args()
    names = experiments(given.model)
    recipe, *others = train_all(
        [Arguments.of(given.model, given.data, name, FOLD, workers=given.workers) for name in [None, *names]]
    )
    rows = [{"what": "the recipe", "held_out": recipe["held_out"]}]
    for name, known in zip(names, others, strict=True):
        what = runpy.run_path(str(EXPERIMENTS / given.model / f"{name}.py"))["__doc__"].strip()
        rows.append({"what": f"`{name}`: {what}", "held_out": known["held_out"]})
    out = Path("model-store") / given.model
    lines = [f"# {given.model}: what each part of the recipe does", ""]
    lines += [
        f"Each row is one training of the recipe's {RECIPES[given.model].epochs} epochs, measured on the images of "
        f"fold {FOLD}, which it did not see, uncalibrated. One run a row: differences smaller than the intervals in "
        "CROSS-VALIDATION.md may be chance, and epochs that draw every image are longer than balanced ones.",
        "",
        f"Again: `{again('ablate', given)}`",
        "",
    ]
    for view in rows[0]["held_out"]:
        lines += [f"## {view.capitalize()}", "", *table(rows, view), ""]
    (out / "ABLATION.md").write_text("\n".join(lines), encoding="utf-8")
    (out / "ABLATION.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {out / 'ABLATION.md'} and ABLATION.json")


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
