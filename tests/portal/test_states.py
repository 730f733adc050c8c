"""What the portal says when something does not work; where a real router cannot fail so, its answers are replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from fake_llm import FakeLlm
from pages import SECONDS, Mri, OpenPage, Worklist, Xray
from playwright.sync_api import Page, Route, expect
from serving import StartRouter


def problem(status: int, slug: str, detail: str, **headers: str) -> dict[str, Any]:
    document = {"type": f"/problems/{slug}", "title": "Title", "status": status, "detail": detail}
    return {
        "status": status,
        "body": json.dumps(document),
        "headers": {"Content-Type": "application/problem+json", **headers},
    }


def test_a_model_that_is_starting_is_waited_for(page: Page, samples: Path) -> None:
    answers = [problem(503, "model-unavailable", "it starts", **{"Retry-After": "2"})]

    def answer(route: Route) -> None:
        if route.request.method == "POST" and answers:
            route.fulfill(**answers.pop())
        else:
            route.continue_()

    page.route("**/api/analyses", answer)
    Worklist(page).send(samples / "chest-xray.dcm")
    expect(Worklist(page).uploads).to_contain_text("The model is starting, usually a matter of seconds; trying again")
    page.wait_for_url("**/studies/*")


def test_a_dead_model_is_said_and_can_be_cancelled(
    open_page: OpenPage, start_router: StartRouter, samples: Path
) -> None:
    dead = start_router(model_endpoints={"chest-xray-pneumonia": "http://127.0.0.1:9"})
    worklist = Worklist(open_page(dead))
    worklist.send(samples / "chest-xray.dcm")
    expect(worklist.uploads).to_contain_text("The model is starting")
    worklist.uploads.get_by_role("button", name="Cancel").click()
    expect(worklist.uploads).to_contain_text("Cancelled")


def test_no_model_at_all_is_said(open_page: OpenPage, start_router: StartRouter) -> None:
    page = open_page(start_router(model_endpoints={}))
    expect(page.get_by_role("region", name="Models").get_by_role("status")).to_contain_text("No model answers yet")


def test_an_expired_session_a_full_queue_and_a_lost_connection_are_said(page: Page, samples: Path) -> None:
    worklist = Worklist(page)
    page.get_by_role("link", name="Dokuei").click()
    for fail, words in (
        (lambda route: route.fulfill(**problem(401, "unauthorised", "")), "Your session has expired"),
        (lambda route: route.fulfill(**problem(429, "busy", "")), "The server is busy"),
        (lambda route: route.abort(), "The server does not answer"),
    ):
        page.unroute_all()
        page.route("**/api/analyses", fail)
        worklist.send(samples / "chest-xray.dcm")
        expect(worklist.uploads.last.get_by_role("alert")).to_contain_text(words)


def test_an_llm_writes_the_explanation_and_its_failure_is_said(
    open_page: OpenPage, start_router: StartRouter, llm: FakeLlm, samples: Path
) -> None:
    llm.reply = {
        "finding": "The image is labelled normal.",
        "evidence": "The heat map is red.",
        "limits": "Research use.",
    }
    router = start_router(llm_base_url=llm.url, llm_model="words-1", llm_send_images=False)
    page = open_page(router)
    llm.pause.set()
    Worklist(page).open_sample("Chest X-ray, clear lungs")
    explanation = page.get_by_role("region", name="Explanation")
    expect(explanation).to_contain_text("The image is labelled normal.A language model is writing…")
    llm.go_on.set()
    expect(explanation).to_contain_text("The image is labelled normal. The heat map is red. Research use.")
    expect(explanation).to_contain_text("Written by words-1, its words and numbers checked against the figures")
    llm.behaviour = "status-500"
    file = (samples / "chest-xray-opacity.dcm").read_bytes()
    other = router.post("/api/analyses", files={"files": ("name", file)}).json()
    page.goto(f"/studies/{other['id']}")
    expect(explanation).to_contain_text("Fixed wording from the figures")
    explanation.get_by_role("button", name="Write again").click()
    expect(explanation).to_contain_text("The language model did not answer; these words stand.", timeout=20 * SECONDS)


def test_without_webgl_slices_and_figures_are_complete(page: Page) -> None:
    page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind.startsWith('webgl') ? null : real.call(this, kind, ...more); }"
    )
    page.reload()
    Worklist(page).open_sample("Brain MRI (FLAIR), lesion")
    expect(page.get_by_text("This browser shows no WebGL")).to_be_visible()
    expect(Mri(page).stack.get_by_role("img")).to_be_visible()


def test_a_picture_that_is_lost_is_said_and_can_be_asked_for_again(page: Page) -> None:
    page.route("**/images/0.png", lambda route: route.abort())
    Worklist(page).open_sample("Chest X-ray, clear lungs")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The server does not answer", timeout=20 * SECONDS)
    page.unroute_all()
    alert.get_by_role("button", name="Try again").click()
    expect(Xray(page).image).to_be_visible()


def test_a_link_opens_the_study(page: Page, shared_router: httpx.Client, samples: Path) -> None:
    file = (samples / "chest-xray.dcm").read_bytes()
    analysis = shared_router.post("/api/analyses", files={"files": ("name", file)}).json()
    page.goto(f"/studies/{analysis['id']}")
    expect(Xray(page).image).to_be_visible()
    page.get_by_role("link", name="Worklist").click()
    expect(Worklist(page).rows.first).to_be_visible()
