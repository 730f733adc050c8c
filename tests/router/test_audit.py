"""The audit log: every act has its event, no act is done without it, and what is changed in it shows."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from analyses import analysis
from fake_llm import FakeLlm
from fhir.resources.R4B.auditevent import AuditEvent
from identity import Provider, bearer, oidc
from serving import StartRouter
from sqlalchemy import create_engine, text

from router.audit import chain
from router.audit.event import Actor
from router.cli import entry
from router.database import Database, now
from router.errors import StoreUnavailable
from router.store import Store
from router.user import User

AUTHORS = {"AUT", "INF", "CST"}
BALP = {
    "Create": ("create", "C", "110153", "110152", AUTHORS),
    "Read": ("read", "R", "110152", "110153", {"IRCP"}),
    "Update": ("update", "U", "110153", "110152", AUTHORS),
    "Delete": ("delete", "D", "110150", "custodian", AUTHORS),
    "Query": ("search", "E", "110153", "110152", {"IRCP"}),
}
"""IHE BALP 1.1.3: interaction, action, types of client and server, and what the user may be, by profile."""

Event = dict[str, Any]
Told = tuple[str | None, str, str, str]
"""User, subtype, outcome, and what it was done to."""


def audit(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dokuei audit` in this process, as a program of its own would."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"DOKUEI_DATABASE_URL": database, "COLUMNS": "300"}
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["dokuei", "audit", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        entry()
    code = ended.value.code
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def exported(database: str) -> list[Event]:
    ran = audit(database, "export")
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def told(events: Sequence[Event]) -> list[Told]:
    return [(user(event), event["subtype"][0]["code"], event["outcome"], about(event)) for event in events]


def user(event: Event) -> str | None:
    users = [agent["who"]["identifier"]["value"] for agent in event["agent"] if "name" in agent]
    return users[0] if users else None


def about(event: Event) -> str:
    entity = event["entity"][0]
    if "query" in entity:
        said: str = entity["description"]
        assert base64.b64decode(entity["query"]).decode() == said
        return said
    value: str = entity["what"]["identifier"]["value"]
    return value


def assert_is_fhir_and_balp(event: Event) -> None:
    AuditEvent.model_validate(event)
    codes = [agent["type"]["coding"][0]["code"] for agent in event["agent"]]
    assert sum(agent["requestor"] for agent in event["agent"]) == 1
    for profile in event.get("meta", {}).get("profile", []):
        name = profile.removeprefix("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.")
        subtype, action, client, server, participations = BALP[name]
        assert event["type"]["code"] == "rest"
        assert [each["code"] for each in event["subtype"]] == [subtype]
        assert (event["action"], event["outcome"], codes[:2]) == (action, "0", [client, server])
        assert set(codes[2:]) <= participations
        assert all("network" in agent and "who" in agent for agent in event["agent"][:2])
        assert all("network" not in agent for agent in event["agent"][2:])
        [entity] = event["entity"]
        assert (entity["type"]["code"], entity["role"]["code"]) == ("2", "24" if name == "Query" else "4")
        assert ("query" in entity, "what" in entity) == (name == "Query", name != "Query")


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Of the routers that `start_router` starts."""
    return f"sqlite:///{tmp_path / 'dokuei.db'}"


@pytest.fixture
def router(idp: Provider, start_router: StartRouter) -> httpx.Client:
    return start_router(**oidc(idp))


def send(router: httpx.Client, file: Path, token: str | None = None, **fields: str) -> str:
    headers = {} if token is None else bearer(token)
    sent = router.post("/api/analyses", headers=headers, files={"files": file.read_bytes()}, data=fields)
    assert sent.status_code == 201, sent.text
    study: str = sent.json()["id"]
    return study


