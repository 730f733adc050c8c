"""Takes a candidate through the steps of a rollout, each behind the gates that the router tells of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from router.gates import REVIEWS, judge, judge_reviews, verdict
from router.result import ComparisonList, Gate, VersionReviewList

from .actions import Rollout
from .errors import RolloutError
from .plan import Plan, Step
from .values import candidate_of

Watch = Callable[[str, Mapping[str, Gate]], None]
"""Told of each look at the evidence: where the rollout is, and what the gates say."""


@dataclass(frozen=True)
class Driver:
    """Drives one rollout by a plan."""

    rollout: Rollout
    plan: Plan
    watch: Watch

    def go_on(self) -> None:
        """Take the steps that are left, then promote.

        Raises:
            RolloutError: a gate failed, or the candidate was not Ready for long, and was taken away; or somebody else
                has stopped the rollout.
        """
        self._wait_until_there()
        for step in self.plan.left(self._now()):
            self.rollout.split(step.weight, step.shadow, str(step))
            self._pass(step)
        self.rollout.promote()

    def _pass(self, step: Step) -> None:
        since, deadline = datetime.now(UTC).isoformat(), self.rollout.deadline()
        while True:
            self.rollout.keep()
            gates = self._gates(since)
            self.watch(f"at {step}", gates)
            said = verdict(gates)
            if said == "failed":
                failed = [
                    f"{name} ({gate.bad} of {gate.requests}: {gate.means})"
                    for name, gate in gates.items()
                    if gate.verdict == "failed"
                ]
                self._give_up(f"at {step} by {' and '.join(failed)}")
            if said == "passed":
                return
            # One that is not Ready is not asked, so no gate would ever say anything of it.
            if self._ask("")["ready"]:
                deadline = self.rollout.deadline()
            elif time.monotonic() > deadline:
                self._give_up(f"at {step}: the candidate has not been Ready for {self.rollout.ready_seconds:.0f} s")
            self.rollout.sleep()

    def _gates(self, since: str) -> dict[str, Gate]:
        """What was compared, and what readers said, from a moment on."""
        compared = ComparisonList.model_validate(self._ask("/comparisons", since=since))
        reviewed = VersionReviewList.model_validate(self._ask("/reviews", since=since))
        gates = judge(compared.items, self.plan.rules, self.plan.error)
        return gates | {REVIEWS: judge_reviews(reviewed.items, self.plan.error)}

    def _wait_until_there(self) -> None:
        deadline = self.rollout.deadline()
        while True:
            self.rollout.keep()
            try:
                known = self._ask("")
            except RolloutError:
                known = None
            self.watch("waits for the candidate", {})
            if known is not None and known["refused"]:
                self._give_up(f"before any study: its card differs in {', '.join(known['refused'])}")
            if known is not None and known["ready"]:
                return
            if time.monotonic() > deadline:
                self._give_up(f"before any study: the candidate is not Ready after {self.rollout.ready_seconds:.0f} s")
            self.rollout.sleep()

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        return self.rollout.cluster.ask_router(f"/api/rollouts/{self.rollout.model}{path}", **query)

    def _give_up(self, why: str) -> NoReturn:
        self.rollout.abort(why)
        raise RolloutError(f"aborted {why}; the stable version reads everything")

    def _now(self) -> Step:
        candidate = candidate_of(self.rollout.helm.values(), self.rollout.model)
        if candidate is None:
            raise RolloutError(f"there is no candidate of {self.rollout.model}; `dokuei rollout start` begins")
        return Step(candidate.get("weight", 0), candidate.get("shadow", 0))
