"""Stored pictures: encrypted with a key that is not in the database, and bound to their study."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import pytest
from analyses import analysis
from serving import StartRouter
from sqlalchemy import create_engine, text

from router.database import Database
from router.errors import StoreUnavailable
from router.sealing import Sealer
from router.store import Store

PICTURES = {("image", 0): b"\x89PNG CANARY" * 50, ("image", 1): b"\x89PNG other"}


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def stored(url: str) -> list[bytes]:
    engine = create_engine(url)
    with engine.begin() as connection:
        found = [
            bytes(row[0]) for row in connection.execute(text("SELECT data FROM images ORDER BY analysis_id, number"))
        ]
    engine.dispose()
    return found


def test_pictures_are_stored_in_no_form_that_can_be_read_without_the_key(
    opened: Database, runner: asyncio.Runner, url: str
) -> None:
    store = Store(opened, Sealer([key()]))
    runner.run(store.add(analysis(1), PICTURES))
    assert not any(b"CANARY" in data or b"PNG" in data for data in stored(url))
    assert runner.run(store.images("id-1", "image")) == list(PICTURES.values())
    with pytest.raises(StoreUnavailable, match="is not among DOKUEI_IMAGE_KEYS"):
        runner.run(Store(opened, Sealer([key()])).images("id-1", "image"))


def test_a_new_key_seals_and_an_old_one_still_opens(opened: Database, runner: asyncio.Runner, url: str) -> None:
    old, new = key(), key()
    runner.run(Store(opened).add(analysis(1), PICTURES))
    runner.run(Store(opened, Sealer([old])).add(analysis(2), PICTURES))
    both = Store(opened, Sealer([new, old]))
    runner.run(both.add(analysis(3), PICTURES))
    for name in ("id-1", "id-2", "id-3"):
        assert runner.run(both.images(name, "image")) == list(PICTURES.values())
    assert runner.run(Store(opened, Sealer([new])).images("id-3", "image")) == list(PICTURES.values())
    assert stored(url)[0] == PICTURES["image", 0], "what was there before there was a key stays as it is"


def test_a_picture_that_was_moved_to_another_study_is_not_shown(
    opened: Database, runner: asyncio.Runner, url: str
) -> None:
    store = Store(opened, Sealer([key()]))
    for number in (1, 2):
        runner.run(store.add(analysis(number), PICTURES))
    engine = create_engine(url)
    with engine.begin() as connection:
        moved = "(SELECT data FROM images WHERE analysis_id = 'id-2' AND number = 0)"
        connection.execute(text(f"UPDATE images SET data = {moved} WHERE analysis_id = 'id-1' AND number = 0"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="not the one that was stored here"):
        runner.run(store.images("id-1", "image", 0))
    assert runner.run(store.images("id-1", "image", 1)) == [PICTURES["image", 1]]


def test_a_router_with_a_key_leaves_no_picture_in_its_file(
    start_router: StartRouter, samples: Path, tmp_path: Path
) -> None:
    router = start_router(image_keys=f"{key()} {key()}")
    sent = router.post("/api/analyses", files={"files": (samples / "chest-xray.dcm").read_bytes()}).json()
    path = f"/api/analyses/{sent['id']}"
    for picture in ("images/0.png", "heatmap.png", "overlay.png"):
        assert router.get(f"{path}/{picture}").content.startswith(b"\x89PNG")
    assert len(stored(f"sqlite:///{tmp_path / 'dokuei.db'}")) == 2
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("dokuei.db*"))
    assert b"\x89PNG" not in kept
    assert b"NUMPY" not in kept
