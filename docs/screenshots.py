"""Take the pictures of README and docs/portal.md anew, from the synthetic samples.

python docs/screenshots.py                # or: make screenshots
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from analysis import running  # noqa: E402

from portal import ARGUMENTS, CHROMIUM  # noqa: E402

WIDE, HIGH = 1440, 860
QUALITY = 88


def picture(page: Page, name: str) -> None:
    """Write `docs/portal-<name>.jpg`."""
    to = DOCS / f"portal-{name}.jpg"
    page.screenshot(path=to, animations="disabled", quality=QUALITY)
    print(f"wrote {to.relative_to(DOCS.parent)}")


def opened(page: Page, url: str, sample: str) -> None:
    """Open a sample from the worklist."""
    page.goto(url)
    page.get_by_role("button", name=sample).click()
    page.wait_for_url("**/studies/*")
    page.wait_for_load_state("networkidle")


def main() -> None:
    """Go through the views as a reader does."""
    with tempfile.TemporaryDirectory() as name, running(Path(name), None) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH})
        opened(page, url, "Chest X-ray, clear lungs")
        page.get_by_role("radio", name="Agree", exact=True).check(force=True)
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved").wait_for()
        opened(page, url, "Chest X-ray, opacity")
        picture(page, "xray")
        page.get_by_role("radio", name="日本語").check(force=True)
        page.get_by_role("button", name="日本語で").click()
        page.get_by_role("radio", name="並べる").check(force=True)
        page.get_by_role("radio", name="ライト").check(force=True)
        page.get_by_text("しきい値49.2%").wait_for()
        picture(page, "xray-ja")
        for label in ("重ねる", "ダーク", "English"):
            page.get_by_role("radio", name=label).check(force=True)
        opened(page, url, "Brain MRI (FLAIR), lesion")
        page.locator(".stage canvas").wait_for()
        page.wait_for_load_state("networkidle")
        picture(page, "mri")
        page.goto(url)
        samples = Path(name) / "samples"
        page.get_by_label("Choose files").set_input_files(
            [samples / "chest-xray.dcm", samples / "not-medical.png", samples / "brain-mri.zip"]
        )
        page.get_by_text("3 of 3 done").wait_for()
        page.wait_for_load_state("networkidle")
        picture(page, "worklist")
        browser.close()


if __name__ == "__main__":
    main()
