"""What Prometheus is told: by real requests, through /metrics."""

from __future__ import annotations

from pathlib import Path

import httpx
from paths import STORE
from prometheus_client.parser import text_string_to_metric_families
from serving import StartRouter
from test_api import send

from handlers.contract.card import load_card

CARD = load_card(STORE / "chest-xray-pneumonia")
CHEST = {"model": CARD.name, "version": CARD.version, "variant": "stable"}


def told(client: httpx.Client, sample: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        found.value
        for family in families
        for found in family.samples
        if found.name == sample and labels.items() <= found.labels.items()
    )


def test_an_analysis_is_counted_and_timed_by_model_version_and_variant(
    start_router: StartRouter, samples: Path
) -> None:
    client = start_router()
    names = ("dokuei_analyses_total", "dokuei_analysis_seconds_count", "dokuei_model_request_seconds_count")
    before = [told(client, name, **CHEST) for name in names]
    send(client, ("x", (samples / "chest-xray.dcm").read_bytes())).raise_for_status()
    assert [told(client, name, **CHEST) for name in names] == [count + 1 for count in before]


def test_a_reader_s_verdict_is_counted_once_whatever_reason_is_added(start_router: StartRouter, samples: Path) -> None:
    client = start_router()
    location = send(client, ("x", (samples / "chest-xray.dcm").read_bytes())).headers["location"]
    verdicts = [told(client, "dokuei_reviews_total", **CHEST, verdict=verdict) for verdict in ("agree", "disagree")]
    for said in (
        {"verdict": "agree"},
        {"verdict": "agree", "reason": "clear"},
        {"verdict": "disagree", "reason": "no"},
    ):
        client.put(f"{location}/review", json=said).raise_for_status()
    after = [told(client, "dokuei_reviews_total", **CHEST, verdict=verdict) for verdict in ("agree", "disagree")]
    assert after == [count + 1 for count in verdicts]


def test_requests_are_counted_by_route_and_never_by_address(start_router: StartRouter) -> None:
    client = start_router()
    client.get("/api/analyses/no-such-study")
    client.request("PROPFIND", "/secret-path")
    text = client.get("/metrics").text
    assert told(client, "dokuei_http_requests_total", method="GET", route="/api/analyses/{id}") >= 1
    assert told(client, "dokuei_http_requests_total", method="other") >= 1
    assert "no-such-study" not in text
    assert "secret-path" not in text


def test_what_is_counted_begins_at_zero_for_every_served_model(
    start_router: StartRouter, light_servers: dict[str, str]
) -> None:
    """Prometheus sees no increase in a counter that it first meets at 1."""
    client = start_router()
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    served = {found.labels["model"] for found in families["dokuei_served_models"].samples}
    assert served == set(light_servers)
    verdicts = {found.labels["verdict"] for found in families["dokuei_reviews"].samples}
    assert {"agree", "disagree"} <= verdicts


def test_a_model_that_does_not_answer_is_told_as_unavailable(
    start_router: StartRouter, light_servers: dict[str, str], samples: Path
) -> None:
    gone = {
        name: "http://127.0.0.1:9" if name == "chest-xray-pneumonia" else url for name, url in light_servers.items()
    }
    client = start_router(model_endpoints=gone)
    before = told(client, "dokuei_model_request_seconds_count", **CHEST, outcome="unavailable")
    assert send(client, ("x", (samples / "chest-xray.dcm").read_bytes())).status_code == 503
    assert told(client, "dokuei_model_request_seconds_count", **CHEST, outcome="unavailable") == before + 1