def test_each_act_leaves_an_event_that_tells_who_did_what(
    router: httpx.Client, idp: Provider, samples: Path, database: str
) -> None:
    clara, vera, olga = (bearer(idp.token(subject)) for subject in ("clara", "vera", "olga"))
    study = send(router, samples / "chest-xray.dcm", idp.token("clara"))
    path = f"/api/analyses/{study}"
    model = router.get(path, headers=clara).json()["model"]
    router.get("/api/analyses?limit=7", headers=vera).raise_for_status()
    router.get(path, headers=vera).raise_for_status()
    router.post(f"{path}/explanation", headers=clara, json={"language": "ja"}).raise_for_status()
    router.put(f"{path}/review", headers=clara, json={"verdict": "disagree", "reason": "CANARY"}).raise_for_status()
    router.delete(f"{path}/review", headers=clara).raise_for_status()
    router.get("/api/reviews.csv?verdict=agree", headers=olga).raise_for_status()
    router.post(
        "/api/rollouts/chest-xray-pneumonia/steps", headers=olga, json={"what": "the candidate is at 5 %"}
    ).raise_for_status()
    router.delete(path, headers=clara).raise_for_status()
    events = exported(database)
    assert told(events) == [
        ("clara", "create", "0", study),
        ("vera", "search", "0", "analyses, limit=7"),
        ("vera", "read", "0", study),
        ("clara", "update", "0", study),
        ("clara", "update", "0", study),
        ("clara", "update", "0", study),
        ("olga", "disclose", "0", "reviews, verdict=agree"),
        ("olga", "110131", "0", "chest-xray-pneumonia"),
        ("clara", "delete", "0", study),
    ]
    for event in events:
        assert_is_fhir_and_balp(event)
    assert [event["id"] for event in events] == [str(number) for number in range(1, 10)]
    assert [each["valueString"] for event in events for each in event["entity"][0].get("detail", [])] == [
        f"{model['name']} {model['version']}", "template", "disagree", "taken back", "0", "the candidate is at 5 %",
    ]  # fmt: skip
    client, _, person = events[0]["agent"]
    assert client["network"]["address"] == "127.0.0.1"
    assert (person["name"], [role["text"] for role in person["role"]]) == ("Clara", ["clinician"])
    assert "CANARY" not in json.dumps(events), "what readers write stays with the study, and goes with it"


def test_all_pictures_of_a_study_are_one_opening_of_each_reader(
    router: httpx.Client, idp: Provider, samples: Path, database: str
) -> None:
    study = send(router, samples / "brain-mri.zip", idp.token("nils"))
    for subject in ("clara", "clara", "nils"):
        for picture in ("", "/images/0.png", "/images/3.png", "/masks/3.png", "/points.bin"):
            answer = router.get(f"/api/analyses/{study}{picture}", headers=bearer(idp.token(subject)))
            answer.raise_for_status()
    assert told(exported(database)) == [("nils", "create", "0", study), ("clara", "read", "0", study)]


async def opened_at_once(store: Store, times: int) -> None:
    await asyncio.gather(*(store.get("id-1") for _ in range(times)))


def test_an_opening_by_many_requests_at_once_is_one(store: Store, runner: asyncio.Runner, url: str) -> None:
    runner.run(store.add(analysis(1), {}))
    reader = Actor(User("vera", "Vera", frozenset({"viewer"})), "192.0.2.7")
    runner.run(opened_at_once(store.on_behalf_of(reader), 20))
    assert told(exported(url)) == [(None, "create", "0", "id-1"), ("vera", "read", "0", "id-1")]


def clock(hours: int) -> datetime:
    """A wrong one."""
    return now() + timedelta(hours=hours)


