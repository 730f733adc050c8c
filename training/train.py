"""Train one model: from a data folder to weights.

    python -m training.train chest-xray-pneumonia                 # or: make train-chest-xray-pneumonia
    python -m training.train brain-mri-tumour --data /mnt/data    # another data folder
    python -m training.train modality --epochs 2 --fresh          # shorter, and not from where the last run stopped

An interrupted run goes on from its last whole epoch. Under --out it leaves

    checkpoint.pt    everything needed to go on
    weights.pt       the averaged weights, rounded to fp16: what `training.export` exports
    metrics.json     arguments, data, package versions, and the figures of each epoch
    curves.png       loss and figures over the epochs
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from handlers.contract.card import load_card
from handlers.contract.errors import DokueiError

from .networks import build
from .recipes import RECIPES, Recipe

IMAGENET = Path("pretrained/tf_efficientnetv2_b0_imagenet.pth")
EMA_DECAY = 0.99


@dataclass(frozen=True)
class Arguments:
    """What a run depends on; a checkpoint of other arguments is refused."""

    model: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


def parse_arguments() -> tuple[Arguments, Path, bool, int]:
    """The command line: arguments, output folder, whether to start afresh, and loader processes."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train one model of the model store.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="default: build/training/<model>")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--learning-rate", type=float, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="processes that augment images (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint of an interrupted run")
    given = parser.parse_args()
    recipe = RECIPES[given.model]
    arguments = Arguments(
        model=given.model,
        data=given.data,
        epochs=given.epochs or recipe.epochs,
        batch_size=given.batch_size or recipe.batch_size,
        learning_rate=given.learning_rate or recipe.learning_rate,
        seed=given.seed,
    )
    return arguments, given.out or Path("build/training") / given.model, given.fresh, given.workers


def main() -> None:
    """Train, or go on training, and write weights, metrics and curves."""
    arguments, out, fresh, workers = parse_arguments()
    recipe = RECIPES[arguments.model]
    card = load_card(Path("model-store") / arguments.model)
    data = Path(arguments.data)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    train, validation = recipe.load(data, card, arguments.seed, recipe.augment)
    print(f"{len(train)} training and {len(validation)} validation images on {device}; no patient is in both")
    network = build(card)
    if not (data / IMAGENET).is_file():
        raise SystemExit(f"{data / IMAGENET} is missing: the training starts from these ImageNet weights")
    network.load_imagenet(data / IMAGENET)
    network.to(device)
    ema = get_ema_multi_avg_fn(EMA_DECAY)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)

    loader = DataLoader(train, arguments.batch_size, shuffle=True, drop_last=True, num_workers=workers)
    optimizer = torch.optim.AdamW(network.parameters(), arguments.learning_rate, weight_decay=0.02)
    steps = arguments.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.learning_rate, total_steps=steps, pct_start=0.15
    )
    loss_of = recipe.loss(train)
    history: list[dict[str, float]] = []
    parts = {"network": network, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}

    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not fresh:
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        if saved["arguments"] != asdict(arguments):
            raise SystemExit(f"{checkpoint} is of other arguments ({saved['arguments']}); --fresh forgets it")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        history = saved["history"]
        print(f"going on after epoch {len(history)} of {arguments.epochs}")

    for epoch in range(len(history), arguments.epochs):
        # A seed of its own for each epoch: a resumed run sees the images an uninterrupted one would.
        torch.manual_seed(arguments.seed * 1000 + epoch)
        started = time.monotonic()
        network.train()
        losses = []
        bar = tqdm(loader, desc=f"epoch {epoch + 1}/{arguments.epochs}", unit="batch", mininterval=2)
        for pixels, target in bar:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = network(pixels.to(device))
            loss = loss_of(logits.float(), target.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}")
        figures = recipe.figures(averaged.module, validation, card, arguments.batch_size)
        history.append({"loss": float(np.mean(losses)), **figures, "seconds": time.monotonic() - started})
        print(f"epoch {epoch + 1}: loss {history[-1]['loss']:.4f}, validation {_line(figures)}", flush=True)
        _replace(
            checkpoint,
            {name: part.state_dict() for name, part in parts.items()}
            | {"arguments": asdict(arguments), "history": history},
        )

    # What is stored as fp16 must be what was measured, so the last figures are those of the rounded weights.
    final = averaged.module
    with torch.no_grad():
        for parameter in final.parameters():
            parameter.copy_(parameter.half().float())
    figures = recipe.figures(final, validation, card, arguments.batch_size)
    _replace(out / "weights.pt", final.state_dict())
    record = {
        "arguments": asdict(arguments),
        "images": {"train": len(train), "validation": len(validation), "sha256": _digest(train, validation)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "validation": figures,
        "history": history,
    }
    (out / "metrics.json").write_text(json.dumps(record, indent=2) + "\n")
    plot(history, recipe, out / "curves.png")
    print(f"final: validation {_line(figures)}\nwrote {out}/weights.pt, metrics.json and curves.png")


def plot(history: list[dict[str, float]], recipe: Recipe, to: Path) -> None:
    """Loss and headline figure over the epochs, as PNG."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, key in ((left, "loss"), (right, recipe.headline)):
        axes.plot(epochs, [row[key] for row in history], marker="o")
        axes.set(xlabel="epoch", title={"loss": "training loss"}.get(key, f"validation {key}"))
        axes.grid(alpha=0.3)
    figure.savefig(to, dpi=120)
    pyplot.close(figure)


def _line(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.pixels.tobytes())
        digest.update(np.ascontiguousarray(part.targets).tobytes())
    return digest.hexdigest()


def _replace(file: Path, content: Any) -> None:
    """Write so that an interruption leaves the old file or the new one, never half of one."""
    partial = file.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(file)


if __name__ == "__main__":
    try:
        main()
    except DokueiError as error:
        raise SystemExit(f"error: {error}") from error
