"""The X-ray view: image, heat map, answer, explanation, review, export."""

from __future__ import annotations

import httpx
import pytest
from pages import SUMS, Worklist, Xray
from playwright.sync_api import Page, expect


@pytest.fixture
def xray(page: Page) -> Xray:
    Worklist(page).open_sample("Chest X-ray, clear lungs")
    opened = Xray(page)
    expect(opened.image).to_be_visible()
    return opened


def test_the_heat_map_is_as_strong_as_its_slider_says_by_keyboard_too(xray: Xray) -> None:
    slider = xray.slider("Heat map opacity")
    slider.press("Home")
    expect(xray.heat).to_have_css("opacity", "0")
    slider.press("End")
    expect(xray.heat).to_have_css("opacity", "1")
    slider.press("ArrowLeft")
    expect(xray.heat).to_have_css("opacity", "0.95")
    red, _, blue = xray.heat.evaluate(SUMS)
    assert red != blue, "the heat map is in colours"


def test_the_colour_map_can_be_that_of_the_paper(xray: Xray) -> None:
    before = xray.heat.evaluate(SUMS)
    xray.choose("Colours", "Jet")
    after = xray.heat.evaluate(SUMS)
    assert after[2] > 1.2 * before[2], "jet is blue where there is little, inferno is dark"


def test_side_by_side_the_original_is_seen_without_heat(xray: Xray) -> None:
    xray.choose("Layout", "Side by side")
    plain = xray.page.get_by_role("group", name="The analysed image")
    expect(plain.locator("canvas")).to_have_count(1)
    expect(xray.page.get_by_role("group", name="Grad-CAM heat map").locator("canvas")).to_have_count(2)


def test_the_greys_follow_window_level_and_inversion(xray: Xray) -> None:
    whole = xray.greys()
    xray.slider("Window level").press("Home")
    brighter = xray.greys()
    assert brighter > 1.2 * whole
    xray.page.get_by_role("button", name="Reset").click()
    assert xray.greys() == whole
    xray.page.get_by_role("button", name="Invert").click()
    size = xray.image.evaluate("canvas => canvas.width * canvas.height")
    assert xray.greys() == pytest.approx(255 * size - whole, rel=1e-3)
    pane = xray.page.get_by_role("group", name="Grad-CAM heat map")
    pane.press("i")
    assert xray.greys() == whole


def test_the_mouse_windows_where_that_tool_is_chosen(xray: Xray) -> None:
    whole = xray.greys()
    xray.choose("Mouse tool", "Window")
    box = xray.page.get_by_role("group", name="Grad-CAM heat map").bounding_box()
    assert box is not None
    xray.page.mouse.move(box["x"] + 200, box["y"] + 200)
    xray.page.mouse.down()
    xray.page.mouse.move(box["x"] + 200, box["y"] + 100)
    xray.page.mouse.up()
    expect(xray.slider("Window level")).to_have_value("78")
    assert xray.greys() > whole


def test_zoom_and_shift_work_by_wheel_mouse_and_keyboard(xray: Xray) -> None:
    pane = xray.page.get_by_role("group", name="Grad-CAM heat map")
    zoom = xray.page.get_by_label("Zoom", exact=True)
    pane.press("+")
    expect(zoom).to_have_text("125%")
    pane.hover()
    xray.page.mouse.wheel(0, -100)
    expect(zoom).to_have_text("156%")
    image = pane.locator(".image")
    before = image.bounding_box()
    pane.press("ArrowRight")
    after = image.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] < before["x"]
    pane.press("0")
    expect(zoom).to_have_text("100%")


def test_the_answer_says_what_its_probability_has_meant_and_what_the_model_is_not_for(xray: Xray) -> None:
    answer = xray.page.get_by_role("region", name="Output of the model")
    expect(answer).to_contain_text("probability of pneumonia")
    expect(answer).to_contain_text("Of 100 images scored 0% to 20%, 4 showed pneumonia.")
    expect(answer).to_contain_text("Threshold 49.2% · not reached")
    expect(xray.page.get_by_text("Not for")).to_be_visible()
    expect(answer).to_contain_text("stable version")
    xray.page.get_by_text("How this was found").click()
    expect(xray.page.get_by_text("from the DICOM header")).to_be_visible()


