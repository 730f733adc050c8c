"""Alerts and dashboard ask for metrics that exist, with labels that these have, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rendering import CHART, Object, named, of_kind, template, values_of

from router.telemetry import LLM_REJECTIONS

DASHBOARD = json.loads((CHART / "files/dashboards/dokuei.json").read_text())
TARGET = {"namespace", "pod", "service", "job", "instance", "le"}
"""Labels that Prometheus adds."""
OTHERS = {
    "up": set(),
    "kube_pod_status_ready_time": set(),
    "kube_pod_created": set(),
    "kubelet_volume_stats_available_bytes": {"persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"persistentvolumeclaim"},
    "DCGM_FI_DEV_GPU_UTIL": {"gpu"},
    "DCGM_FI_DEV_FB_USED": {"gpu"},
}
"""Metrics of Prometheus, kube-state-metrics, kubelet and NVIDIA's DCGM exporter, with those labels of theirs in use."""


def panels() -> list[Object]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, by the name of its alert or panel."""
    values = (
        "llm.enabled=true",
        "llm.baseUrl=https://llm/v1",
        "llm.model=m",
        "llm.sendImages=false",
        "audit.syslog.enabled=true",
        "audit.syslog.host=siem.example",
    )
    options = (word for value in ("monitoring.rules=true", *values) for word in ("--set", value))
    (rules,) = of_kind(template(CHART, *options), "PrometheusRule")
    for rule in rules["spec"]["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            shown = target["expr"].replace("$namespace", "dokuei").replace("$model", ".*")
            yield panel["title"], shown.replace("$__rate_interval", "5m")


EXPRESSIONS = list(expressions())


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that an expression selects, with the labels it selects by."""
    for name, matchers in re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


@pytest.fixture(scope="module")
def told(shared_router: httpx.Client, light_servers: dict[str, str], samples: Path) -> dict[str, set[str]]:
    """What router and light model server really tell after an analysis: labels by the name of a sample."""
    files = [("files", ("x.dcm", (samples / "chest-xray.dcm").read_bytes()))]
    shared_router.post("/api/analyses", files=files).raise_for_status()
    labels: dict[str, set[str]] = {}
    for url in (f"{shared_router.base_url}/metrics", *(f"{url}/metrics" for url in light_servers.values())):
        for family in text_string_to_metric_families(httpx.get(url).text):
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    # It tells nothing before the first reply of an LLM that is not shown.
    return labels | {f"{LLM_REJECTIONS.describe()[0].name}_total": set(LLM_REJECTIONS._labelnames)}


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_an_expression_parses_and_asks_for_what_is_told(name: str, expression: str, told: dict[str, set[str]]) -> None:
    promql_parser.parse(expression)
    known = told | OTHERS
    found = list(selectors(expression))
    assert found, f"{name} selects nothing"
    for metric, labels in found:
        assert metric in known, f"{name}: nobody tells {metric}"
        assert labels <= known[metric] | TARGET, f"{name}: {metric} has no {labels - known[metric] - TARGET}"
    kept = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    assert kept <= TARGET.union(*(known[metric] for metric, _ in found)), name


def test_every_expression_is_of_one_namespace() -> None:
    for name, expression in EXPRESSIONS:
        assert all("namespace" in labels for _, labels in selectors(expression)), name


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] for target in panel["targets"])


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    (rules,) = of_kind(template(CHART, *values_of("everything")), "PrometheusRule")
    for rule in rules["spec"]["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")


def test_the_dashboard_is_where_grafana_s_sidecar_looks(everything: list[Object]) -> None:
    found = named(everything, "ConfigMap", "dokuei-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["dokuei.json"]) == DASHBOARD


def test_the_monitors_find_router_and_models(everything: list[Object]) -> None:
    (service,), (pods,) = of_kind(everything, "ServiceMonitor"), of_kind(everything, "PodMonitor")
    router = named(everything, "Service", "dokuei-router")
    assert service["spec"]["selector"]["matchLabels"].items() <= router["metadata"]["labels"].items()
    assert {port["name"] for port in router["spec"]["ports"]} == {each["port"] for each in service["spec"]["endpoints"]}
    for model in of_kind(everything, "InferenceService"):  # KServe hands its labels on to its pods.
        assert pods["spec"]["selector"]["matchLabels"].items() <= model["metadata"]["labels"].items()
