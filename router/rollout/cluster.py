"""What a rollout needs of Kubernetes: a lease, so that one operator acts; events; traffic; and a way to the router."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes
from kubernetes.client import ApiException
from kubernetes.stream import portforward

from router import token
from router.kserve import ABORTED, CARD_ANNOTATION, GROUP, PLURAL, VERSION

from .errors import RolloutError
from .operator import operator

LEASE_SECONDS = 15
"""A lease that was not renewed for so long is of a program that was killed, and may be taken."""
ROUTER_PORT = 8000


class Cluster:
    """The namespace of a release.

    Raises:
        RolloutError: there is no kubeconfig.
    """

    def __init__(self, release: str, namespace: str) -> None:
        try:
            kubernetes.config.load_config()
        except kubernetes.config.ConfigException as error:
            raise RolloutError(f"there is no way to a cluster: {error}") from error
        self.release, self.namespace = release, namespace
        self._core = kubernetes.client.CoreV1Api()
        self._leases = kubernetes.client.CoordinationV1Api()
        self._services = kubernetes.client.CustomObjectsApi()
        self._deployments = kubernetes.client.AppsV1Api()

    # Who acts.

    def take(self, model: str) -> None:
        """Take the lease of a model's rollout.

        Raises:
            RolloutError: somebody else has it.
        """
        name, now = _lease(model), datetime.now(UTC)
        spec = {
            "holderIdentity": operator(),
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": _micro(now),
            "renewTime": _micro(now),
        }
        try:
            found = self._leases.read_namespaced_lease(name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise RolloutError(f"the lease {name} cannot be read: {error.reason}") from error
            body = {"metadata": {"name": name, "ownerReferences": [self._owner(model)]}, "spec": spec}
            self._write(lambda: self._leases.create_namespaced_lease(self.namespace, body))
            return
        holder, renewed = found.spec.holder_identity, found.spec.renew_time
        if holder and holder != operator() and renewed and now - renewed < timedelta(seconds=LEASE_SECONDS):
            raise RolloutError(
                f"{holder} is rolling out {model}, and acted {(now - renewed).total_seconds():.0f} s ago; "
                "`dokuei rollout pause` stops that"
            )
        version = {"resourceVersion": found.metadata.resource_version}
        self._write(
            lambda: self._leases.patch_namespaced_lease(name, self.namespace, {"metadata": version, "spec": spec})
        )

    def renew(self, model: str) -> None:
        """Say that this operator still acts.

        Raises:
            RolloutError: somebody has taken the lease away.
        """
        found = self._leases.read_namespaced_lease(_lease(model), self.namespace)
        if found.spec.holder_identity != operator():
            raise RolloutError(f"the rollout was stopped by {found.spec.holder_identity or 'its pause'}")
        self.take(model)

    def release_lease(self, model: str) -> None:
        """Take the lease away from whoever has it."""
        try:
            self._leases.patch_namespaced_lease(
                _lease(model), self.namespace, {"spec": {"holderIdentity": "", "renewTime": None}}
            )
        except ApiException as error:
            if error.status != 404:
                raise RolloutError(f"the lease of {model} cannot be written: {error.reason}") from error

    def holder(self, model: str) -> str | None:
        """Who is rolling out the model."""
        try:
            spec = self._leases.read_namespaced_lease(_lease(model), self.namespace).spec
        except ApiException:
            return None
        fresh = spec.renew_time and datetime.now(UTC) - spec.renew_time < timedelta(seconds=LEASE_SECONDS)
        holder: str | None = spec.holder_identity
        return holder if holder and fresh else None

    def _write(self, write: Any) -> None:
        try:
            write()
        except ApiException as error:
            if error.status == 409:
                raise RolloutError("another operator was faster; `dokuei rollout status` tells who") from error
            raise RolloutError(f"the lease cannot be written: {error.reason}") from error

    def _owner(self, model: str) -> dict[str, Any]:
        """With the InferenceService its lease goes."""
        service = self._service(model)
        return {
            "apiVersion": service["apiVersion"],
            "kind": service["kind"],
            "name": model,
            "uid": service["metadata"]["uid"],
        }

    def _service(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self._services.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL, model
        )
        return found

    # What is done.

    def take_traffic_away(self, model: str, why: str) -> None:
        """Let the stable version read everything, at once, whatever Helm says of the candidate until it may read."""
        self._mark(model, why)

    def let_read(self, model: str) -> None:
        """Let the candidate read again what Helm's values say."""
        self._mark(model, None)

    def aborted(self, model: str) -> str | None:
        """Why the candidate reads nothing, whatever Helm's values say."""
        data: dict[str, str] = self._core.read_namespaced_config_map(self._traffic, self.namespace).data or {}
        return data.get(model + ABORTED)

    def _mark(self, model: str, why: str | None) -> None:
        # A key of its own, that no chart has: a helm that nobody waits for any more cannot take it away.
        self._core.patch_namespaced_config_map(self._traffic, self.namespace, {"data": {model + ABORTED: why}})

    @property
    def _traffic(self) -> str:
        return f"{self.release}-traffic"

    def record(self, model: str, what: str, *, done: bool = False) -> None:
        """Write a step into the audit log, before it is taken.

        Args:
            done: it was taken already, for the patients' sake; where the log does not take it, a warning is all.

        Raises:
            RolloutError: it is not written down.
        """
        try:
            self._request("POST", f"/api/rollouts/{quote(model)}/steps", {"what": what[:1000]})
        except (RolloutError, ApiException) as error:
            if not done:
                raise RolloutError(f"not done, because the audit log does not take {what!r}: {error}") from error
            print(f"warning: the audit log does not tell of {what!r}: {error}", file=sys.stderr)

    def tell(self, model: str, reason: str, message: str, *, warning: bool = False) -> None:
        """Record a Kubernetes Event of the model's InferenceService."""
        now = datetime.now(UTC)
        self._core.create_namespaced_event(
            self.namespace,
            {
                "metadata": {"generateName": f"{model}-rollout-"},
                "involvedObject": {**self._owner(model), "namespace": self.namespace},
                "reason": reason,
                "message": message[:1024],
                "type": "Warning" if warning else "Normal",
                "source": {"component": "dokuei-rollout"},
                "reportingComponent": "dokuei.io/rollout",
                "reportingInstance": operator(),
                "firstTimestamp": now.isoformat(),
                "lastTimestamp": now.isoformat(),
                "count": 1,
            },
        )

    def served_by_newest(self, model: str) -> bool:
        """Whether the model's Deployment has its newest pods and no others, all of them available."""
        found = self._deployments.read_namespaced_deployment(f"{model}-predictor", self.namespace)
        wanted = self._service(model)["metadata"]["annotations"][CARD_ANNOTATION]
        if found.spec.template.metadata.annotations.get(CARD_ANNOTATION) != wanted:
            return False  # KServe has not come to it yet; it hands the annotations on to the pods.
        status = found.status
        counts = (status.replicas, status.updated_replicas, status.available_replicas)
        return status.observed_generation == found.metadata.generation and counts == (found.spec.replicas,) * 3

    # What is known.

    def ask_router(self, path: str, **query: str) -> dict[str, Any]:
        """Ask a router of the release.

        Raises:
            RolloutError: none is Ready, or it answers with a problem.
        """
        answer: dict[str, Any] = json.loads(self._request("GET", f"{path}?{urlencode(query)}" if query else path))
        return answer

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Through the API server to a router's pod, whatever stands before its Service."""
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component=router"
        pods = self._core.list_namespaced_pod(self.namespace, label_selector=selector).items
        ready = [
            pod.metadata.name
            for pod in pods
            if any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])
        ]
        if not ready:
            raise RolloutError(f"no router of {self.release} is Ready in namespace {self.namespace}")
        forward = portforward(
            self._core.connect_get_namespaced_pod_portforward, ready[0], self.namespace, ports=str(ROUTER_PORT)
        )
        connection = http.client.HTTPConnection("127.0.0.1", timeout=30)
        connection.sock = forward.socket(ROUTER_PORT)
        content = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), token.headers() | content)
            answer = connection.getresponse()
            said = answer.read()
        except OSError as error:
            raise RolloutError(f"the router {ready[0]} gave no answer: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise RolloutError(f"the router says: {json.loads(said).get('detail', answer.reason)}")
        return said


def _lease(model: str) -> str:
    return f"dokuei-rollout-{model}"


def _micro(moment: datetime) -> str:
    """MicroTime of Kubernetes."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
