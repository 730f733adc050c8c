"""The MRI view: slices left, point cloud right, in step."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from pages import Mri, Worklist
from playwright.sync_api import Page, expect
from uploads import png_bytes


@pytest.fixture
def mri(page: Page) -> Mri:
    Worklist(page).open_sample("Brain MRI (FLAIR), lesion")
    opened = Mri(page)
    opened.wait_for_glow("count > 0")
    return opened


@pytest.fixture
def largest(mri: Mri, shared_router: httpx.Client) -> int:
    """The slice with the largest marked area, counted from 1: the one that a study opens with."""
    analysis = shared_router.get(f"/api/analyses/{mri.page.url.rsplit('/', 1)[1]}").json()
    areas = [part["area_fraction"] for part in analysis["result"]["slices"]]
    number = areas.index(max(areas)) + 1
    mri.shows(number)
    return number


def test_wheel_arrow_keys_slider_and_bars_go_through_the_slices(mri: Mri, largest: int) -> None:
    mri.stack.press("ArrowDown")
    mri.shows(largest + 1)
    mri.stack.press("ArrowUp")
    mri.stack.hover()
    mri.page.mouse.wheel(0, -100)
    mri.shows(largest - 1)
    slider = mri.slider("Slice")
    slider.press("Home")
    mri.shows(1)
    mri.stack.press("ArrowUp")
    mri.shows(1)
    bars = mri.page.locator(".areas svg")
    box = bars.bounding_box()
    assert box is not None
    bars.click(position={"x": box["width"] - 3, "y": 10})
    mri.shows(24)


def test_the_glowing_layer_of_the_cloud_moves_with_the_slice(mri: Mri) -> None:
    slider = mri.slider("Slice")
    rows = []
    for number in (6, 20):
        slider.fill(str(number))
        mri.shows(number)
        mri.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        count, row = mri.glow()
        assert count > 200
        rows.append(row)
    assert rows[1] < rows[0] - 30, "later slices lie higher"


def test_a_click_on_a_layer_of_the_cloud_goes_to_its_slice(mri: Mri, largest: int) -> None:
    box = mri.space.bounding_box()
    assert box is not None
    slider = mri.slider("Slice")
    chosen = [largest]
    for share in (0.35, 0.65):
        mri.space.click(position={"x": box["width"] / 2, "y": box["height"] * share})
        expect(slider).not_to_have_value(str(chosen[-1]))
        chosen.append(int(slider.input_value()))
    assert chosen[1] > largest > chosen[2], "above is a later slice, below an earlier one"


def test_the_cloud_is_turned_zoomed_reset_and_saved(mri: Mri) -> None:
    first = before = mri.glow()[0]
    for press in ("Turn right", "Zoom in"):
        mri.page.get_by_role("toolbar", name="3-D view").get_by_role("button", name=press).click()
        mri.wait_for_glow(f"count !== {before}")
        before = mri.glow()[0]
    mri.cloud.press("0")
    mri.wait_for_glow(f"count === {first}")
    with mri.page.expect_download() as download:
        mri.page.get_by_role("button", name="Snapshot").click()
    assert download.value.suggested_filename.endswith("-3d.png")


def test_the_mask_is_outlined_and_filled_as_strongly_as_its_slider_says(mri: Mri) -> None:
    outline = mri.stack.locator("path")
    expect(outline).to_have_count(1)
    mri.slider("Mask opacity").press("Home")
    expect(outline).to_have_attribute("fill-opacity", "0")
    mri.slider("Slice").press("Home")
    mri.shows(1)
    expect(outline).to_have_count(0)


def test_volume_is_told_where_spacing_is_known_and_else_that_it_is_not(mri: Mri, shared_router: httpx.Client) -> None:
    answer = mri.page.get_by_role("region", name="Output of the model")
    expect(answer).to_contain_text(" ml")
    expect(mri.page.get_by_text("true to scale", exact=False)).to_be_visible()
    rows, columns = np.mgrid[:128, :128]
    disc = ((rows - 64) ** 2 + (columns - 64) ** 2 < 50**2).astype(np.uint8)
    bright = ((rows - 50) ** 2 + (columns - 80) ** 2 < 12**2).astype(np.uint8)
    files = [("files", (f"{n}.png", png_bytes(70 * disc + 150 * bright))) for n in range(3)]
    response = shared_router.post("/api/analyses", files=files, data={"model": "brain-mri-tumour"})
    mri.page.goto(f"/studies/{response.json()['id']}")
    expect(mri.page.get_by_text("not true to scale")).to_be_visible()
    expect(mri.page.get_by_text("The model was chosen by the user")).to_be_visible()
    expect(mri.page.get_by_text("The image itself does not look like this kind (Brain MRI)")).to_be_visible()
