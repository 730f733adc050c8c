"""Takes a candidate through the steps of a rollout, each behind the gates that the router tells of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from router.gates import judge, verdict
from router.result import ComparisonList, Gate

from . import values as changed
from .cluster import LEASE_SECONDS, Cluster
from .errors import RolloutError
from .helm import Helm
from .plan import Plan, Step

Watch = Callable[[str, Mapping[str, Gate]], None]
"""Told of each look at the evidence: where the rollout is, and what the gates say."""


@dataclass(frozen=True)
class Rollout:
    """The rollout of one model's candidate.

    Attributes:
        interval: seconds between two looks at the evidence.
        ready_seconds: what the candidate's and the new stable version's pods may take to be there.
    """

    model: str
    helm: Helm
    cluster: Cluster
    interval: float = 10
    ready_seconds: float = 600

    def start(self, card: str, storage_uri: str | None) -> None:
        """Put a candidate beside the model; it reads nothing yet.

        Raises:
            RolloutError: there is one already.
        """
        given = self.helm.values()
        if changed.candidate_of(given, self.model) is not None:
            raise RolloutError(
                f"there is a candidate of {self.model} already; `dokuei rollout resume` goes on with it, "
                "`dokuei rollout abort` takes it away"
            )
        candidate = {"card": card, "weight": 0, "shadow": 0}
        if storage_uri is not None:
            candidate["storageUri"] = storage_uri
        self._upgrade(changed.with_candidate(given, self.model, candidate), "RolloutStarted", "a candidate is there")

    def go_on(self, plan: Plan, watch: Watch) -> None:
        """Take the steps that are left, then promote.

        Raises:
            RolloutError: a gate failed, and the candidate was taken away; or somebody else has stopped the rollout.
        """
        self._wait_until_there(watch)
        for step in plan.left(self._now()):
            self._upgrade(
                changed.with_split(self.helm.values(), self.model, step.weight, step.shadow),
                "RolloutStep",
                f"the candidate is at {step}",
            )
            self._pass(step, plan, watch)
        self.promote()

    def promote(self) -> None:
        """Make the candidate the model: while it reads everything, the stable version becomes its equal.

        Raises:
            RolloutError: the new pods are not there in time; the candidate goes on reading.
        """
        given = changed.with_split(self.helm.values(), self.model, 100, 0)
        self._upgrade(given, "RolloutStep", "the candidate reads everything")
        self._upgrade(changed.promoted(given, self.model), "RolloutStep", "the model becomes what the candidate is")
        deadline = time.monotonic() + self.ready_seconds
        while not self.cluster.served_by_newest(self.model):
            self._keep()
            if time.monotonic() > deadline:
                raise RolloutError(
                    f"the new pods of {self.model} are not there after {self.ready_seconds:.0f} s; the candidate goes "
                    "on reading; `kubectl describe` its pods, then `dokuei rollout promote` again"
                )
            time.sleep(min(self.interval, 2))
        self._upgrade(changed.without_candidate(self.helm.values(), self.model), "RolloutPromoted", "promoted")
        self.cluster.release_lease(self.model)

    def abort(self, why: str) -> None:
        """Let the stable version read everything, at once; then take the candidate away.

        Raises:
            RolloutError: Helm cannot be told; the traffic is back all the same.
        """
        self.cluster.release_lease(self.model)  # Whoever drives the rollout stops at its next look.
        self.cluster.take_traffic_away(self.model)
        self.cluster.tell(self.model, "RolloutAborted", why, warning=True)
        given = self.helm.values()
        if changed.candidate_of(given, self.model) is not None:
            self.helm.upgrade(changed.without_candidate(given, self.model), self._described(f"aborted: {why}"))

    def _pass(self, step: Step, plan: Plan, watch: Watch) -> None:
        since = datetime.now(UTC).isoformat()
        while True:
            self._keep()
            told = self.cluster.ask_router(f"/api/rollouts/{self.model}/comparisons", since=since)
            gates = judge(ComparisonList.model_validate(told).items, plan.rules, plan.error)
            watch(f"at {step}", gates)
            said = verdict(gates)
            if said == "failed":
                failed = [
                    f"{name} ({gate.bad} of {gate.requests}: {gate.means})"
                    for name, gate in gates.items()
                    if gate.verdict == "failed"
                ]
                why = f"at {step} by {' and '.join(failed)}"
                self.abort(why)
                raise RolloutError(f"aborted {why}; the stable version reads everything")
            if said == "passed":
                return
            self._sleep()

    def _wait_until_there(self, watch: Watch) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while True:
            self._keep()
            try:
                known = self.cluster.ask_router(f"/api/rollouts/{self.model}")
            except RolloutError:
                known = None
            watch("waits for the candidate", {})
            if known is not None and known["refused"]:
                why = f"its card differs in {', '.join(known['refused'])}"
                self.abort(why)
                raise RolloutError(f"the candidate cannot stand in for {self.model}: {why}")
            if known is not None and known["ready"]:
                return
            if time.monotonic() > deadline:
                why = f"the candidate is not Ready after {self.ready_seconds:.0f} s"
                self.abort(why)
                raise RolloutError(f"{why}; `kubectl logs` of its pods says why; it was taken away")
            self._sleep()

    def _now(self) -> Step:
        candidate = changed.candidate_of(self.helm.values(), self.model)
        if candidate is None:
            raise RolloutError(f"there is no candidate of {self.model}; `dokuei rollout start` begins")
        return Step(candidate.get("weight", 0), candidate.get("shadow", 0))

    def _upgrade(self, given: changed.Values, reason: str, what: str) -> None:
        self._keep()
        self.helm.upgrade(given, self._described(what))
        self.cluster.tell(self.model, reason, what)

    def _described(self, what: str) -> str:
        return f"rollout of {self.model}: {what}"

    def _keep(self) -> None:
        self.cluster.renew(self.model)

    def _sleep(self) -> None:
        """Until the next look, keeping the lease."""
        end = time.monotonic() + self.interval
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LEASE_SECONDS / 3))
            self._keep()