def test_each_number_of_the_explanation_lights_up_where_it_comes_from(xray: Xray) -> None:
    explanation = xray.page.get_by_role("region", name="Explanation")
    expect(explanation).to_contain_text("Fixed wording from the figures")
    numbers = explanation.locator("button.number")
    expect(numbers).to_have_count(4)
    lit = xray.page.locator(".lit")
    sources = []
    for number in numbers.all():
        number.hover()
        expect(lit).to_have_count(1)
        assert number.inner_text() in lit.inner_text()
        sources.append(lit.get_attribute("data-source"))
    assert sources[:3] == ["version", "probability", "threshold"]
    assert str(sources[3]).startswith("region.")
    numbers.first.focus()
    expect(lit).to_have_attribute("data-source", "version")


def test_the_explanation_is_written_again_in_the_other_language(xray: Xray) -> None:
    xray.speak("日本語")
    region = xray.page.get_by_role("region", name="説明")
    region.get_by_role("button", name="日本語で").click()
    expect(region).to_contain_text("研究用であり、読影を補助するものです")
    expect(region.locator("button.number")).to_have_count(4)
    xray.page.reload()
    expect(region).to_contain_text("研究用であり、読影を補助するものです")


def test_a_review_is_kept_changed_exported_and_taken_back(xray: Xray, shared_router: httpx.Client) -> None:
    review = xray.page.get_by_role("region", name="Your review")
    save = review.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    review.get_by_role("radio", name="Disagree").check(force=True)
    review.get_by_label("Reason").fill("faint opacity behind the heart")
    save.click()
    expect(review.get_by_role("status")).to_contain_text("Saved")
    assert "faint opacity behind the heart" in shared_router.get("/api/reviews.csv").text
    xray.page.reload()
    expect(review.get_by_role("radio", name="Disagree")).to_be_checked()
    review.get_by_role("radio", name="Agree", exact=True).check(force=True)
    save.click()
    expect(save).to_be_disabled()
    review.get_by_role("button", name="Take back").click()
    expect(review.get_by_role("status")).to_be_empty()
    identifier = xray.page.url.rsplit("/", 1)[1]
    assert shared_router.get(f"/api/analyses/{identifier}").json()["review"] is None


def test_the_picture_is_saved_under_the_analysis_and_not_the_patient(xray: Xray) -> None:
    with xray.page.expect_download() as download:
        xray.page.get_by_role("button", name="Export").click()
        xray.page.get_by_role("menuitem", name="Image as PNG").click()
    identifier = xray.page.url.rsplit("/", 1)[1]
    assert download.value.suggested_filename == f"dokuei-{identifier[:8]}.png"


def test_the_printed_report_has_picture_answer_and_explanation_and_no_controls(xray: Xray) -> None:
    xray.page.emulate_media(media="print")
    expect(xray.image).to_be_visible()
    expect(xray.page.get_by_text("probability of pneumonia")).to_be_visible()
    expect(xray.page.get_by_role("region", name="Explanation")).to_be_visible()
    for control in (xray.page.get_by_role("toolbar"), xray.slider("Heat map opacity"), xray.page.get_by_text("Export")):
        expect(control).to_be_hidden()


def test_deleting_asks_first_and_is_for_good(xray: Xray, shared_router: httpx.Client) -> None:
    identifier = xray.page.url.rsplit("/", 1)[1]
    xray.page.get_by_role("button", name="Delete").click()
    dialog = xray.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    xray.page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    xray.page.wait_for_url(lambda url: "/studies/" not in url)
    assert shared_router.get(f"/api/analyses/{identifier}").status_code == 404
    xray.page.goto(f"/studies/{identifier}")
    expect(xray.page.get_by_role("alert")).to_contain_text("There is no such analysis")
