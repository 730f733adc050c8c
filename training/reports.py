"""Measured figures with their intervals, and the files they are published in: Markdown, JSON and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure as Plot

RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Figure:
    """One figure with its 95 % interval; `count` is how many images, slices or patients it is of."""

    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    unit: str

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" ({self.low:.4f} to {self.high:.4f})"
        return f"{self.value:.4f}{interval}"


@dataclass
class Report:
    """Tables of figures by heading, plots by file name, and remarks below the tables."""

    tables: dict[str, list[Figure]] = field(default_factory=dict)
    plots: dict[str, Plot] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, heading: str, *figures: Figure) -> None:
        """Add figures to the table under `heading`."""
        self.tables.setdefault(heading, []).extend(figures)

    def write(self, stem: Path, title: str, preface: list[str], facts: dict[str, Any]) -> list[Path]:
        """Write `<stem>.md`, `<stem>.json`, and a picture for each plot beside them.

        Args:
            stem: path without suffix, whose last part is the name of the report.
            preface: paragraphs before the figures: what was measured, on what, by which command.
            facts: the same for machines.
        """
        lines = [f"# {title}", ""]
        for paragraph in preface:
            lines += [paragraph, ""]
        for heading, figures in self.tables.items():
            lines += [f"## {heading}", "", "| figure | value (95 % interval) | of |", "|---|---|---|"]
            lines += [f"| {figure.metric} | {figure} | {figure.count} {figure.unit} |" for figure in figures] + [""]
        lines += [f"{remark}\n" for remark in self.remarks]
        files = [stem.with_suffix(".md"), stem.with_suffix(".json")]
        for name, plot in self.plots.items():
            picture = stem.with_name(f"{stem.name}-{name}.png")
            plot.savefig(picture, dpi=100, metadata={"Software": None})
            pyplot.close(plot)
            lines += [f"![{name}]({picture.name})", ""]
            files.append(picture)
        stem.parent.mkdir(parents=True, exist_ok=True)
        files[0].write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")
        tables = {heading: [asdict(figure) for figure in figures] for heading, figures in self.tables.items()}
        content = json.dumps(facts | {"figures": tables}, indent=1, ensure_ascii=False)
        files[1].write_text(content + "\n", encoding="utf-8")
        return files

    def publish(self, stem: Path, title: str, preface: list[str], facts: dict[str, Any]) -> None:
        """`write`, and show on the terminal what was written and where."""
        files = self.write(stem, title, preface, facts)
        self.print()
        print(f"wrote {', '.join(map(str, files))}")

    def print(self) -> None:
        """Show the tables on the terminal."""
        for heading, figures in self.tables.items():
            print(heading)
            for figure in figures:
                print(f"  {figure.metric}: {figure} of {figure.count} {figure.unit}")


def share(metric: str, right: NDArray[np.bool_], unit: str = "images") -> Figure:
    """A share of true values, with Wilson's score interval (Wilson 1927)."""
    if not len(right):
        return Figure(metric, float("nan"), None, None, 0, unit)
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return Figure(metric, float(right.mean()), float(interval.low), float(interval.high), len(right), unit)


def bootstrapped(
    metric: str, statistic: Callable[[NDArray[np.int64]], float], patients: NDArray[Any], unit: str = "patients"
) -> Figure:
    """A statistic of the images that indices choose, with the percentile bootstrap over whole patients.

    Images of one patient are alike, so patients are drawn, not images (Field and Welsh 2007).
    """
    names, which = np.unique(patients, return_inverse=True)
    members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    random = np.random.default_rng(0)
    draws = [
        statistic(np.concatenate([members[number] for number in random.integers(len(names), size=len(names))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Figure(metric, statistic(np.arange(len(patients))), float(low), float(high), len(names), unit)
