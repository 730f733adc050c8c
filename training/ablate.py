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
import subprocess
import sys
from pathlib import Path
from typing import Any

from handlers.contract.errors import DokueiError

from . import record
from .recipes import EXPERIMENTS, RECIPES, experiments
from .train import OUT

FOLD = 0


def train(model: str, experiment: str | None, data: str) -> dict[str, Any]:
    """The record of one run, trained now unless it was before."""
    file = OUT / model / (experiment or "") / f"fold-{FOLD}" / record.RECORD_FILE
    if not file.is_file():
        print(f"{experiment or 'the recipe itself'}:", flush=True)
        command = [sys.executable, "-m", "training.train", model, "--data", data, "--fold", str(FOLD)]
        done = subprocess.run([*command, *(["--experiment", experiment] if experiment else [])])
        if done.returncode:
            raise SystemExit(f"the training of {experiment} failed; the same command goes on from here")
    known: dict[str, Any] = json.loads(file.read_text())
    return known


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
    parser.add_argument("model", choices=sorted(model for model in RECIPES if experiments(model)))
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    given = parser.parse_args()
    rows = [{"what": "the recipe", "held_out": train(given.model, None, given.data)["held_out"]}]
    for experiment in experiments(given.model):
        what = runpy.run_path(str(EXPERIMENTS / given.model / f"{experiment}.py"))["__doc__"].strip()
        held_out = train(given.model, experiment, given.data)["held_out"]
        rows.append({"what": f"`{experiment}`: {what}", "held_out": held_out})
    out = Path("model-store") / given.model
    lines = [f"# {given.model}: what each part of the recipe does", ""]
    lines += [
        f"Each row is one training, measured on the images of fold {FOLD}, which it did not see, uncalibrated. One run "
        "a row: differences smaller than the intervals in CROSS-VALIDATION.md may be chance.",
        "",
        f"Again: `make ablate-{given.model} DATA={given.data}`",
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
