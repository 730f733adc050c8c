"""Studies that are older than they are kept: deleted with all that is theirs, and with an event that says so."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from analyses import analysis
from sqlalchemy import create_engine, text

from router import retention
from router.audit import chain
from router.database import Database, now
from router.errors import NotFound
from router.result import Review
from router.retention import Retention
from router.store import Store


def count(url: str, table: str) -> int:
    engine = create_engine(url)
    with engine.begin() as connection:
        found: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    engine.dispose()
    return found


def test_old_studies_go_with_their_pictures_and_reviews_and_young_ones_stay(
    opened: Database, store: Store, runner: asyncio.Runner, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    for number in range(8):
        aged = analysis(number).model_copy(update={"created": now() - timedelta(days=40 - number)})
        runner.run(store.add(aged, {("image", 0): b"a", ("mask", 0): b"b"}))
    young = analysis(9).model_copy(update={"created": now() - timedelta(days=29)})
    runner.run(store.add(young, {("image", 0): b"a"}))
    runner.run(store.review("id-0", Review(verdict="agree", created=now())))

    async def keep() -> None:
        kept = [Retention(store, 30), Retention(store, 30)] if url.startswith("postgresql") else [Retention(store, 30)]
        for each in kept:
            await each.start()
        deadline = time.monotonic() + 30
        while count(url, "analyses") > 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        for each in kept:
            await each.close()

    runner.run(keep())
    assert [count(url, table) for table in ("analyses", "images", "reviews")] == [1, 1, 0]
    assert runner.run(store.get("id-9")) == young
    with pytest.raises(NotFound):
        runner.run(store.get("id-7"))
    events = opened.transact(lambda session: chain.newest(session, None, None, None, None))
    deleted = [event for event in events if '"code":"delete"' in event]
    assert len(deleted) == 8
    assert all('"value":"dokuei retention"' in event for event in deleted)
    assert opened.transact(chain.check).faults == []
