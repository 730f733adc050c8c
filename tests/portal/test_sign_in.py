"""What the portal shows of those who sign in; the tokens are a real provider's, put on requests as the proxy does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from identity import CLIENT, Provider, provider
from pages import OpenPage, Worklist
from playwright.sync_api import Page, expect
from serving import StartRouter

USERS = {
    "clara": {"name": "Dr. Clara Weber", "roles": ["clinician"]},
    "vera": {"name": "Vera", "roles": ["viewer"]},
    "olga": {"name": "Olga", "roles": ["operator"]},
}


@pytest.fixture(scope="module")
def idp(light_servers: dict[str, str]) -> Iterator[Provider]:
    assert light_servers
    with provider(USERS) as running:
        yield running


@pytest.fixture
def router(idp: Provider, start_router: StartRouter) -> httpx.Client:
    return start_router(oidc_issuer=idp.issuer, oidc_audience=CLIENT)


def headers(idp: Provider, subject: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {idp.token(subject)}"}


def test_a_clinician_works_as_ever_and_a_viewer_looks_on(
    open_page: OpenPage, router: httpx.Client, idp: Provider, samples: Path
) -> None:
    clara = open_page(router, extra_http_headers=headers(idp, "clara"))
    expect(clara.get_by_role("banner")).to_contain_text("Dr. Clara Weber · Sign out")
    Worklist(clara).send(samples / "chest-xray.dcm")
    clara.wait_for_url("**/studies/*")
    expect(clara.get_by_role("region", name="Your review")).to_be_visible()
    expect(clara.get_by_role("button", name="Delete")).to_be_visible()
    vera = open_page(router, extra_http_headers=headers(idp, "vera"))
    expect(Worklist(vera).rows).to_have_count(1)
    for absent in (vera.get_by_label("Choose files"), vera.get_by_role("link", name="CSV")):
        expect(absent).to_have_count(0)
    Worklist(vera).rows.get_by_role("link").first.click()
    expect(vera.get_by_role("region", name="Explanation")).to_be_visible()
    for absent in (vera.get_by_role("region", name="Your review"), vera.get_by_role("button", name="Delete")):
        expect(absent).to_have_count(0)


def test_an_operator_sees_models_and_no_study(open_page: OpenPage, router: httpx.Client, idp: Provider) -> None:
    page = open_page(router, extra_http_headers=headers(idp, "olga"))
    expect(page.get_by_role("banner")).to_contain_text("Olga")
    expect(page.get_by_text("Pneumonia on paediatric chest X-ray").first).to_be_visible()
    expect(page.get_by_role("region", name="Analyses")).to_have_count(0)


def test_a_session_that_has_ended_can_be_begun_again(open_page: OpenPage, router: httpx.Client) -> None:
    page: Page = open_page(router)
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("Your session has expired. Sign in again")
    expect(alert.get_by_role("link", name="Sign in")).to_have_attribute("href", "/oauth2/start?rd=%2F")
