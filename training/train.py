"""Train one model on all folds of a data folder but one: from images to weights.

    python -m training.train chest-xray-pneumonia                 # or: make train-chest-xray-pneumonia
    python -m training.train brain-mri-tumour --data /mnt/data    # another data folder
    python -m training.train modality --epochs 2 --fresh          # shorter, and not from where the last run stopped
    python -m training.train chest-xray-pneumonia --experiment no-label-smoothing       # one row of the ablation table

An interrupted run goes on from its last whole epoch. Under build/training/<model>/fold-<n> (an experiment, or other
epochs than the recipe's, have a folder of their own; --out names another) it leaves

    checkpoint.pt      everything needed to go on
    weights.pt         the averaged weights, rounded to fp16: what `training.export` exports
    predictions.npz    what these weights say of the fold that was held out
    training.json      arguments, data, code, package versions, the loss of each epoch, and the held-out figures
    curve.png          the loss over the epochs
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, RandomSampler
from tqdm import tqdm

from handlers.contract.card import Card, load_card
from handlers.contract.errors import DokueiError

from . import record
from .datasets import FOLDS, Balanced, Images
from .networks import EXAMPLES, KindClassifier, build
from .predictions import AS_IS, SIMILARITY, predict, save
from .recipes import RECIPES, Recipe, experiments, recipe_of

IMAGENET = Path("pretrained/tf_efficientnetv2_b0_imagenet.pth")
OUT = Path("build/training")
WEIGHTS_FILE = "weights.pt"
PREDICTIONS_FILE = "predictions.npz"
SEED = 20


@dataclass(frozen=True)
class Arguments:
    """What a run depends on; a checkpoint of other arguments is refused."""

    model: str
    data: str
    experiment: str | None
    fold: int
    epochs: int
    seed: int
    workers: int
    """Loader processes, each of which draws random numbers of its own."""

    @classmethod
    def of(
        cls, model: str, data: str, experiment: str | None = None, fold: int = 0, epochs: int | None = None,
        seed: int = SEED, workers: int = 0,
    ) -> Arguments:  # fmt: skip
        """Arguments of a run that does not say more than it has to."""
        epochs = epochs or recipe_of(model, experiment).epochs
        return cls(model, data, experiment, fold, epochs, seed, workers)

    @property
    def folder(self) -> Path:
        """Where the run keeps its files, unless told otherwise; one of other epochs than the recipe's, apart."""
        usual = recipe_of(self.model, self.experiment).epochs
        length = "" if self.epochs == usual else f"{self.epochs}-epochs"
        return OUT / self.model / (self.experiment or "") / length / f"fold-{self.fold}"


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The option of every command that trains; a GPU waits for one process that augments."""
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that augment images, for each training (default: none but it)"
    )


def again(command: str, given: argparse.Namespace) -> str:
    """How the same trainings are asked for, for a report."""
    workers = f" WORKERS={given.workers}" if given.workers else ""
    return f"make {command}-{given.model} DATA={given.data}{workers}"


def parse_arguments() -> tuple[Arguments, Path, bool]:
    """The command line: arguments, output folder, and whether to start afresh."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train one model of the model store.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", default="../shared/data", help="folder of training images (default: %(default)s)")
    parser.add_argument("--out", type=Path, help=f"default: a folder for these arguments in {OUT}/<model>")
    parser.add_argument("--fold", type=int, default=0, choices=range(FOLDS), help="held out (default: %(default)s)")
    parser.add_argument("--experiment", help="a file of training/experiments/<model>/, without .py")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    add_workers(parser)
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint of an interrupted run")
    given = parser.parse_args()
    if given.experiment is not None and given.experiment not in experiments(given.model):
        parser.error(f"--experiment of {given.model} is one of: {', '.join(experiments(given.model)) or 'none'}")
    arguments = Arguments.of(
        given.model, given.data, given.experiment, given.fold, given.epochs, given.seed, given.workers
    )
    return arguments, given.out or arguments.folder, given.fresh


def load_split(arguments: Arguments, recipe: Recipe) -> tuple[Images, Images, Card]:
    """Training images, augmented; those of the held-out fold; and the card, at the recipe's size."""
    card = recipe.at_its_size(load_card(Path("model-store") / arguments.model))
    train, validation = recipe.load(Path(arguments.data), card, arguments.seed).split(arguments.fold, recipe.augment)
    return train, validation, card


