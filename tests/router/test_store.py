"""The database: all of an analysis or nothing, and plain words when it does not work."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from analyses import analysis
from sqlalchemy import Connection, Engine, event, text

from router.database import Database
from router.errors import NotFound, StoreUnavailable
from router.kserve import Variant
from router.result import Explanation, Review, VersionReview
from router.store import Store


def test_an_analysis_comes_back_as_it_was_stored(store: Store, runner: asyncio.Runner) -> None:
    runner.run(store.add(analysis(1), {("image", 0): b"a", ("image", 1): b"b", ("mask", 0): b"c"}))
    assert runner.run(store.get("id-1")) == analysis(1)
    assert runner.run(store.images("id-1", "image")) == [b"a", b"b"]
    assert runner.run(store.images("id-1", "mask", 0)) == [b"c"]


def test_what_fails_half_way_leaves_nothing(store: Store, runner: asyncio.Runner) -> None:
    with pytest.raises(StoreUnavailable, match="nothing was stored"):
        runner.run(store.add(analysis(1), {("image", 0): b"a", ("image", 1): None}))  # type: ignore[dict-item]
    with pytest.raises(NotFound):
        runner.run(store.get("id-1"))


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_deleted_pictures_are_not_left_in_the_file(
    store: Store, opened: Database, runner: asyncio.Runner, tmp_path: Path
) -> None:
    runner.run(store.add(analysis(1), {("image", 0): b"CANARY" * 1000}))
    runner.run(store.delete("id-1"))
    runner.run(opened.close())
    connection = sqlite3.connect(tmp_path / "dokuei.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert b"CANARY" not in (tmp_path / "dokuei.db").read_bytes()


def test_a_new_explanation_replaces_the_old_and_nothing_else(store: Store, runner: asyncio.Runner) -> None:
    runner.run(store.add(analysis(1), {}))
    words = Explanation(text="other", source="llm", language="en", model="w")
    runner.run(store.explain("id-1", words))
    assert runner.run(store.get("id-1")) == analysis(1).model_copy(update={"explanation": words})
    runner.run(store.explain("gone", words))


def test_a_later_review_takes_the_place_of_an_earlier_one_and_can_be_taken_back(
    store: Store, runner: asyncio.Runner
) -> None:
    runner.run(store.add(analysis(1), {}))
    first = Review(verdict="agree", created=datetime(2026, 2, 1, tzinfo=UTC))
    second = Review(verdict="disagree", reason="cyst", created=datetime(2026, 2, 2, tzinfo=UTC))
    for review in (first, second):
        assert runner.run(store.review("id-1", review)).review == review
    assert runner.run(store.get("id-1")) == analysis(1).model_copy(update={"review": second})
    runner.run(store.take_back("id-1"))
    assert runner.run(store.get("id-1")) == analysis(1)


def test_the_reviewed_are_found_by_verdict_the_newest_review_first(store: Store, runner: asyncio.Runner) -> None:
    for number, verdict in enumerate(("agree", "disagree", "disagree")):
        runner.run(store.add(analysis(number), {}))
        review = Review(verdict=verdict, created=datetime(2026, 2, 10 - number, tzinfo=UTC))
        runner.run(store.review(f"id-{number}", review))
    runner.run(store.add(analysis(3), {}))
    assert [each.id for each in runner.run(store.reviewed(None))] == ["id-0", "id-1", "id-2"]
    assert [each.id for each in runner.run(store.reviewed("disagree"))] == ["id-1", "id-2"]


def test_the_reviews_of_two_versions_tell_them_apart_the_oldest_first(store: Store, runner: asyncio.Runner) -> None:
    moments = [datetime(2026, 2, 10 - number, tzinfo=UTC) for number in range(5)]
    read = [("m", "1.0.0"), ("m", "2.0.0"), ("m", "0.9.0"), ("other", "1.0.0"), ("m", "1.0.0")]
    for number, (model, version) in enumerate(read):
        runner.run(store.add(analysis(number, version, model), {}))
        runner.run(store.review(f"id-{number}", Review(verdict="agree", created=moments[number])))
    runner.run(store.add(analysis(5), {}))
    said = [
        VersionReview(variant=variant, verdict="agree", created=moments[number])
        for number, variant in ((4, "stable"), (1, "canary"), (0, "stable"))
    ]
    versions: dict[Variant, str] = {"stable": "1.0.0", "canary": "2.0.0"}
    assert runner.run(store.version_reviews("m", versions, None)) == said
    assert runner.run(store.version_reviews("m", versions, moments[1])) == said[1:]


def test_a_deleted_analysis_takes_its_review_with_it(store: Store, runner: asyncio.Runner) -> None:
    runner.run(store.add(analysis(1), {}))
    runner.run(store.review("id-1", Review(verdict="unsure", created=datetime(2026, 2, 1, tzinfo=UTC))))
    runner.run(store.delete("id-1"))
    assert runner.run(store.reviewed(None)) == []
    with pytest.raises(NotFound):
        runner.run(store.review("id-1", Review(verdict="unsure", created=datetime(2026, 2, 1, tzinfo=UTC))))


def test_the_newest_come_first_page_by_page(store: Store, runner: asyncio.Runner) -> None:
    for number in (2, 1, 3):
        runner.run(store.add(analysis(number), {}))
    assert [each.id for each in runner.run(store.newest(2, None))] == ["id-3", "id-2"]
    second = analysis(2).created
    for moment in (second, second.replace(tzinfo=None), second.astimezone(timezone(timedelta(hours=9)))):
        assert [each.id for each in runner.run(store.newest(2, moment))] == ["id-1"]


def test_a_restart_keeps_what_was_stored(store: Store, runner: asyncio.Runner, url: str) -> None:
    runner.run(store.add(analysis(1), {}))
    again = Database(url)
    runner.run(again.start())
    assert runner.run(Store(again).get("id-1")) == analysis(1)
    runner.run(again.close())


ENDS_IN_COMMIT = """
CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON analyses DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ends()
"""


@pytest.mark.parametrize("url", ["postgresql_url"], indirect=True)
def test_a_database_that_ends_in_a_commit_leaves_open_whether_it_stored(
    opened: Database, store: Store, runner: asyncio.Runner
) -> None:
    opened.transact(lambda session: session.execute(text(ENDS_IN_COMMIT)))
    with pytest.raises(StoreUnavailable, match="whether it did is not known"):
        runner.run(store.add(analysis(1), {("image", 0): b"a"}))
    opened.transact(lambda session: session.execute(text("DROP TRIGGER ends ON analyses")))
    runner.run(store.add(analysis(2), {("image", 0): b"b"}))
    assert runner.run(store.images("id-2", "image")) == [b"b"]


def test_a_database_that_cannot_be_opened_is_said(runner: asyncio.Runner, tmp_path: Path) -> None:
    closed = Database(f"sqlite:///{tmp_path / 'missing' / 'dokuei.db'}")
    with pytest.raises(StoreUnavailable, match="database"):
        runner.run(closed.start())
    runner.run(closed.close())


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_full_disk_is_named_and_what_was_stored_stays(store: Store, runner: asyncio.Runner) -> None:
    runner.run(store.add(analysis(1), {("image", 0): b"a"}))

    @event.listens_for(Engine, "begin")
    def leave_no_room(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite takes the number of pages there are.

    try:
        with pytest.raises(StoreUnavailable, match=r"\(its disk is full\); nothing was stored"):
            runner.run(store.add(analysis(2), {("image", 0): b"b" * 100_000}))
    finally:
        event.remove(Engine, "begin", leave_no_room)
    assert runner.run(store.images("id-1", "image")) == [b"a"]
    with pytest.raises(NotFound):
        runner.run(store.get("id-2"))


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_disk_that_became_read_only_is_named_and_what_was_stored_stays(
    opened: Database, store: Store, runner: asyncio.Runner
) -> None:
    runner.run(store.add(analysis(1), {("image", 0): b"a"}))

    @event.listens_for(Engine, "begin")
    def refuse_to_write(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=ON")

    try:
        with pytest.raises(StoreUnavailable, match=r"\(its disk is read-only\); nothing was stored"):
            runner.run(store.add(analysis(2), {("image", 0): b"b"}))
    finally:
        event.remove(Engine, "begin", refuse_to_write)
        opened.transact(lambda session: session.execute(text("PRAGMA query_only=OFF")))
    assert runner.run(store.images("id-1", "image")) == [b"a"]
    with pytest.raises(NotFound):
        runner.run(store.get("id-2"))


def test_routers_that_start_together_make_the_tables_once(runner: asyncio.Runner, postgresql_url: str) -> None:
    databases = [Database(postgresql_url) for _ in range(6)]

    async def start() -> None:
        await asyncio.gather(*(database.start() for database in databases))

    runner.run(start())
    runner.run(Store(databases[0]).add(analysis(1), {("image", 0): b"a"}))
    assert runner.run(Store(databases[-1]).images("id-1", "image")) == [b"a"]
    for database in databases:
        runner.run(database.close())


def test_a_server_that_went_away_and_came_back_is_asked_again(runner: asyncio.Runner, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    store = Store(database)
    runner.run(database.start())
    runner.run(store.add(analysis(1), {}))
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as other:
        ours = "datname = current_database() AND pid <> pg_backend_pid()"
        ended = other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
        assert ended.rowcount == 1
    assert runner.run(store.get("id-1")) == analysis(1)
    runner.run(database.close())
