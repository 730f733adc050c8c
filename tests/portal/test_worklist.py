"""Sending images, and finding analyses again."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from pages import SECONDS, Worklist, Xray
from playwright.sync_api import Page, expect
from uploads import png_bytes


@pytest.fixture
def worklist(page: Page) -> Worklist:
    return Worklist(page)


@pytest.fixture
def series(samples: Path, tmp_path: Path) -> Path:
    """A folder of the slices of one DICOM series."""
    folder = tmp_path / "series"
    with zipfile.ZipFile(samples / "brain-mri.zip") as packed:
        packed.extractall(folder)
    return folder


def test_a_single_file_opens_by_itself_and_leaves_no_name_behind(worklist: Worklist, samples: Path) -> None:
    worklist.send(samples / "chest-xray.dcm")
    worklist.page.wait_for_url("**/studies/*")
    expect(Xray(worklist.page).image).to_be_visible()
    kept = worklist.page.evaluate("() => JSON.stringify(localStorage) + document.title + location.href")
    assert "chest-xray.dcm" not in kept


def test_a_folder_of_slices_is_one_series(worklist: Worklist, series: Path) -> None:
    worklist.send_folder(series)
    worklist.page.wait_for_url("**/studies/*")
    expect(worklist.page.get_by_role("slider", name="Slice")).to_have_attribute("max", "24")


def test_a_batch_of_a_hundred_images_is_worked_off_beside_an_open_page(
    worklist: Worklist, samples: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(100)]
    for file in files:
        shutil.copy(samples / "chest-xray.dcm", file)
    worklist.send(files)
    expect(worklist.uploads).to_have_count(100)
    worklist.page.get_by_role("searchbox").fill("nothing like this")  # The page answers meanwhile.
    expect(worklist.page.get_by_text("No analysis matches")).to_be_visible()
    worklist.page.get_by_role("searchbox").fill("")
    expect(worklist.done).to_have_text("100 of 100 done", timeout=200 * SECONDS)
    expect(worklist.rows.nth(99)).to_be_attached()
    worklist.page.get_by_role("button", name="Clear what is done").click()
    expect(worklist.uploads).to_have_count(0)


def test_images_without_a_header_are_asked_about(worklist: Worklist, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for number, file in enumerate(files):
        file.write_bytes(png_bytes(np.full((64, 64), 90 + number, np.uint8)))
    worklist.send(files)
    dialog = worklist.page.get_by_role("dialog", name="What are these 2 images?")
    dialog.get_by_role("button", name="Separate images").click()
    expect(worklist.uploads).to_have_count(2)
    expect(worklist.done).to_have_text("2 of 2 done")


def test_folders_of_images_are_asked_about_one_by_one_and_an_empty_one_is_said(
    worklist: Worklist, tmp_path: Path
) -> None:
    for folder in ("one", "two", "none"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        picture = png_bytes(np.full((64, 64), 90 + number, np.uint8))
        (tmp_path / ("one" if number < 2 else "two") / f"{number}.png").write_bytes(picture)
    worklist.send_folder(tmp_path)
    dialog = worklist.page.get_by_role("dialog")
    expect(dialog).to_contain_text("one")
    worklist.page.keyboard.press("Escape")
    expect(dialog).to_contain_text("two")
    dialog.get_by_role("button", name="Slices of one series").click()
    expect(worklist.uploads).to_have_count(1)
    (tmp_path / "none/.DS_Store").write_bytes(b"x")
    worklist.send_folder(tmp_path / "none")
    expect(worklist.page.get_by_text("There is no file in that.")).to_be_visible()


def test_dropped_files_are_taken(worklist: Worklist, samples: Path) -> None:
    devtools = worklist.page.context.new_cdp_session(worklist.page)
    box = worklist.page.locator(".drop").bounding_box()
    assert box is not None
    data = {"items": [], "files": [str(samples / "chest-xray.dcm")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 40, "y": box["y"] + 40}
        devtools.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    worklist.page.wait_for_url("**/studies/*")


def test_a_refused_image_is_said_why_and_others_go_on(worklist: Worklist, samples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes((samples / "chest-xray.dcm").read_bytes()[:4000])
    worklist.send([broken, samples / "chest-xray.dcm"])
    refused = worklist.uploads.filter(has_text="broken.dcm")
    expect(refused.get_by_role("alert")).to_contain_text("The image cannot be decoded")
    expect(refused.get_by_role("button", name="Try again")).to_be_visible()
    expect(worklist.uploads.filter(has_text="chest-xray.dcm").get_by_role("link", name="Open")).to_be_visible()
    worklist.page.get_by_role("button", name="Not a medical image").click()
    expect(worklist.uploads.last.get_by_role("alert")).to_contain_text("No model accepts this image")


def test_the_list_is_searched_and_filtered(worklist: Worklist, shared_router: httpx.Client, samples: Path) -> None:
    ids = {}
    for name in ("chest-xray.dcm", "brain-mri.zip"):
        response = shared_router.post("/api/analyses", files={"files": (name, (samples / name).read_bytes())})
        ids[name] = response.json()["id"]
    said = {"verdict": "disagree", "reason": "a rib shadow"}
    shared_router.put(f"/api/analyses/{ids['chest-xray.dcm']}/review", json=said)
    worklist.page.reload()
    worklist.page.get_by_label("Kind of image").select_option("Brain MRI")
    expect(worklist.rows.filter(has_text="Chest X-ray")).to_have_count(0)
    expect(worklist.rows.first).to_contain_text("tumour")
    worklist.page.get_by_label("Kind of image").select_option("All kinds of image")
    worklist.page.get_by_label("Review", exact=True).select_option("Disagree")
    expect(worklist.rows).to_have_count(1)
    worklist.page.get_by_label("Review", exact=True).select_option("Reviewed or not")
    worklist.page.get_by_role("searchbox").fill("RIB SHADOW")
    expect(worklist.rows).to_have_count(1)
    worklist.rows.get_by_role("link").click()
    worklist.page.wait_for_url(f"**/studies/{ids['chest-xray.dcm']}")


def test_models_say_what_they_are_for(worklist: Worklist) -> None:
    card = worklist.page.get_by_role("group").filter(has_text="Pneumonia on paediatric chest X-ray")
    card.get_by_text("Pneumonia on paediatric chest X-ray").click()
    expect(card.get_by_text("Not for")).to_be_visible()
    expect(card.get_by_text("sensitivity: ").first).to_be_visible()
