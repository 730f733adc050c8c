"""The driver of a rollout takes a candidate away where it has to; what it drives is kept in memory here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from router.result import Agreement, Comparison, VersionReview
from router.rollout.actions import Rollout
from router.rollout.cluster import Cluster
from router.rollout.driver import Driver
from router.rollout.errors import RolloutError
from router.rollout.helm import Helm
from router.rollout.plan import Plan
from router.rollout.values import Values, candidate_of

MODEL = "m"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = Comparison(
    model=MODEL, version="2", stable="1", created=NOW, shown="stable", outcome="ok",
    agreement=Agreement(flipped=False, drift=0.0, heat_correlation=1.0), stable_ms=20, candidate_ms=20,
)  # fmt: skip


class MemoryHelm:
    """A release with one model and its candidate."""

    def __init__(self) -> None:
        candidate = {"card": "next", "weight": 0, "shadow": 0}
        self.revisions: list[Values] = [{"models": {MODEL: {"card": "first", "canary": candidate}}}]
        self.told: list[str] = []
        self.refuses = False

    @property
    def given(self) -> Values:
        return self.revisions[-1]

    def values(self, revision: int = 0) -> Values:
        return self.revisions[revision - 1]

    def history(self) -> list[dict[str, Any]]:
        return [{"revision": number} for number in range(1, len(self.revisions) + 1)]

    def upgrade(self, given: Values, why: str) -> None:
        if self.refuses:
            raise RolloutError("helm upgrade: no")
        self.revisions.append(given)
        self.told.append(why)


class MemoryCluster:
    """A cluster whose router answers as told."""

    def __init__(self, answers: Callable[[str], dict[str, Any]]) -> None:
        self.since: list[str] = []
        self.answers = answers
        self.kept = True
        self.why: str | None = None
        self.taken_away = False
        self.recorded: list[str] = []
        self.log_works = True

    def ask_router(self, path: str, **query: str) -> dict[str, Any]:
        if "since" in query:
            self.since.append(query["since"])
        return self.answers(path.removeprefix(f"/api/rollouts/{MODEL}"))

    def renew(self, _: str) -> None:
        if not self.kept:
            raise RolloutError("the rollout was stopped by its pause")

    def release_lease(self, _: str) -> None:
        self.kept = False

    def take(self, _: str) -> None:
        self.kept = True

    def take_traffic_away(self, _: str, why: str) -> None:
        self.taken_away, self.why = True, why

    def let_read(self, _: str) -> None:
        self.why = None

    def aborted(self, _: str) -> str | None:
        return self.why

    def served_by_newest(self, _: str) -> bool:
        return True

    def tell(self, *_: object, **__: object) -> None:
        """Nobody listens."""

    def record(self, _: str, what: str, *, done: bool = False) -> None:
        if self.log_works or done:
            self.recorded.append(what)
        else:
            raise RolloutError("the audit log does not take it")


def drive(
    answers: Callable[[str], dict[str, Any]], watch: Callable[[str], None] = lambda _: None
) -> tuple[MemoryHelm, MemoryCluster, str | None]:
    """Drive a rollout to its end: the release and the cluster after it, and why it failed."""
    helm, cluster = MemoryHelm(), MemoryCluster(answers)
    rollout = Rollout(MODEL, cast(Helm, helm), cast(Cluster, cluster), interval=0.01, ready_seconds=0.2)
    try:
        Driver(rollout, Plan(), lambda where, _: watch(where)).go_on()
    except RolloutError as error:
        return helm, cluster, str(error)
    return helm, cluster, None


def answering(
    *, ready: bool = True, comparisons: int = 0, reviews: int = 0, **candidate: Any
) -> Callable[[str], dict[str, Any]]:
    """A router that has compared so many studies without a fault, and reviews that disagree with the candidate."""
    known = {"ready": ready, "refused": [], **candidate}
    said = [
        VersionReview(variant=variant, verdict=verdict, created=NOW).model_dump(mode="json")
        for _ in range(reviews)
        for variant, verdict in (("stable", "agree"), ("canary", "disagree"))
    ]
    compared = [GOOD.model_dump(mode="json")] * comparisons
    return lambda path: {"": known, "/comparisons": {"items": compared}, "/reviews": {"items": said}}[path]


def test_a_candidate_without_fault_is_promoted_through_every_step() -> None:
    seen: list[str] = []
    helm, cluster, why = drive(answering(comparisons=600), seen.append)
    assert why is None
    assert [step.removeprefix("at ") for step in seen[1:]] == ["the shadow", "5 %", "25 %", "50 %", "100 %"]
    assert helm.given["models"][MODEL] == {"card": "next"}
    assert not cluster.taken_away
    assert [f"rollout of m: {what}" for what in cluster.recorded] == helm.told


def test_each_step_is_judged_by_what_came_after_it_began() -> None:
    _, cluster, why = drive(answering(comparisons=600))
    assert why is None
    steps = cluster.since[::2]  # Comparisons and reviews are asked for since the same moment.
    assert steps == cluster.since[1::2]
    assert len(set(steps)) == len(steps) == len(Plan().steps)
    assert steps == sorted(steps)


def test_a_candidate_has_ten_minutes_to_become_ready() -> None:
    usual = Rollout(MODEL, cast(Helm, MemoryHelm()), cast(Cluster, MemoryCluster(answering())))
    assert usual.deadline() - time.monotonic() == pytest.approx(600, abs=1)


def test_no_step_is_taken_that_the_audit_log_does_not_take() -> None:
    helm, cluster = MemoryHelm(), MemoryCluster(answering())
    cluster.log_works = False
    rollout = Rollout(MODEL, cast(Helm, helm), cast(Cluster, cluster), interval=0.01, ready_seconds=0.2)
    with pytest.raises(RolloutError, match="the audit log does not take it"):
        Driver(rollout, Plan(), lambda *_: None).go_on()
    assert helm.told == []
    rollout.abort("by hand")
    assert cluster.taken_away, "what takes a candidate away waits for no log"
    assert helm.told == ["rollout of m: aborted: by hand"]


def test_a_candidate_whose_abort_has_not_ended_reads_nothing_until_it_has() -> None:
    helm, cluster = MemoryHelm(), MemoryCluster(answering())
    rollout = Rollout(MODEL, cast(Helm, helm), cast(Cluster, cluster))
    helm.refuses = True
    with pytest.raises(RolloutError, match="helm upgrade: no"):
        rollout.abort("flips")
    assert cluster.aborted(MODEL) == "flips"
    with pytest.raises(RolloutError, match=r"was aborted \(flips\), and its candidate is still there"):
        rollout.take_up()
    helm.refuses = False
    rollout.abort("flips")
    assert cluster.aborted(MODEL) is None, "the next candidate may read"
    rollout.take_up()
    rollout.start("another", None)
    assert candidate_of(helm.given, MODEL) is not None


@pytest.mark.parametrize(
    ("router", "because"),
    [
        (answering(ready=False), "before any study: the candidate is not Ready after 0 s"),
        (answering(refused=["labels"]), "before any study: its card differs in labels"),
        (answering(comparisons=600, reviews=40), r"at the shadow by reviews \(\d+ of \d+: a reader disagreed"),
    ],
)
def test_a_candidate_that_cannot_be_trusted_is_taken_away(
    router: Callable[[str], dict[str, Any]], because: str
) -> None:
    helm, cluster, why = drive(router)
    assert why is not None
    assert re.match(f"aborted {because}", why)
    assert cluster.taken_away
    assert candidate_of(helm.given, MODEL) is None
    assert helm.told[-1].startswith("rollout of m: aborted: ")


def test_a_candidate_that_stops_to_be_ready_in_a_step_is_taken_away() -> None:
    there, gone = answering(), answering(ready=False)
    looks = 0

    def router(path: str) -> dict[str, Any]:
        nonlocal looks
        looks += path == ""
        return (there if looks < 2 else gone)(path)

    helm, cluster, why = drive(router)
    assert why == "aborted at the shadow: the candidate has not been Ready for 0 s; the stable version reads everything"
    assert cluster.taken_away
    assert candidate_of(helm.given, MODEL) is None


def test_a_promotion_that_has_begun_is_aborted_to_the_model_that_was() -> None:
    helm, cluster = MemoryHelm(), MemoryCluster(answering())
    cluster.served_by_newest = lambda _: False  # type: ignore[method-assign]
    rollout = Rollout(MODEL, cast(Helm, helm), cast(Cluster, cluster), interval=0.01, ready_seconds=0.1)
    with pytest.raises(RolloutError, match="the new pods of m are not there"):
        rollout.promote()
    assert helm.given["models"][MODEL]["card"] == "next"
    rollout.abort("by hand")
    assert helm.given["models"][MODEL] == {"card": "first"}
    assert cluster.taken_away


def test_who_loses_the_lease_changes_nothing_more() -> None:
    helm, cluster = MemoryHelm(), MemoryCluster(answering())

    def watch(where: str, _: object) -> None:
        if where == "at the shadow":
            cluster.release_lease(MODEL)

    rollout = Rollout(MODEL, cast(Helm, helm), cast(Cluster, cluster), interval=0.01, ready_seconds=5)
    with pytest.raises(RolloutError, match="stopped by its pause"):
        Driver(rollout, Plan(), watch).go_on()
    assert helm.told == ["rollout of m: the candidate is at the shadow"]
    assert not cluster.taken_away
