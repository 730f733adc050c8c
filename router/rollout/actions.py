"""What can be done to a rollout: each act changes the values of the Helm release, and leaves an Event."""

from __future__ import annotations

import time
from dataclasses import dataclass

from . import values as changed
from .cluster import LEASE_SECONDS, Cluster
from .errors import RolloutError
from .helm import Helm


@dataclass(frozen=True)
class Rollout:
    """The rollout of one model's candidate.

    Attributes:
        interval: seconds between two looks at the evidence.
        ready_seconds: what the candidate's and the new stable version's pods may take to be there, also again.
    """

    model: str
    helm: Helm
    cluster: Cluster
    interval: float = 10
    ready_seconds: float = 600

    def take_up(self) -> None:
        """Become the one who goes on with a rollout.

        Raises:
            RolloutError: somebody else is, or it was aborted.
        """
        self.cluster.take(self.model)
        if why := self.cluster.aborted(self.model):
            raise RolloutError(
                f"the rollout of {self.model} was aborted ({why}), and its candidate is still there; "
                "`dokuei rollout abort` again takes it away"
            )

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
        self.cluster.let_read(self.model)
        self._upgrade(changed.with_candidate(given, self.model, candidate), "RolloutStarted", "a candidate is there")

    def split(self, weight: int, shadow: int, where: str) -> None:
        """Let the candidate read this percentage of studies, and both versions be asked about that one.

        Raises:
            RolloutError: somebody else has stopped the rollout.
        """
        given = changed.with_split(self.helm.values(), self.model, weight, shadow)
        self._upgrade(given, "RolloutStep", f"the candidate is at {where}")

    def promote(self) -> None:
        """Make the candidate the model: while it reads everything, the stable version becomes its equal.

        Raises:
            RolloutError: the new pods are not there in time; the candidate goes on reading.
        """
        given = changed.with_split(self.helm.values(), self.model, 100, 0)
        self._upgrade(given, "RolloutStep", "the candidate reads everything")
        self._upgrade(changed.promoted(given, self.model), "RolloutStep", "the model becomes what the candidate is")
        deadline = self.deadline()
        while not self.cluster.served_by_newest(self.model):
            self.keep()
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

        Where a promotion has begun, the model becomes again what it was, as soon as its pods have started.

        Raises:
            RolloutError: Helm cannot be told; the stable version reads everything all the same, until that was done.
        """
        self.cluster.take_traffic_away(self.model, why)
        self.cluster.release_lease(self.model)  # Whoever drives the rollout stops at its next look.
        self.cluster.tell(self.model, "RolloutAborted", why, warning=True)
        self.cluster.record(self.model, f"aborted: {why}", done=True)
        given = self.helm.values()
        if changed.candidate_of(given, self.model) is not None:
            before = self._before_its_promotion(given)
            self.helm.upgrade(changed.without_candidate(before, self.model), self._described(f"aborted: {why}"))
        self.cluster.let_read(self.model)

    def deadline(self) -> float:
        """When pods have to be there that are not now."""
        return time.monotonic() + self.ready_seconds

    def keep(self) -> None:
        """Keep the lease.

        Raises:
            RolloutError: somebody has taken it away.
        """
        self.cluster.renew(self.model)

    def sleep(self) -> None:
        """Until the next look, keeping the lease.

        Raises:
            RolloutError: somebody has taken it away.
        """
        end = time.monotonic() + self.interval
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LEASE_SECONDS / 3))
            self.keep()

    def _before_its_promotion(self, given: changed.Values) -> changed.Values:
        """With the model as it was, where a promotion has begun and was not finished."""
        if changed.is_promoted(given, self.model):
            for revision in reversed(self.helm.history()):
                earlier = self.helm.values(revision["revision"])
                if not changed.is_promoted(earlier, self.model):
                    return changed.with_model_of(given, earlier, self.model)
        return given

    def _upgrade(self, given: changed.Values, reason: str, what: str) -> None:
        self.keep()
        self.cluster.record(self.model, what)
        self.helm.upgrade(given, self._described(what))
        self.cluster.tell(self.model, reason, what)

    def _described(self, what: str) -> str:
        return f"rollout of {self.model}: {what}"
