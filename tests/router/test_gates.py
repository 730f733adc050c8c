"""Gates: a candidate is judged by what was counted, late enough that luck does not decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.gates import DISAGREED, ERROR, REVIEWS, RULES, Rule, judge, judge_readers, judge_reviews, verdict
from router.result import Agreement, Comparison, Verdict, VersionReview

SAME = Agreement(flipped=False, drift=0.01, heat_correlation=0.99)
RULE = Rule("bad", 0.01, 0.1)
ROLLOUTS = 400


def comparison(**changes: Any) -> Comparison:
    usual = {
        "model": "m", "version": "2", "stable": "1", "created": datetime(2026, 1, 1, tzinfo=UTC), "shown": "stable",
        "outcome": "ok", "agreement": SAME, "stable_ms": 20.0, "candidate_ms": 20.0,
    }  # fmt: skip
    return Comparison.model_validate(usual | changes)


@given(st.lists(st.booleans(), max_size=400), st.lists(st.booleans(), max_size=50))
def test_a_gate_that_has_failed_stays_so_and_one_that_has_passed_is_never_undecided_again(
    requests: list[bool], later: list[bool]
) -> None:
    first, then = RULE.judge(requests), RULE.judge(requests + later)
    if first.verdict == "failed" or then.verdict == "passed" == first.verdict:
        assert then == first
    if first.verdict == "passed":
        assert then.verdict != "undecided"


def test_a_gate_that_has_passed_fails_where_the_candidate_gets_worse() -> None:
    good = [False] * 60
    assert RULE.judge(good).verdict == "passed"
    assert RULE.judge([*good, True]).verdict == "passed", "one is not yet worse"
    assert RULE.judge(good + [True] * 8).verdict == "failed"


@pytest.mark.parametrize(("share", "wrong"), [(RULE.acceptable, "failed"), (RULE.unacceptable, "passed")])
def test_a_wrong_verdict_is_as_rare_as_promised(share: float, wrong: str) -> None:
    random = np.random.default_rng(0)
    verdicts = [RULE.judge((random.random(4000) < share).tolist()).verdict for _ in range(ROLLOUTS)]
    assert "undecided" not in verdicts
    # A hundredth, and what chance adds to it in so many rollouts.
    assert verdicts.count(wrong) <= 0.01 * ROLLOUTS + 3 * (0.01 * 0.99 * ROLLOUTS) ** 0.5


def test_no_luck_passes_a_gate_with_few_requests() -> None:
    assert {RULES[name].judge([False] * 20).verdict for name in RULES} == {"undecided"}


def test_a_candidate_without_fault_passes_with_508_studies_and_not_before() -> None:
    assert verdict(judge([comparison()] * 507)) == "undecided"
    assert verdict(judge([comparison()] * 508)) == "passed"


def test_a_candidate_that_is_the_same_passes_every_gate_of_its_task() -> None:
    gates = judge([comparison()] * 800)
    assert set(gates) == {"errors", "latency", "flips", "drift", "heat_maps"}
    assert verdict(gates) == "passed"
    masks = judge([comparison(agreement=Agreement(flipped=False, dice=0.97))] * 800)
    assert set(masks) == {"errors", "latency", "flips", "masks"}
    assert verdict(masks) == "passed"


@pytest.mark.parametrize(
    ("gate", "worse"),
    [
        ("errors", {"outcome": "failed", "agreement": None}),
        ("errors", {"outcome": "unavailable", "agreement": None}),
        ("latency", {"candidate_ms": 60.0}),
        ("flips", {"agreement": Agreement(flipped=True, drift=0.01, heat_correlation=0.99)}),
        ("drift", {"agreement": Agreement(flipped=False, drift=0.3, heat_correlation=0.99)}),
        ("heat_maps", {"agreement": Agreement(flipped=False, drift=0.01, heat_correlation=0.1)}),
        ("masks", {"agreement": Agreement(flipped=False, dice=0.5)}),
    ],
)
def test_a_worse_candidate_fails_by_the_gate_that_it_is_worse_in(gate: str, worse: dict[str, Any]) -> None:
    mixed = [comparison(**worse) if number % 3 == 0 else comparison() for number in range(400)]
    gates = judge(mixed)
    assert [name for name, found in gates.items() if found.verdict == "failed"] == [gate]
    assert verdict(gates) == "failed"


def test_nothing_is_judged_by_the_time_of_a_few_requests() -> None:
    assert "latency" not in judge([comparison(candidate_ms=1000.0)] * 20)
    assert verdict(judge([])) == "undecided"


def test_latency_is_held_against_requests_that_stood_in_the_same_place() -> None:
    behind = [comparison(stable_ms=30.0, candidate_ms=10.0)] * 200
    reading = [comparison(shown="canary", stable_ms=10.0, candidate_ms=30.0)] * 200
    both = [each for pair in zip(behind, reading, strict=True) for each in pair]
    assert judge(both)["latency"].verdict == "passed", "whoever reads takes longer, and the candidate no longer"
    assert judge(behind)["latency"].verdict == "passed"
    assert "latency" not in judge(reading), "the stable version reads nothing that could be compared with"
    assert "latency" not in judge([*behind[:3], *reading]), "what the step before has left decides nothing"
    slow_reader = [comparison(shown="canary", stable_ms=10.0, candidate_ms=50.0)] * 200
    worse = [each for pair in zip(behind, slow_reader, strict=True) for each in pair]
    assert judge(worse)["latency"].verdict == "failed"


@pytest.mark.parametrize("weight", [5, 50, 75])
@pytest.mark.parametrize(("times", "wrong"), [(1.0, "failed"), (DISAGREED, "passed")])
def test_readers_are_misunderstood_as_rarely_as_promised(weight: int, times: float, wrong: str) -> None:
    random = np.random.default_rng(weight)
    verdicts = []
    for _ in range(ROLLOUTS):
        candidate = random.random(10_000) < weight / 100
        disagreed = random.random(len(candidate)) < np.where(candidate, 0.1 * times, 0.1)
        verdicts.append(judge_readers(candidate, disagreed).verdict)
    assert verdicts.count(wrong) <= ERROR * ROLLOUTS + 3 * (ERROR * (1 - ERROR) * ROLLOUTS) ** 0.5


def test_readers_who_see_one_version_only_say_nothing_of_the_other() -> None:
    for candidate in (True, False):
        assert judge_readers([candidate] * 500, [True] * 500).verdict == "undecided"


def test_readers_can_fail_a_candidate_and_hold_none_up() -> None:
    def reviews(*said: Verdict) -> list[VersionReview]:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            VersionReview(variant=variant, verdict=verdict, created=moment)
            for verdict in said
            for variant in ("stable", "canary")
        ]

    passed = judge([comparison()] * 800)
    silent = judge_reviews([])
    assert (silent.verdict, silent.requests) == ("undecided", 0)
    assert verdict(passed | {REVIEWS: silent}) == "passed"
    assert verdict({REVIEWS: judge_reviews(reviews(*["agree", "disagree"] * 60))}) == "undecided"
    disagreed = [
        review.model_copy(update={"verdict": "disagree" if review.variant == "canary" else "agree"})
        for review in reviews(*["agree"] * 60)
    ]
    failed = judge_reviews(disagreed)
    assert failed.verdict == "failed"
    assert failed.bad == failed.requests < 60
    assert verdict(passed | {REVIEWS: failed}) == "failed"
    unsure = [review.model_copy(update={"verdict": "unsure"}) for review in disagreed]
    assert judge_reviews(unsure).verdict == "undecided"
