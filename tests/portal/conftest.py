"""A real Chromium before a real router with the real models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages import OpenPage
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser(light_servers: dict[str, str]) -> Iterator[Browser]:
    """Chromium, after the model servers: Playwright keeps an event loop in this thread, and they start in their own."""
    assert light_servers
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages; a script error or a resource that the security policy refuses fails the test."""
    faults: list[str] = []
    opened: list[Page] = []
    with ExitStack() as stack:

        def start(router: httpx.Client, **context: Any) -> Page:
            made = browser.new_context(
                base_url=str(router.base_url), **{"viewport": {"width": 1280, "height": 800}, **context}
            )
            stack.callback(made.close)
            page = made.new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda line: faults.append(line.text) if "Security Policy" in line.text else None)
            page.goto("/")
            opened.append(page)
            return page

        yield start
        if folder := os.environ.get("SCREENSHOTS"):
            name = os.environ["PYTEST_CURRENT_TEST"].split("::")[1].split(" ")[0].replace("/", "-")
            for number, page in enumerate(opened):
                page.screenshot(path=str(Path(folder) / f"{name}-{number}.png"))
    assert faults == []


@pytest.fixture
def page(open_page: OpenPage, shared_router: httpx.Client) -> Page:
    return open_page(shared_router)
