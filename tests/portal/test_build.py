"""What is built: its size, and that its types are those of the router."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import httpx
from paths import ROOT

from router.app import create_app
from router.settings import Settings

PORTAL = ROOT / "portal"
DIST = PORTAL / "dist"
KB = 1_000


def zipped(files: list[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def test_what_is_loaded_first_and_the_3d_view_are_small() -> None:
    page = (DIST / "index.html").read_text()
    first = [DIST / path for path in re.findall(r'/static/(assets/[^"]+\.js)', page)]
    assert 30 * KB < zipped(first) <= 120 * KB
    assert 100 * KB < zipped(list((DIST / "assets").glob("CloudView-*.js"))) <= 220 * KB


def test_the_page_holds_no_script_or_style_of_its_own_and_asks_no_other_host() -> None:
    page = (DIST / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|style=", page)
    for attribute in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert attribute.startswith("/static/")


def test_hashed_files_are_kept_by_browsers_and_the_page_is_not(shared_router: httpx.Client) -> None:
    page = shared_router.get("/")
    assert page.headers["cache-control"] == "no-cache"
    path = re.search(r'/static/assets/[^"]+\.js', page.text)
    assert path is not None
    script = shared_router.get(path[0])
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-encoding"] == "gzip"
    assert shared_router.get("/static/icon.svg").status_code == 200


def test_the_types_of_the_portal_are_those_of_the_router(tmp_path: Path) -> None:
    document, types = tmp_path / "openapi.json", tmp_path / "schema.d.ts"
    document.write_text(json.dumps(create_app(Settings()).openapi()))
    command = ["npx", "--no-install", "openapi-typescript", str(document), "-o", str(types)]
    subprocess.run(command, cwd=PORTAL, check=True, capture_output=True)
    written = (PORTAL / "src/api/schema.d.ts").read_text()
    assert types.read_text() == written, "`make portal-types` writes them anew"
