"""Users sign in by the real oauth2-proxy, started as the chart starts it, before a real router."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from identity import CLIENT, Provider, bearer, oidc, provider
from paths import ROOT
from proxy import proxy
from rendering import CHART
from serving import StartRouter

USERS = {"clara": {"name": "Clara", "email": "clara@hospital.example", "groups": ["doctors"], "wards": ["chest"]}}
SESSION, PENDING = "_oauth2_proxy", "_oauth2_proxy_csrf"


@dataclass
class Browser:
    """Keeps cookies, and follows nothing by itself; on loopback it sends Secure cookies too, as Chromium does."""

    address: str
    cookies: dict[str, Morsel[str]] = field(default_factory=dict)

    def get(self, target: str) -> httpx.Response:
        url = target if "://" in target else self.address + target
        sent = {"Cookie": "; ".join(f"{name}={found.value}" for name, found in self.cookies.items())}
        answer = httpx.get(url, headers=sent, timeout=60, trust_env=False)
        for line in answer.headers.get_list("set-cookie"):
            for name, found in SimpleCookie(line).items():
                self.cookies.pop(name, None)
                if found.value:
                    self.cookies[name] = found
        return answer

    def led_to_the_provider(self, path: str) -> str:
        """Where a page leads who has no session."""
        answer = self.get(path)
        assert answer.status_code == 302
        location: str = answer.headers["location"]
        return location

    def granted(self, path: str, subject: str = "clara") -> str:
        """Where the provider sends a user back to who was led to it from a page."""
        answer = httpx.post(self.led_to_the_provider(path), data={"sub": subject}, trust_env=False)
        # The proxy expects TLS before it, as its Secure cookie does; here it is asked directly.
        location: str = answer.headers["location"].replace("https://", "http://")
        return location

    def sign_in(self, path: str = "/") -> httpx.Response:
        return self.get(self.granted(path))

    @property
    def has_session(self) -> bool:
        return any(name.startswith(SESSION) and not name.startswith(PENDING) for name in self.cookies)


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider(USERS) as running:
        yield running


@pytest.fixture
def browser(idp: Provider, start_router: StartRouter, tmp_path: Path) -> Iterator[Browser]:
    with proxy(idp, start_router(**oidc(idp)), tmp_path / "proxy.log") as address:
        yield Browser(address)


def test_a_user_signs_in_and_comes_back_to_the_page_that_was_asked_for(browser: Browser) -> None:
    back = browser.sign_in("/studies/7?slice=3")
    assert back.status_code == 302
    assert back.headers["location"] == "/studies/7?slice=3"
    me = browser.get("/api/me").json()
    assert (me["name"], me["roles"]) == ("Clara", ["clinician"])
    assert "Dokuei" in browser.get("/").text


def test_no_script_reads_the_session_and_no_plain_connection_carries_it(browser: Browser) -> None:
    browser.sign_in()
    session = browser.cookies[SESSION]
    assert session["httponly"]
    assert session["secure"]
    assert session["samesite"].lower() == "lax"


def test_a_code_is_worth_nothing_without_the_verifier_of_who_asked_for_it(browser: Browser, idp: Provider) -> None:
    asked = parse_qs(urlsplit(browser.led_to_the_provider("/")).query)
    assert asked["code_challenge_method"] == ["S256"]
    code = parse_qs(urlsplit(browser.granted("/")).query)["code"][0]
    stolen = {
        "grant_type": "authorization_code", "code": code, "code_verifier": "v" * 43,
        "redirect_uri": asked["redirect_uri"][0],
    }  # fmt: skip
    refused = httpx.post(f"{idp.issuer}/oauth2/token", data=stolen, auth=(CLIENT, "secret"), trust_env=False)
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid_grant"})


def test_an_answer_of_the_provider_to_another_browser_signs_nobody_in(browser: Browser) -> None:
    victim = Browser(browser.address)
    refused = victim.get(browser.granted("/"))
    assert refused.status_code == 403
    assert not victim.has_session


def test_a_code_signs_in_once(browser: Browser) -> None:
    granted = browser.granted("/")
    pending = dict(browser.cookies)
    assert browser.get(granted).status_code == 302
    again = Browser(browser.address, pending)
    assert again.get(granted).status_code >= 400
    assert not again.has_session


def test_a_session_that_was_tampered_with_is_none(browser: Browser) -> None:
    browser.sign_in()
    value = browser.cookies[SESSION].value
    browser.cookies[SESSION].set(SESSION, value[:20] + ("A" if value[20] != "A" else "B") + value[21:], "")
    assert browser.get("/api/analyses").status_code == 401
    assert browser.get("/").status_code == 302


def test_without_a_session_the_api_says_401_and_tells_nothing(browser: Browser) -> None:
    for path in ("/api/analyses", "/api/me", "/api/models"):
        answer = browser.get(path)
        assert answer.status_code == 401
        assert "location" not in answer.headers
    assert browser.get("/healthz").status_code == 200


def test_who_signs_out_has_no_session_any_more(browser: Browser) -> None:
    browser.sign_in()
    assert browser.get("/api/me").status_code == 200
    browser.get("/oauth2/sign_out")
    assert not browser.has_session
    assert browser.get("/api/me").status_code == 401


def test_a_program_comes_with_its_own_token(browser: Browser, idp: Provider) -> None:
    def ask(token: str) -> int:
        return httpx.get(f"{browser.address}/api/me", headers=bearer(token), trust_env=False).status_code

    assert ask(idp.token("clara")) == 200
    assert ask(idp.token("clara", client="another")) == 401


def test_a_session_ends_with_its_token_and_is_begun_again(start_router: StartRouter, tmp_path: Path) -> None:
    with (
        provider(USERS, max_age=timedelta(seconds=3)) as idp,
        proxy(idp, start_router(**oidc(idp)), tmp_path / "proxy.log") as address,
    ):
        browser = Browser(address)
        browser.sign_in()
        assert browser.get("/api/me").status_code == 200
        deadline = time.monotonic() + 120  # The router grants tokens a minute, for clocks that differ.
        while browser.get("/api/me").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert browser.get("/api/me").status_code == 401
        assert browser.sign_in("/oauth2/start?rd=%2Fstudies%2F7").headers["location"] == "/studies/7"
        assert browser.get("/api/me").status_code == 200


def test_the_chart_starts_the_version_that_these_tests_run() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert f"oauth2-proxy/v7@{values['oidc']['image']['tag']}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
