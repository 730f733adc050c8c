"""Whether a candidate may go on: what is counted of it, and tests that neither luck nor a few requests decide.

Each gate watches one share of bad requests, and compares two hypotheses about it as requests come in: the acceptable
and the unacceptable share of its rule. Wald's sequential probability ratio test may be looked at after every request:
the chance to fail a candidate of the acceptable share stays below `ERROR`, and so does that to pass one of the
unacceptable (Wald 1945, "Sequential Tests of Statistical Hypotheses"). A share between them is decided late, and may go
either way. A gate that has passed can still fail while others are waited for: that a likelihood ratio ever comes so
high is as unlikely of an acceptable share, however long one looks (Ville 1939).

What readers say of both versions is a gate of its own, `REVIEWS`. They say something when they like, so a rollout does
not wait for it: this gate can only fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .result import Agreement, Comparison, Gate, Verdicts, VersionReview

ERROR = 0.01
"""Chance of each of the two wrong verdicts of a gate."""

SLOWER = 1.2
"""Times the stable version's 95th percentile: a request that takes longer is slow."""
LEAST_TIMED = 30
"""Requests that a 95th percentile is taken from, at least."""
DRIFTED, UNLIKE, APART = 0.1, 0.8, 0.9
"""Largest difference of the probability, least correlation of heat maps and least Dice of masks that still agree."""

REVIEWS = "reviews"
"""Name of the gate that readers' reviews decide."""
DISAGREED = 2.0
"""Times as often as with the stable version: readers who disagree so often with a candidate are to find it out."""


@dataclass(frozen=True)
class Rule:
    """How large a share of bad requests may be.

    Attributes:
        bad: which requests are bad, in words.
        acceptable: a share that a good candidate may have.
        unacceptable: a larger share, from which a candidate has to be found out.
    """

    bad: str
    acceptable: float
    unacceptable: float

    def judge(self, requests: Sequence[bool] | NDArray[np.bool_], error: float = ERROR) -> Gate:
        """The verdict on requests as they came in, bad (true) or good, and what it took.

        Args:
            error: chance of each of the two wrong verdicts.
        """
        bad = np.asarray(requests, dtype=bool)
        worse = math.log(self.unacceptable / self.acceptable)
        better = math.log((1 - self.unacceptable) / (1 - self.acceptable))
        said, seen = _verdict(np.where(bad, worse, better), error)
        return Gate(
            verdict=said,
            bad=int(bad[:seen].sum()),
            requests=seen,
            means=self.bad,
            acceptable=self.acceptable,
            unacceptable=self.unacceptable,
        )


def _verdict(evidence: NDArray[np.float64], error: float) -> tuple[Verdicts, int]:
    """What the test says, and after how many of these log-likelihood ratios it did."""
    bound = math.log((1 - error) / error)
    total = np.cumsum(evidence)
    outcomes: tuple[tuple[Verdicts, NDArray[np.bool_]], ...] = (("failed", total >= bound), ("passed", total <= -bound))
    for said, crossed in outcomes:
        if crossed.any():
            return said, int(crossed.argmax()) + 1
    return "undecided", len(total)


RULES: dict[str, Rule] = {
    "errors": Rule("the candidate did not answer, or with an error", 0.001, 0.01),
    "latency": Rule(f"took longer than {SLOWER} times the stable version's 95th percentile", 0.05, 0.2),
    "flips": Rule("told the opposite of the stable version", 0.005, 0.02),
    "drift": Rule(f"the probability differs by more than {DRIFTED}", 0.05, 0.2),
    "heat_maps": Rule(f"the heat maps correlate by less than {UNLIKE}", 0.05, 0.2),
    "masks": Rule(f"the masks have a Dice coefficient below {APART}", 0.05, 0.2),
}
_DISAGREE: Mapping[str, Callable[[Agreement], bool | None]] = {
    "flips": lambda said: said.flipped,
    "drift": lambda said: None if said.drift is None else said.drift > DRIFTED,
    "heat_maps": lambda said: None if said.heat_correlation is None else said.heat_correlation < UNLIKE,
    "masks": lambda said: None if said.dice is None else said.dice < APART,
}


