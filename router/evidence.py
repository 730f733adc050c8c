"""What the comparisons of two versions say of a candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import numpy as np

from . import gates
from .errors import UnknownModel
from .registry import ServedModel
from .result import MEASURES, Comparison, Evidence, Outcome, Spread, VersionReview
from .traffic import differences


def versions(models: Sequence[ServedModel], name: str) -> tuple[ServedModel, ServedModel]:
    """The stable version of a model and its candidate.

    Raises:
        UnknownModel: there is no such model, or no candidate beside it; says which there are.
    """
    found = {model.variant: model for model in models if model.card.name == name}
    if set(found) != {"stable", "canary"}:
        beside = [model.card.name for model in models if model.variant == "canary"]
        raise UnknownModel(f"no candidate of {name!r} is there; candidates are of {', '.join(beside) or 'no model'}")
    return found["stable"], found["canary"]


def of(
    stable: ServedModel,
    candidate: ServedModel,
    comparisons: Sequence[Comparison],
    reviews: Sequence[VersionReview],
) -> Evidence:
    """Sum up the comparisons of a candidate with the version that is stable now, and what readers say of both."""
    counted = [comparison for comparison in comparisons if comparison.stable == stable.card.version]
    answered = [(each, each.agreement) for each in counted if each.agreement is not None]
    judged = gates.judge(counted) | {gates.REVIEWS: gates.judge_reviews(reviews)}
    outcomes = Counter(each.outcome for each in counted)
    spreads = {
        measure: _spread([value for _, said in answered if (value := getattr(said, measure)) is not None])
        for measure in MEASURES
    }
    return Evidence(
        model=stable.card.name,
        stable=stable.card.version,
        candidate=candidate.card.version,
        ready=candidate.ready,
        weight=candidate.weight,
        shadow=candidate.shadow,
        refused=differences(stable.card, candidate.card),
        outcomes={outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        flips=sum(said.flipped for _, said in answered),
        agreement={measure: spread for measure, spread in spreads.items() if spread is not None},
        stable_ms=_spread([each.stable_ms for each, _ in answered if each.stable_ms is not None]),
        candidate_ms=_spread([each.candidate_ms for each, _ in answered if each.candidate_ms is not None]),
        gates=judged,
        verdict=gates.verdict(judged),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    p5, p50, p95 = (round(float(value), 4) for value in np.quantile(values, [0.05, 0.5, 0.95]))
    return Spread(mean=round(float(np.mean(values)), 4), p5=p5, p50=p50, p95=p95)
