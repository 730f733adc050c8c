"""Nothing that identifies a patient leaves: canaries in everything that a file can say, and where they must not be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from adversary import GOOD
from canaries import Maker, Study, canaries_in, identifying
from fake_llm import FakeLlm
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from serving import StartProcess, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STUDIES = 1000
MODELS = {"nii": "brain-mri-tumour", "dcm": ""}
"""Which model is asked for; noise is no image that the modality model would know."""


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def take(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        return Response()

    def spans(self) -> int:
        found = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return sum(len(scope.spans) for each in found for traced in each.resource_spans for scope in traced.scope_spans)


def send(router: httpx.Client, study: Study) -> httpx.Response:
    model = MODELS.get(study.name.rsplit(".")[-1], "chest-xray-pneumonia")
    return router.post("/api/analyses", files={"files": (study.name, study.data)}, data={"model": model})


@pytest.mark.timeout(1200)
def test_no_word_of_a_thousand_studies_is_sent_logged_traced_counted_answered_or_kept(
    start_process: StartProcess,
    llm: FakeLlm,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    collector, maker = Collector(), Maker()
    llm.reply = dict(zip(("finding", "evidence", "limits"), GOOD["en"], strict=True))
    with serving(Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])) as traces:
        router, log = start_process(
            DOKUEI_LLM_BASE_URL=llm.url,
            DOKUEI_LLM_MODEL="words-1",
            DOKUEI_LLM_SEND_IMAGES="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=traces,
            OTEL_BSP_SCHEDULE_DELAY="200",
        )
        answers: dict[int, int] = {}
        places: dict[str, bytes] = {"answers": b"", "urls": b""}
        canaries: set[bytes] = set()
        for number in range(STUDIES):
            study = maker.study(number)
            answer = send(router, study)
            assert not study.usable or answer.status_code == 201, (study.name, answer.text)
            if study.usable:
                assert has_pictures(llm.requests[-1]) == study.pictures, study.name
            answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
            places["answers"] += answer.content
            places["urls"] += str(answer.headers).encode()
            canaries.update(study.canaries)
        places["metrics"] = router.get("/metrics").content
        places["audit log"] = b"\n".join(said(tmp_path, "SELECT event FROM audit"))
        places["analyses"] = b"\n".join(said(tmp_path, "SELECT document FROM analyses"))
        places["database"] = b"".join(file.read_bytes() for file in tmp_path.glob("dokuei.db*"))
    places["log"] = log.read_bytes()
    places["traces"] = b"".join(collector.bodies)
    places["LLM"] = b"".join(llm.bodies)
    assert answers[201] > 700, "most were analysed"
    assert answers[422] > 100, "and others refused"
    assert set(answers) <= {201, 413, 422}
    assert len(llm.requests) >= answers[201]
    assert collector.spans() > STUDIES
    assert places["log"].count(b'"event": "request"') >= STUDIES
    assert len(canaries) > 100 * STUDIES
    for place, held in places.items():
        assert held, place
        assert canaries.isdisjoint(canaries_in(held)), place
    record_property("measured", f"{len(canaries)} canaries in {STUDIES} studies, {answers} answers")


def has_pictures(asked: dict[str, Any]) -> bool:
    return '"image_url"' in json.dumps(asked)


def said(folder: Path, query: str) -> list[bytes]:
    with closing(sqlite3.connect(folder / "dokuei.db")) as connection:
        return [str(row[0]).encode() for row in connection.execute(query)]


def test_the_studies_say_all_that_the_standard_calls_identifying() -> None:
    study = next(made for number in range(8) if (made := Maker().study(number)).name.endswith(".dcm") and made.usable)
    assert len(identifying()) > 500
    assert len(study.canaries) > 500
    unsaid = set(study.canaries[1:]) - set(canaries_in(study.data))
    assert unsaid == set(), "a canary that is not in the file would be found nowhere"