def loader_of(train: Images, recipe: Recipe, workers: int) -> DataLoader[Any]:
    """Batches of an epoch, drawn as the recipe says."""
    sampler = Balanced(train.classes) if recipe.balanced else RandomSampler(train)
    return DataLoader(train, recipe.batch_size, sampler=sampler, drop_last=True, num_workers=workers)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 arithmetic; a CPU without it emulates it, ten times slower than float32."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()


def keep_depthwise_in_float32(network: nn.Module) -> None:
    """Leave a network's depthwise convolutions out of autocast.

    A CPU has no fast bfloat16 kernel for them: with this a step of EfficientNetV2-B0 takes 0.73 of the time.
    """

    def forward(convolution: nn.Conv2d, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, enabled=False):
            return type(convolution).forward(convolution, pixels.float()).to(pixels.dtype)

    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = functools.partial(forward, module)  # type: ignore[method-assign]


def main() -> None:
    """Train, or go on training, and write weights, predictions, record and curve."""
    arguments, out, fresh = parse_arguments()
    recipe = recipe_of(arguments.model, arguments.experiment)
    data = Path(arguments.data)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    train, validation, card = load_split(arguments, recipe)
    print(f"{len(train)} training and {len(validation)} validation images on {device}; no patient is in both")
    known = record.of_a_run(asdict(arguments), recipe.described(), train)
    network = build(card)
    if not (data / IMAGENET).is_file():
        raise SystemExit(f"{data / IMAGENET} is missing: the training starts from these ImageNet weights")
    network.load_imagenet(data / IMAGENET)
    network.to(device).to(memory_format=torch.channels_last)
    ema = get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    if device.type == "cpu":  # After the copy, whose convolutions would be bound to this network's.
        keep_depthwise_in_float32(network)

    loader = loader_of(train, recipe, arguments.workers)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=0.02, fused=True)
    steps = arguments.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.15)
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
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_in_bfloat16(device)):
                logits = network(pixels.to(device))
            loss = recipe.loss(logits.float(), target.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}")
        history.append({"loss": float(np.mean(losses)), "seconds": time.monotonic() - started})
        print(f"epoch {epoch + 1} of {arguments.epochs}: {_line(history[-1])}", flush=True)
        _replace(
            checkpoint,
            {name: part.state_dict() for name, part in parts.items()}
            | {"arguments": asdict(arguments), "history": history},
        )

    # What is stored as fp16 must be what was measured.
    final = averaged.module
    with torch.no_grad():
        for parameter in final.parameters():
            parameter.copy_(parameter.half().float())
    seen = recipe.seen(validation)
    views = {name: predict(final, images) for name, images in seen.items()}
    held_out = {name: recipe.figures(seen[name], logits, card) for name, logits in views.items()}
    if isinstance(final, KindClassifier):
        remember(final, train, card, arguments.seed)
        views[SIMILARITY] = predict(final, validation, final.similarity)
    _replace(out / WEIGHTS_FILE, final.state_dict())
    save(out / PREDICTIONS_FILE, validation, views)
    known |= {"held_out": held_out, "history": history}
    (out / record.RECORD_FILE).write_text(json.dumps(known, indent=1) + "\n")
    plot(history, out / "curve.png")
    print(f"final: held out {_line(held_out[AS_IS])}")
    print(f"wrote {', '.join(sorted(file.name for file in out.iterdir()))} in {out}")


def remember(network: KindClassifier, learned: Images, card: Card, seed: int) -> None:
    """Keep the features of some of the images learned from, as many of each kind that a model accepts."""
    random = np.random.default_rng(seed)
    kinds = [number for number, label in enumerate(card.labels) if label != "other"]
    chosen = []
    for kind, count in zip(kinds, np.diff(np.linspace(0, EXAMPLES, len(kinds) + 1).astype(int)), strict=True):
        members = np.flatnonzero(learned.targets == kind)
        chosen.append(random.choice(members, count, replace=len(members) < count))
    described = predict(network, learned.choose(np.concatenate(chosen)), network.described)
    network.examples.copy_(torch.from_numpy(described).half())  # Rounded as the weights are.


def plot(history: list[dict[str, float]], to: Path) -> None:
    """Loss over the epochs, as PNG."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    axes.plot(range(1, len(history) + 1), [row["loss"] for row in history], marker="o")
    axes.set(xlabel="epoch", title="training loss")
    axes.grid(alpha=0.3)
    figure.savefig(to, dpi=120)
    pyplot.close(figure)


def _line(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


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