def test_looks_after_the_clock_went_back_are_in_the_log_too_and_the_log_is_whole(
    store: Store, runner: asyncio.Runner, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run(store.add(analysis(1), {}))
    vera = store.on_behalf_of(Actor(User("vera", "Vera", frozenset({"viewer"})), "192.0.2.7"))
    for hours in (0, -26, -25, 48):
        monkeypatch.setattr(chain, "now", partial(clock, hours))
        for _ in range(3):
            runner.run(vera.get("id-1"))
    assert told(exported(url)) == [(None, "create", "0", "id-1"), *[("vera", "read", "0", "id-1")] * 4]
    assert "all as they were written" in audit(url, "verify").stdout


def test_who_is_refused_is_in_the_log(router: httpx.Client, idp: Provider, samples: Path, database: str) -> None:
    study = send(router, samples / "chest-xray.dcm", idp.token("clara"))
    path = f"/api/analyses/{study}"
    assert router.get(path).status_code == 401, "without a token there is nobody to tell of"
    assert router.get(path, headers=bearer(idp.token("clara", client="other"))).status_code == 401
    assert router.delete(path, headers=bearer(idp.token("vera"))).status_code == 403
    assert router.get(path, headers=bearer(idp.token("nils"))).status_code == 404
    assert router.get(path + "0", headers=bearer(idp.token("nils"))).status_code == 404, "there is no such study"
    xray = {"files": (samples / "chest-xray.dcm").read_bytes()}
    assert router.post("/api/analyses", headers=bearer(idp.token("stray")), files=xray).status_code == 403
    events = exported(database)[1:]
    assert told(events) == [
        (None, "110122", "4", "GET /api/analyses/{id}"),
        ("vera", "110132", "4", study),
        ("nils", "110132", "4", study),
        ("stray", "110132", "4", "POST /api/analyses"),
    ]
    reasons = ["the token is not good", "needs the role clinician", "another department's", "belongs to no department"]
    for event, reason in zip(events, reasons, strict=True):
        assert_is_fhir_and_balp(event)
        assert reason in event["outcomeDesc"]


def test_an_act_whose_event_cannot_be_written_is_not_done(
    start_router: StartRouter, samples: Path, tmp_path: Path
) -> None:
    router = start_router()
    study = send(router, samples / "chest-xray.dcm")
    path = f"/api/analyses/{study}"
    router.put(f"{path}/review", json={"verdict": "agree"}).raise_for_status()
    with closing(sqlite3.connect(tmp_path / "dokuei.db")) as broken:
        broken.execute("DELETE FROM audit")  # So that looking is not of an earlier opening.
        broken.execute("CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
        broken.commit()
        xray = {"files": (samples / "chest-xray.dcm").read_bytes()}
        answers = [
            router.post("/api/analyses", files=xray),
            router.get("/api/analyses"),
            router.get(path),
            router.get(f"{path}/images/0.png"),
            router.get(f"{path}/overlay.png"),
            router.put(f"{path}/review", json={"verdict": "disagree"}),
            router.delete(f"{path}/review"),
            router.post(f"{path}/explanation", json={"language": "ja"}),
            router.get("/api/reviews.csv"),
            router.delete(path),
        ]
        assert [(answer.status_code, answer.json()["title"]) for answer in answers] == [
            (503, "The database does not work")
        ] * len(answers)
        assert all(answer.headers["retry-after"] == "5" for answer in answers)
        broken.execute("DROP TRIGGER no")
        broken.commit()
    left = router.get("/api/analyses").json()["items"]
    assert [(each["id"], each["review"]["verdict"], each["explanation"]["language"]) for each in left] == [
        (study, "agree", "en")
    ]


def test_what_an_llm_is_sent_is_written_down_before(
    start_router: StartRouter, llm: FakeLlm, samples: Path, tmp_path: Path, database: str
) -> None:
    llm.reply = {"finding": "x", "evidence": "x", "limits": "x"}
    router = start_router(llm_base_url=llm.url, llm_model="words-1", llm_send_images=True)
    study = send(router, samples / "chest-xray.dcm")
    [event] = [each for each in exported(database) if each["subtype"][0]["code"] == "disclose"]
    assert_is_fhir_and_balp(event)
    assert about(event) == study
    assert {each["type"]: each["valueString"] for each in event["entity"][0]["detail"]} == {
        "recipient": "LLM words-1",
        "what": "facts, original, overlay, heat map",
    }
    asked = len(llm.requests)
    assert asked == 1
    with closing(sqlite3.connect(tmp_path / "dokuei.db")) as broken:
        broken.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit WHEN NEW.event LIKE '%words-1%' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        broken.commit()
    refused = router.post(f"/api/analyses/{study}/explanation", json={"language": "ja"})
    assert refused.status_code == 503
    assert len(llm.requests) == asked, "nothing was sent"


def test_writers_of_several_routers_make_one_chain(runner: asyncio.Runner, url: str) -> None:
    databases = [Database(url) for _ in range(4)]

    async def write() -> None:
        await databases[0].start()
        stores = [Store(database) for database in databases]
        await asyncio.gather(
            *(store.add(analysis(100 * n + k), {}) for n, store in enumerate(stores) for k in range(25))
        )
        await asyncio.gather(*(database.close() for database in databases))

    runner.run(write())
    assert audit(url, "verify").stdout.startswith("100 events, all as they were written\nhead 100:")


TAMPERED = {
    "an event says something else": (
        ["UPDATE audit SET event = replace(event, 'id-3', 'id-9'), about = 'id-9' WHERE number = 3"],
        "event 3 is not what was written",
    ),
    "an event is found by something else": (
        ["UPDATE audit SET subject = 'somebody' WHERE number = 3"],
        "event 3: its column subject says somebody, and the event None",
    ),
    "a time is another": (
        ["UPDATE audit SET recorded = '2020-01-01 00:00:00' WHERE number = 3"],
        "event 3: its column recorded says 2020-01-01",
    ),
    "an event is gone": (["DELETE FROM audit WHERE number = 3"], "event 3 is missing"),
    "several are gone": (["DELETE FROM audit WHERE number IN (2, 3, 4)"], "event 2-4 is missing"),
    "two have changed places": (
        [f"UPDATE audit SET number = {new} WHERE number = {old}" for old, new in ((2, 90), (3, 2), (90, 3))],
        "event 2 is not what was written",
    ),
    "the last are gone": (["DELETE FROM audit WHERE number > 4"], "its end is missing"),
    "all are gone": (["DELETE FROM audit"], "its end is missing"),
    "the head is gone": (["DELETE FROM audit_head"], "the log has no head"),
    "the head says something else": (["UPDATE audit_head SET number = 7"], "and its head says 7:"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_changed_in_the_log_shows(store: Store, runner: asyncio.Runner, url: str, what: str) -> None:
    statements, fault = TAMPERED[what]
    for number in range(1, 7):
        runner.run(store.add(analysis(number), {}))
    assert audit(url, "verify").returncode == 0
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
    ran = audit(url, "verify")
    assert ran.returncode == 1
    assert fault in ran.stderr


def test_a_chain_that_was_made_anew_shows_by_a_head_that_was_noted(
    store: Store, runner: asyncio.Runner, url: str
) -> None:
    for number in range(1, 4):
        runner.run(store.add(analysis(number), {}))
    noted = audit(url, "verify").stdout.splitlines()[-1]
    runner.run(store.add(analysis(4), {}))
    assert audit(url, "verify", "--head", noted).returncode == 0, "it has grown, and is the same"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit"))
        connection.execute(text("UPDATE audit_head SET number = 0, hash = :none"), {"none": "0" * 64})
    engine.dispose()
    for number in range(5, 9):
        runner.run(store.add(analysis(number), {}))
    assert audit(url, "verify").returncode == 0
    ran = audit(url, "verify", "--head", noted)
    assert ran.returncode == 1
    assert "event 3 is not the one that 3:" in ran.stderr


def test_looking_into_the_log_is_in_the_log(store: Store, runner: asyncio.Runner, url: str) -> None:
    runner.run(store.on_behalf_of(Actor(User("nils", "Nils", frozenset({"clinician"})))).add(analysis(1), {}))
    runner.run(store.on_behalf_of(Actor(User("vera", "Vera", frozenset({"viewer"})))).get("id-1"))
    listed = audit(url, "list", "--study", "id-1", "--user", "vera").stdout
    assert "Vera" in listed
    assert "Nils" not in listed
    last = exported(url)[-1]
    assert_is_fhir_and_balp(last)
    assert about(last) == "audit log, study=id-1, user=vera, limit=50"
    assert audit(url, "verify").returncode == 0


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = audit(f"sqlite:///{tmp_path / 'none.db'}", "verify")
    assert missing.returncode == 1
    assert "there is no database sqlite:///" in missing.stderr
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    empty = audit(f"sqlite:///{tmp_path / 'empty.db'}", "list")
    assert (empty.returncode, "cannot be used" in empty.stderr) == (1, True)
    for head in ("5", "5:abc", "x:" + "0" * 64):
        assert "--head is NUMBER:DIGEST" in audit("sqlite://", "verify", "--head", head).stderr


@pytest.mark.parametrize("url", ["sqlite_url", "postgresql_url"], indirect=True)
def test_an_event_that_has_no_room_undoes_its_act(store: Store, runner: asyncio.Runner, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="nothing was stored"):
        runner.run(store.add(analysis(1), {("image", 0): b"a"}))
    engine = create_engine(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM analyses")).scalar_one() == 0
    engine.dispose()
