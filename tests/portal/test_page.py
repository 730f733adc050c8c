"""The portal page in a real Chromium, before a real router with the real models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HEAT_AT = "c => { const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let s = 0;"
COLOUR_OF_CANVAS = HEAT_AT + " for (let i = 0; i < p.length; i += 4) s += Math.abs(p[i] - p[i + 2]); return s; }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, shared_router: httpx.Client) -> Iterator[Page]:
    """An open page; a script error or a refused resource fails the test."""
    context = browser.new_context(base_url=str(shared_router.base_url), viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    opened.goto("/")
    yield opened
    if folder := os.environ.get("SCREENSHOTS"):
        name = os.environ["PYTEST_CURRENT_TEST"].split("::")[1].split(" ")[0]
        opened.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
    context.close()
    assert faults == []


def open_sample(page: Page, title: str) -> None:
    page.get_by_role("button", name=title).click()
    page.wait_for_url("**/studies/*")


def test_an_xray_shows_its_heat_map_as_strong_as_the_slider_says(page: Page) -> None:
    open_sample(page, "Chest X-ray, clear lungs")
    expect(page.get_by_text("chest-xray-pneumonia").first).to_be_visible()
    expect(page.get_by_text("Research use only, not a medical device")).to_be_visible()
    canvas, slider = page.locator("canvas").first, page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_value("0")
    grey = canvas.evaluate(COLOUR_OF_CANVAS)
    page.keyboard.press("End")
    coloured = canvas.evaluate(COLOUR_OF_CANVAS)
    assert grey == 0, "without the heat map the image is grey"
    assert coloured > 100_000


def test_a_series_is_walked_through_by_keyboard(page: Page) -> None:
    open_sample(page, "Brain MRI (FLAIR), lesion")
    expect(page.get_by_text("brain-mri-tumour").first).to_be_visible()
    stack = page.locator(".stage")
    picture = "c => c.toDataURL()"
    canvas = page.locator("canvas").first
    stack.focus()
    before = canvas.evaluate(picture)
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "before => document.querySelector('canvas').toDataURL() !== before", arg=before, timeout=10_000
    )


def test_a_refused_image_is_said_and_the_page_goes_on(page: Page) -> None:
    page.get_by_role("button", name="Not a medical image").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No model accepts this image")
    expect(alert).to_contain_text("chest-xray")
    open_sample(page, "Chest X-ray, clear lungs")
    expect(alert).to_be_empty()


def test_files_of_ones_own_are_taken_and_leave_no_name_behind(page: Page, samples: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(samples / "chest-xray.dcm")
    page.wait_for_url("**/studies/*")
    expect(page.get_by_text("chest-xray-pneumonia").first).to_be_visible()
    kept = page.evaluate("() => JSON.stringify(localStorage) + document.title + location.href")
    assert "chest-xray.dcm" not in kept


def test_the_whole_page_speaks_japanese(page: Page) -> None:
    page.get_by_role("button", name="日本語").click()
    page.get_by_role("button", name="胸部X線、異常陰影なし").click()
    page.wait_for_url("**/studies/*")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.get_by_text("研究用であり、読影を補助するものです").first).to_be_visible()


def test_a_link_opens_an_analysis_and_deleting_asks_first(page: Page) -> None:
    open_sample(page, "Chest X-ray, clear lungs")
    link = page.url
    page.goto("/")
    page.goto(link)
    expect(page.get_by_text("chest-xray-pneumonia").first).to_be_visible()
    page.get_by_role("button", name="Delete").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Delete").first.click()
    dialog.get_by_role("button", name="Delete").click()
    page.wait_for_url(lambda url: "/studies/" not in url)
    assert httpx.get(link.replace("/studies/", "/api/analyses/"), trust_env=False).status_code == 404
