"""WCAG 2.2 AA by axe-core on every view, the two main tasks by keyboard alone, Japanese, and tablets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import Mri, Worklist, Xray
from paths import ROOT
from playwright.sync_api import Page, expect

AXE = ROOT / "portal/node_modules/axe-core/axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("levels => axe.run(document, { runOnly: levels })", LEVELS)["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_view_violates_wcag(page: Page, theme: str, samples: Path, tmp_path: Path) -> None:
    worklist = Worklist(page)
    worklist.choose("Appearance", theme)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes((samples / "chest-xray.dcm").read_bytes()[:4000])
    worklist.send([broken, samples / "chest-xray.dcm"])
    expect(worklist.done).to_have_text("2 of 2 done")
    page.get_by_text("Pneumonia on paediatric chest X-ray").click()
    assert violations(page) == []

    worklist.uploads.get_by_role("link", name="Open").click()
    expect(Xray(page).image).to_be_visible()
    Xray(page).choose("Layout", "Side by side")
    page.get_by_text("How this was found").click()
    page.get_by_role("radio", name="Unsure").check(force=True)
    assert violations(page) == []
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Worklist").click()
    worklist.open_sample("Brain MRI (FLAIR), lesion")
    Mri(page).wait_for_glow("count > 0")
    assert violations(page) == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called `name` has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and name in (focused.get_attribute("aria-label") or focused.inner_text() or _labelled(page)):
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def _labelled(page: Page) -> str:
    words: str = page.evaluate("() => [...(document.activeElement.labels ?? [])].map(l => l.innerText).join()")
    return words


def test_an_xray_is_read_and_reviewed_by_keyboard_alone(page: Page) -> None:
    expect(page.get_by_role("button", name="Chest X-ray, clear lungs")).to_be_visible()
    tab_to(page, "Chest X-ray, clear lungs")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    expect(Xray(page).image).to_be_visible()
    tab_to(page, "Grad-CAM heat map")
    page.keyboard.press("+")
    expect(page.get_by_label("Zoom", exact=True)).to_have_text("125%")
    tab_to(page, "Heat map opacity")
    page.keyboard.press("Home")
    expect(Xray(page).heat).to_have_css("opacity", "0")
    tab_to(page, "Agree")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Disagree")).to_be_checked()
    tab_to(page, "Reason")
    page.keyboard.type("normal vessels")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved")).to_be_visible()


def test_a_series_is_read_by_keyboard_alone(page: Page) -> None:
    expect(page.get_by_role("button", name="Brain MRI (FLAIR), lesion")).to_be_visible()
    tab_to(page, "Brain MRI (FLAIR), lesion")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    mri = Mri(page)
    mri.wait_for_glow("count > 0")
    tab_to(page, "Slice stack")
    before = int(mri.slider("Slice").input_value())
    page.keyboard.press("ArrowDown")
    mri.shows(before + 1)
    glow, _ = mri.glow()
    tab_to(page, "Point cloud")
    page.keyboard.press("ArrowLeft")
    mri.wait_for_glow(f"count !== {glow}")


def test_the_whole_portal_speaks_japanese(page: Page) -> None:
    portal = Worklist(page)
    portal.speak("日本語")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.get_by_role("button", name="胸部X線、異常陰影なし").click()
    page.wait_for_url("**/studies/*")
    expect(page.get_by_role("region", name="モデルの出力")).to_contain_text("肺炎の確率")
    expect(page.get_by_text("研究用であり、読影を補助するものです")).to_be_visible()
    page.get_by_role("link", name="解析一覧").click()
    page.get_by_role("button", name="脳MRI（FLAIR）、病変あり").click()
    page.wait_for_url("**/studies/*")
    expect(page.get_by_role("group", name="点群：脳は青、腫瘍は赤")).to_be_visible()
    words = page.locator("main").inner_text()
    for english in ("Slice", "Volume", "Explanation", "Review", "Threshold", "Reset"):
        assert english not in words


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768), (820, 1180)])
def test_nothing_is_cut_off_on_small_screens_and_tablets(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    beyond = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(beyond) == 0
    for sample in ("Chest X-ray, clear lungs", "Brain MRI (FLAIR), lesion"):
        Worklist(page).open_sample(sample)
        expect(page.get_by_role("slider").first).to_be_visible()
        assert page.evaluate(beyond) == 0
        page.get_by_role("link", name="Worklist").click()
