"""A real OpenID Connect provider on loopback, and its tokens by the code flow."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
from flask import Response, request
from oidc_provider_mock import User
from werkzeug.serving import make_server

CLIENT = "dokuei"
CALLBACK = "http://localhost/oauth2/callback"
USERS: dict[str, dict[str, Any]] = {
    "vera": {"name": "Vera", "groups": "readers", "wards": ["chest"]},
    "clara": {"name": "Clara", "groups": ["doctors", "staff"], "wards": ["chest", "neuro"]},
    "nils": {"groups": ["doctors"], "wards": ["neuro"]},
    "olga": {"groups": ["mlops"]},
    "nobody": {},
    "stray": {"groups": ["doctors"], "wards": []},
}
"""One in each role and department, and some in none."""


@dataclass(frozen=True)
class Provider:
    """Signs users in; their claims are those it was started with.

    Attributes:
        asked: path of each request so far.
    """

    issuer: str
    asked: list[str] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)
    """By code, what its verifier has to match (RFC 7636), which the library does not look at."""

    def token(self, subject: str, client: str = CLIENT) -> str:
        """An ID token of a user for a client (RFC 6749, section 4.1, with PKCE's verifier left to the proxy)."""
        with httpx.Client(base_url=self.issuer, trust_env=False) as browser:
            asked = {
                "client_id": client, "response_type": "code", "redirect_uri": CALLBACK,
                "scope": "openid profile", "state": "s", "nonce": "n",
            }  # fmt: skip
            signed_in = browser.post("/oauth2/authorize", params=asked, data={"sub": subject})
            (code,) = parse_qs(urlsplit(signed_in.headers["location"]).query)["code"]
            given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
            answer = browser.post("/oauth2/token", data=given, auth=(client, "secret")).raise_for_status()
        token: str = answer.json()["id_token"]
        return token


@contextmanager
def provider(users: dict[str, dict[str, Any]], max_age: timedelta = timedelta(hours=1)) -> Iterator[Provider]:
    """Run a provider with these users and their claims."""
    known = [User(sub=subject, claims=claims) for subject, claims in users.items()]
    served = oidc_provider_mock.app(user_claims=known, access_token_max_age=max_age)
    server = make_server("localhost", 0, served, threaded=True)
    running = Provider(f"http://localhost:{server.server_port}")
    served.before_request(lambda: running.asked.append(request.path))

    @served.after_request
    def remember_the_challenge(answer: Response) -> Response:
        codes = parse_qs(urlsplit(answer.headers.get("location", "")).query).get("code", [])
        if request.args.get("code_challenge_method") == "S256":
            running.challenges.update(dict.fromkeys(codes, request.args["code_challenge"]))
        return answer

    @served.before_request
    def verify() -> tuple[dict[str, str], int] | None:
        challenge = running.challenges.get(request.form.get("code", "")) if request.path == "/oauth2/token" else None
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if challenge not in (None, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()):
            return {"error": "invalid_grant"}, 400
        return None

    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def oidc(provider: Provider) -> dict[str, Any]:
    """Settings of a router that users of `USERS` sign in to."""
    return {
        "oidc_issuer": provider.issuer,
        "oidc_audience": CLIENT,
        "oidc_roles_claim": "groups",
        "oidc_roles": {"readers": "viewer", "doctors": "clinician", "mlops": "operator"},
        "oidc_departments_claim": "wards",
    }


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
