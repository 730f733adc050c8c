"""Page objects: what a reader does with the portal, in the words of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
from playwright.sync_api import Locator, Page, expect

SECONDS = 1_000

# Of the picture in a canvas, [red, green, blue] summed over all pixels.
SUMS = """canvas => {
  const flat = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  flat.drawImage(canvas, 0, 0);
  const pixels = flat.getImageData(0, 0, canvas.width, canvas.height).data;
  const sums = [0, 0, 0];
  for (let n = 0; n < pixels.length; n += 4) for (let c = 0; c < 3; c += 1) sums[c] += pixels[n + c];
  return sums;
}"""

# Pixels of a canvas that glow cyan: how many there are, and the row that is their middle.
CYAN = """canvas => {
  const flat = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  flat.drawImage(canvas, 0, 0);
  const pixels = flat.getImageData(0, 0, canvas.width, canvas.height).data;
  let [count, rows] = [0, 0];
  for (let n = 0; n < pixels.length; n += 4) {
    if (pixels[n] < 110 && pixels[n + 1] > 170 && pixels[n + 2] > 170) {
      count += 1;
      rows += Math.floor(n / 4 / canvas.width);
    }
  }
  return [count, rows / Math.max(count, 1)];
}"""


class OpenPage(Protocol):
    """Opens a page at a router."""

    def __call__(self, router: httpx.Client, **context: Any) -> Page: ...


class Portal:
    """What every page has."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def speak(self, language: str) -> None:
        self.page.get_by_role("radio", name=language).check(force=True)

    def choose(self, group: str, name: str) -> None:
        self.page.get_by_role("group", name=group, exact=True).get_by_role("radio", name=name).check(force=True)

    def slider(self, name: str) -> Locator:
        return self.page.get_by_role("slider", name=name)


class Worklist(Portal):
    """The start page."""

    def send(self, files: Path | Sequence[Path]) -> None:
        self.page.get_by_label("Choose files").set_input_files(files)

    def send_folder(self, folder: Path) -> None:
        self.page.get_by_label("Choose a folder").set_input_files(folder)

    def open_sample(self, title: str) -> None:
        self.page.get_by_role("button", name=title).click()
        self.page.wait_for_url("**/studies/*")

    @property
    def uploads(self) -> Locator:
        return self.page.get_by_role("region", name="Sending").get_by_role("listitem")

    @property
    def done(self) -> Locator:
        return self.page.get_by_role("region", name="Sending").get_by_role("status")

    @property
    def rows(self) -> Locator:
        return self.page.locator("tbody").get_by_role("row")


class Xray(Portal):
    """An opened X-ray."""

    @property
    def image(self) -> Locator:
        return self.page.get_by_role("img", name="The analysed image").first

    @property
    def heat(self) -> Locator:
        return self.page.get_by_role("img", name="Grad-CAM heat map").first

    def greys(self) -> float:
        """Sum of the red channel of the image as it is shown."""
        sums: list[float] = self.image.evaluate(SUMS)
        return sums[0]


class Mri(Portal):
    """An opened series."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.stack = page.get_by_role("group", name="Slice stack")
        self.cloud = page.get_by_role("group", name="Point cloud")
        self.space = self.cloud.locator("canvas")

    def wait_for_glow(self, condition: str) -> None:
        """Wait until `count`, the number of pixels of the cloud that glow cyan, meets a condition in JavaScript."""
        expect(self.space).to_be_visible()
        self.page.wait_for_function(
            f"() => {{ const [count] = ({CYAN})(document.querySelector('.stage canvas')); return {condition}; }}"
        )

    def shows(self, number: int, count: int = 24) -> None:
        """Wait until slices, slider and cloud show slice `number`, counted from 1."""
        expect(self.stack.get_by_role("img", name=f"Slice {number} of {count}", exact=True)).to_be_visible()
        expect(self.cloud).to_have_accessible_name(f"Point cloud: brain blue, tumour red, slice {number} cyan")

    def glow(self) -> tuple[int, float]:
        """How many pixels glow cyan, and the row that is their middle."""
        count, row = self.space.evaluate(CYAN)
        return count, row
