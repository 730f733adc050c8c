"""More uploads than the router can read: some are answered, the others are told to come again, and none is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from serving import StartRouter

AT_ONCE = 60


def test_what_there_is_no_room_for_is_told_to_come_again(start_router: StartRouter, samples: Path) -> None:
    router = start_router(decode_workers=1)  # Which has room for two.
    xray = (samples / "chest-xray.dcm").read_bytes()

    def send(_: int) -> httpx.Response:
        return router.post("/api/analyses", files={"files": xray})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, range(AT_ONCE)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {201, 503}
    assert statuses[201] >= 2
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["type"] for answer in refused} == {"/problems/overloaded"}
    again = {int(answer.headers["retry-after"]) for answer in refused}
    assert min(again) >= 2
    assert len(again) > 3, "they do not all come again at once"
    listed = {each["id"] for each in router.get("/api/analyses?limit=500").json()["items"]}
    assert listed == {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert send(0).status_code == 201


def test_a_stream_finds_no_room_before_it_begins(start_router: StartRouter, samples: Path) -> None:
    router = start_router(decode_workers=1)
    xray = (samples / "chest-xray.dcm").read_bytes()

    def send(_: int) -> httpx.Response:
        return router.post("/api/analyses", files={"files": xray}, headers={"Accept": "text/event-stream"})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert all("event: result" in answer.text for answer in answers if answer.status_code == 200)