def judge(
    comparisons: Sequence[Comparison], rules: Mapping[str, Rule] = RULES, error: float = ERROR
) -> dict[str, Gate]:
    """The gates that apply to a candidate's task, by name, from what was compared, in the order it came."""
    answered = [each for each in comparisons if each.agreement is not None]
    requests = {"errors": [each.outcome != "ok" for each in comparisons]}
    slow = _slow(answered)
    if len(slow) >= LEAST_TIMED:  # Fewer may be of the step before, and no more would come.
        requests["latency"] = slow
    for name, disagrees in _DISAGREE.items():
        said = [bad for each in answered if each.agreement and (bad := disagrees(each.agreement)) is not None]
        if said:
            requests[name] = said
    return {name: rules[name].judge(bad, error) for name, bad in requests.items()}


def _slow(answered: Sequence[Comparison]) -> list[bool]:
    """Which of the candidate's requests were slow, each held against the stable version's of the same kind.

    A request that a reader waits for stands among others, and one that is mirrored comes behind them, by itself. Until
    the candidate reads anything, its mirrored requests are held against those that readers waited for, which are no
    faster; once the stable version reads nothing, nothing can be said of the candidate's.
    """
    read, mirrored = (
        [each.stable_ms for each in answered if each.shown == shown and each.stable_ms is not None]
        for shown in ("stable", "canary")
    )
    read_slow, mirrored_slow = (
        SLOWER * float(np.quantile(times, 0.95)) if len(times) >= LEAST_TIMED else None for times in (read, mirrored)
    )
    slow = {"canary": read_slow, "stable": mirrored_slow or read_slow}
    return [
        each.candidate_ms > limit
        for each in answered
        if each.candidate_ms is not None and (limit := slow[each.shown]) is not None
    ]


def judge_reviews(reviews: Sequence[VersionReview], error: float = ERROR) -> Gate:
    """Whether readers disagree more often with a candidate, from reviews of both versions in the order they came."""
    return judge_readers(
        [review.variant == "canary" for review in reviews], [review.verdict == "disagree" for review in reviews], error
    )


def judge_readers(
    of_candidate: Sequence[bool] | NDArray[np.bool_],
    disagreed: Sequence[bool] | NDArray[np.bool_],
    error: float = ERROR,
) -> Gate:
    """The same for reviews that are of the candidate or else of the stable version, and disagree or do not.

    How often readers disagree at all is not known, and differs from one hospital to the next. So only the reviews that
    disagree are looked at: where the candidate is no worse, as large a part of them is about it as of all reviews, w;
    where readers disagree `DISAGREED` times as often, so much the more. (Given their number, such counts are binomial:
    Przyborowski and Wilenski 1940.)
    """
    candidate, disagree = np.asarray(of_candidate, dtype=bool), np.asarray(disagreed, dtype=bool)
    w = np.cumsum(candidate) / np.arange(1, len(candidate) + 1)
    often = 1 + (DISAGREED - 1) * w  # As often as before the candidate, once w of the reviews are of it.
    evidence = np.where(disagree, np.log(np.where(candidate, DISAGREED, 1) / often), 0)
    said, seen = _verdict(evidence, error)
    return Gate(
        verdict=said,
        bad=int((candidate & disagree)[:seen].sum()),
        requests=int(candidate[:seen].sum()),
        means="a reader disagreed (times as often as with the stable version)",
        acceptable=1,
        unacceptable=DISAGREED,
    )


def verdict(gates: Mapping[str, Gate]) -> Verdicts:
    """Failed where one gate is, passed where all are that a rollout waits for."""
    found = {gate.verdict for name, gate in gates.items() if name != REVIEWS or gate.verdict == "failed"}
    if "failed" in found:
        return "failed"
    return "passed" if found == {"passed"} else "undecided"
