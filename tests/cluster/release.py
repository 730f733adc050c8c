"""Talks to the cluster with kubectl and Helm, and to a release of Dokuei in it."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
from localcluster.addons import renew_volumes
from localcluster.layout import KUBECONFIG, PROGRAMS, ROOT

CHART = ROOT / "charts" / "dokuei"
VALUES = Path(__file__).with_name("values.yaml")
HELM = ROOT / ".cache" / "bin" / "helm"
MODELS = ("brain-mri-tumour", "chest-xray-pneumonia", "modality")
READY_SECONDS = 300
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
SERVICES, RUNTIMES = "inferenceservices", "servingruntimes"
STORAGE_ANNOTATION = "internal.serving.kserve.io/storage-initializer-sourceuri"
"""On pods: where their archive comes from. KServe's webhook makes volumes of it when a pod is created."""
T = TypeVar("T")


class Refused(Exception):
    """kubectl or Helm ended with an error; holds what it said."""


def is_own() -> bool:
    """Whether this is the cluster of `make cluster-up`: addresses in it are reached from here, and nodes may break."""
    return os.environ.get("KUBECONFIG") == str(KUBECONFIG)


@cache
def proxy() -> str:
    """URL of the API server without its credentials, until this process ends."""
    process = subprocess.Popen([PROGRAMS / "kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
    atexit.register(process.terminate)
    assert process.stdout is not None
    return f"http://{process.stdout.readline().split()[-1]}"  # Starting to serve on 127.0.0.1:34567


def kubectl(*arguments: str | Path, text: str | None = None) -> str:
    """The output of kubectl; `text` is its input."""
    return _run([PROGRAMS / "kubectl", *arguments], text)


def helm(*arguments: str | Path) -> str:
    """The output of Helm, with what its hooks said."""
    return _run([HELM, *arguments], None, errors=subprocess.STDOUT)


def _run(command: Sequence[str | Path], text: str | None, errors: int = subprocess.PIPE) -> str:
    ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=errors, text=True, input=text)
    if ran.returncode != 0:
        raise Refused(f"{' '.join(map(str, command[:4]))} …: {(ran.stderr or ran.stdout).strip()}")
    return ran.stdout


def objects(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """The objects of a kind in a namespace."""
    found = kubectl("--namespace", namespace, "get", kind, "--selector", selector, "--output", "json")
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return items


def eventually(ask: Callable[[], T], what: str, seconds: float = READY_SECONDS, pause: float = 0.2) -> T:
    """The first answer that is true; fails after `seconds`, and says what was waited for and the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer: Any = ask()
        except (Refused, httpx.HTTPError) as error:
            answer, problem = None, repr(error)
        else:
            problem = repr(answer)
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not after {seconds} s; at last: {problem}"
        time.sleep(pause)


def is_ready(thing: Mapping[str, Any]) -> bool:
    """Whether the condition Ready of a pod or an InferenceService is true."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _is_of(deployment: Mapping[str, Any], service: Mapping[str, Any], runtime: Mapping[str, Any]) -> bool:
    """Whether KServe has made the Deployment what its InferenceService and ServingRuntime say now.

    KServe 0.20 tells another number than theirs as the generation it has observed.
    """
    predictor = service["spec"]["predictor"]
    template = deployment["spec"]["template"]
    (server,) = [each for each in template["spec"]["containers"] if each["name"] == "kserve-container"]
    (wanted,) = runtime["spec"]["containers"]
    return (
        template["metadata"]["annotations"][STORAGE_ANNOTATION] == predictor["model"]["storageUri"]
        and server["image"] == wanted["image"]
        and all(variable in server["env"] for variable in wanted["env"])
        and deployment["spec"]["replicas"] == predictor["minReplicas"]
    )


@dataclass
class Release:
    """Dokuei, installed by Helm as `dokuei` in a namespace that enforces Pod Security `restricted`."""

    namespace: str
    settings: tuple[str, ...] = ()
    """Values beside those of values.yaml, as Helm's arguments."""
    models: tuple[str, ...] = field(default=MODELS)

    def install(self, prepare: Callable[[str], None] | None = None) -> None:
        """Install it, once `prepare` was called with its namespace, and wait until all is ready."""
        kubectl("create", "namespace", self.namespace)
        kubectl("label", "namespace", self.namespace, RESTRICTED)
        if prepare is not None:
            prepare(self.namespace)
        helm("install", "dokuei", CHART, *self._arguments())
        self.wait()

    def apply(self, *settings: str) -> None:
        """Upgrade to other settings in place of those before."""
        self.settings = settings
        helm("upgrade", "dokuei", CHART, *self._arguments())

    def upgrade(self, *settings: str) -> None:
        """Upgrade to other settings in place of those before, and wait until the new pods alone serve."""
        self.apply(*settings)
        self.wait()

    def _arguments(self) -> tuple[str | Path, ...]:
        return ("--namespace", self.namespace, "--values", VALUES, *self.settings)

    def uninstall(self) -> None:
        """Take it away with its namespace."""
        helm("uninstall", "dokuei", "--namespace", self.namespace, "--ignore-not-found", "--wait")
        # A namespace with a pod in it is looked at again only after half of the time that the pod may take.
        kubectl("--namespace", self.namespace, "wait", "--for=delete", "pods", "--all", f"--timeout={READY_SECONDS}s")
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found")
        if is_own():
            renew_volumes()

    def wait(self) -> None:
        """Wait until every Deployment has its newest pods and no others, and the router serves the models."""
        expected = {f"{model}-predictor" for model in self.models} | {"dokuei-router"}
        # Not often: each of the three looks costs a tenth of a second of a processor that the pods need.
        eventually(lambda: self._settled() >= expected, f"deployments of {self.namespace}", pause=2)
        eventually(lambda: set(self.served()) == set(self.models), "models at the router")

    def _settled(self) -> set[str]:
        """Names of the Deployments that have their newest pods and no others."""
        found = set()
        services = {f"{each['metadata']['name']}-predictor": each for each in objects(SERVICES, self.namespace)}
        runtimes = {each["metadata"]["name"]: each for each in objects(RUNTIMES, self.namespace)}
        for deployment in objects("deployments", self.namespace):
            name, status = deployment["metadata"]["name"], deployment.get("status", {})
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            observed = status.get("observedGeneration") == deployment["metadata"]["generation"]
            service = services.get(name)
            if service is not None:
                runtime = runtimes[service["spec"]["predictor"]["model"]["runtime"]]
                observed = observed and _is_of(deployment, service, runtime)
            if observed and counts == [deployment["spec"]["replicas"]] * 3:
                found.add(name)
        return found

    def address(self, service: str) -> str:
        """URL of a Service on its first port; of another's cluster, by way of its API server."""
        (found,) = [each for each in objects("services", self.namespace) if each["metadata"]["name"] == service]
        port = found["spec"]["ports"][0]["port"]
        if is_own():
            return f"http://{found['spec']['clusterIP']}:{port}"
        return f"{proxy()}/api/v1/namespaces/{self.namespace}/services/{service}:{port}/proxy"

    def pods(self, model: str | None = None) -> list[dict[str, Any]]:
        """The pods of a model, or of the router, that are there to stay."""
        selector = f"serving.kserve.io/inferenceservice={model}" if model else "app.kubernetes.io/component=router"
        found = objects("pods", self.namespace, selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @cached_property
    def router(self) -> httpx.Client:
        """A client of the router."""
        return httpx.Client(base_url=self.address("dokuei-router"), timeout=60, trust_env=False)

    def served(self) -> dict[str, dict[str, Any]]:
        """What `/api/models` tells, by name."""
        response = self.router.get("/api/models").raise_for_status()
        return {entry["name"]: entry for entry in response.json()["items"]}

    def analyse(self, *files: Path, **fields: str) -> httpx.Response:
        """Post files for analysis."""
        return self.router.post("/api/analyses", files=[("files", file.read_bytes()) for file in files], data=fields)
