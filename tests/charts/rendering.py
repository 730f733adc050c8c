"""Renders the chart with the real Helm, and finds the pods in what it renders."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from paths import ROOT

CHART = ROOT / "charts/dokuei"
HELM = ROOT / ".cache/bin/helm"
SCENARIOS = sorted(file.name.removesuffix("-values.yaml") for file in (CHART / "ci").glob("*-values.yaml"))

Object = dict[str, Any]


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert HELM.is_file(), f"{HELM} is missing; `make test` builds it"
    command = [HELM, *arguments, "--kube-version", "1.34.0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def template(chart: Path, *options: str | Path) -> list[Object]:
    """The objects of a rendered chart, those of `helm test` among them."""
    done = helm("template", "dokuei", chart, "--namespace", "dokuei", *options)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.load_all(done.stdout, yaml.CSafeLoader) if found]


def values_of(scenario: str) -> tuple[str, Path]:
    """Options of Helm for a scenario of the chart's ci/."""
    return "--values", CHART / f"ci/{scenario}-values.yaml"


def refusal(*options: str | Path) -> str:
    """What Helm says instead of rendering."""
    done = helm("template", "dokuei", CHART, *options)
    assert done.returncode != 0, "it was rendered"
    return done.stderr


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Name, labels and specification of every pod that the objects bring about, as far as they say it themselves.

    An InferenceService's pod is its ServingRuntime's with what the service adds: KServe's own merge, in short.
    """
    runtimes = {found["metadata"]["name"]: found["spec"] for found in objects if found["kind"] == "ServingRuntime"}
    for found in objects:
        name = f"{found['kind']} {found['metadata']['name']}"
        match found["kind"]:
            case "Deployment" | "DaemonSet":
                yield name, found["spec"]["template"]["metadata"]["labels"], found["spec"]["template"]["spec"]
            case "Pod":
                yield name, found["metadata"]["labels"], found["spec"]
            case "InferenceService":
                predictor = found["spec"]["predictor"]
                runtime = runtimes[predictor["model"]["runtime"]]
                server = {**runtime["containers"][0], **{k: predictor["model"][k] for k in ("resources",)}}
                pod = {
                    **predictor,
                    "containers": [server, *predictor.get("containers", [])],
                    "volumes": [*runtime["volumes"], *predictor.get("volumes", [])],
                }
                yield name, found["metadata"]["labels"], pod


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [found for found in of_kind(objects, kind) if found["metadata"]["name"] == name]
    return found
