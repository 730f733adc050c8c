"""More uploads than the router can read: a rush waits in line; where it goes on, others are told to come again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from serving import StartRouter

from router import room

AT_ONCE = 60
RUSH = 20
"""Uploads that one worker reads in a few seconds."""
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def router(start_router: StartRouter) -> httpx.Client:
    return start_router(decode_workers=1)  # Which has room for two.


@pytest.fixture
def xray(samples: Path) -> bytes:
    return (samples / "chest-xray.dcm").read_bytes()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rush has gone on for too long when it begins."""
    monkeypatch.setattr(room, "RUSH_SECONDS", -1)


def send(router: httpx.Client, files: list[bytes], headers: dict[str, str] | None = None) -> list[httpx.Response]:
    """Send the files at once."""
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(lambda file: router.post("/api/analyses", files={"files": file}, headers=headers), files))


def statuses(answers: Iterable[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_a_rush_waits_in_line(router: httpx.Client, xray: bytes) -> None:
    assert statuses(send(router, [xray] * RUSH)) == {201: RUSH}


def test_what_is_no_image_holds_nobody_in_line_up(router: httpx.Client, xray: bytes) -> None:
    answers = send(router, [xray, xray[:100]] * (RUSH // 2))
    assert statuses(answers[::2]) == {201: RUSH // 2}
    assert statuses(answers[1::2])[201] == 0


def test_who_goes_away_holds_nobody_in_line_up(router: httpx.Client, xray: bytes) -> None:
    def leave() -> None:
        with (
            httpx.Client(base_url=router.base_url, timeout=0.1, trust_env=False) as client,
            suppress(httpx.ReadTimeout),
        ):
            client.post("/api/analyses", files={"files": xray})

    with ThreadPoolExecutor(RUSH) as pool:
        for _ in range(RUSH):
            pool.submit(leave)
        assert statuses(send(router, [xray] * RUSH)) == {201: RUSH}


def test_nobody_waits_longer_than_clients_do(
    router: httpx.Client, xray: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.1)
    assert statuses(send(router, [xray] * RUSH)).keys() == {201, 503}
    assert statuses(send(router, [xray])) == {201: 1}


def test_a_line_has_an_end(router: httpx.Client, xray: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST_LINE", 5)
    assert statuses(send(router, [xray] * AT_ONCE)).keys() == {201, 503}


def test_a_rush_that_does_not_end_is_refused_until_it_has(
    router: httpx.Client, xray: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RUSH_SECONDS", 1)
    monkeypatch.setattr(room, "CALM_SECONDS", 2)
    refused: list[float] = []
    began = time.monotonic()

    def client() -> None:
        while time.monotonic() < began + 4:
            sent = time.monotonic()
            if router.post("/api/analyses", files={"files": xray}).status_code == 503:
                refused.append(sent - began)
                time.sleep(0.2)

    clients = [threading.Thread(target=client) for _ in range(RUSH)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert refused
    assert min(refused) >= room.RUSH_SECONDS - 0.5
    time.sleep(room.CALM_SECONDS + 0.5)
    assert statuses(send(router, [xray] * (RUSH // 4))) == {201: RUSH // 4}


@pytest.mark.usefixtures("late")
def test_what_there_is_no_room_for_is_told_to_come_again(router: httpx.Client, xray: bytes) -> None:
    answers = send(router, [xray] * AT_ONCE)
    assert statuses(answers).keys() == {201, 503}
    assert statuses(answers)[201] >= 2
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["type"] for answer in refused} == {"/problems/overloaded"}
    again = {int(answer.headers["retry-after"]) for answer in refused}
    assert min(again) >= 2
    assert len(again) > 3, "they do not all come again at once"
    listed = {each["id"] for each in router.get("/api/analyses?limit=500").json()["items"]}
    assert listed == {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert statuses(send(router, [xray])) == {201: 1}


@pytest.mark.usefixtures("late")
def test_a_stream_finds_no_room_before_it_begins(router: httpx.Client, xray: bytes) -> None:
    answers = send(router, [xray] * AT_ONCE, EVENTS)
    assert statuses(answers).keys() == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert all("event: result" in answer.text for answer in answers if answer.status_code == 200)
