"""Who may do what: tokens of a real OpenID Connect provider, verified by the router."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from identity import USERS, Provider, bearer, oidc, provider
from kubernetes.client import CoreV1Api
from serving import StartRouter

from router.rollout.cluster import Cluster
from router.rollout.errors import RolloutError

READ = ("viewer", "clinician")
ROUTES = [
    ("GET", "/api/analyses", READ),
    ("POST", "/api/analyses/search", READ),
    ("GET", "/api/analyses/{id}", READ),
    ("GET", "/api/analyses/{id}/images/0.png", READ),
    ("GET", "/api/analyses/{id}/masks/0.png", READ),
    ("GET", "/api/analyses/{id}/heatmap.png", READ),
    ("GET", "/api/analyses/{id}/overlay.png", READ),
    ("GET", "/api/analyses/{id}/points.bin", READ),
    ("POST", "/api/analyses", ("clinician",)),
    ("POST", "/api/analyses/{id}/explanation", ("clinician",)),
    ("PUT", "/api/analyses/{id}/review", ("clinician",)),
    ("DELETE", "/api/analyses/{id}/review", ("clinician",)),
    ("DELETE", "/api/analyses/{id}", ("clinician",)),
    ("GET", "/api/reviews.csv", ("clinician", "operator")),
    ("GET", "/api/me", ("viewer", "clinician", "operator")),
    ("GET", "/api/models", ("viewer", "clinician", "operator")),
    ("GET", "/api/rollouts/{model}", ("operator",)),
    ("POST", "/api/rollouts/{model}/steps", ("operator",)),
    ("GET", "/api/rollouts/{model}/comparisons", ("operator",)),
    ("GET", "/api/rollouts/{model}/reviews", ("operator",)),
]
ROLE_OF = {"vera": "viewer", "clara": "clinician", "olga": "operator"}


@pytest.fixture
def router(idp: Provider, start_router: StartRouter) -> httpx.Client:
    return start_router(**oidc(idp))


def problem(answer: httpx.Response, status: int, slug: str) -> str:
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
    detail: str = answer.json()["detail"]
    return detail


def send(router: httpx.Client, token: str, file: Path, **fields: str) -> httpx.Response:
    return router.post("/api/analyses", headers=bearer(token), files={"files": file.read_bytes()}, data=fields)


def test_the_table_of_roles_names_every_route_of_the_api(router: httpx.Client) -> None:
    paths = router.get("/openapi.json").json()["paths"]
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods if path.startswith("/api")}
    assert {(method, path.replace("/0.png", "/{n}.png")) for method, path, _ in ROUTES} == there


@pytest.mark.parametrize(("method", "path", "roles"), ROUTES)
def test_each_route_is_for_its_roles_alone(
    router: httpx.Client, idp: Provider, method: str, path: str, roles: tuple[str, ...]
) -> None:
    path = path.format(id="none", model="none")
    refused = router.request(method, path)
    assert "sign in" in problem(refused, 401, "not-signed-in")
    assert refused.headers["www-authenticate"] == "Bearer"
    for subject, role in ROLE_OF.items():
        answer = router.request(method, path, headers=bearer(idp.token(subject)))
        if role in roles:
            assert answer.status_code not in (401, 403), answer.text
        else:
            assert f"your account is {role}" in problem(answer, 403, "not-allowed")
    nobody = router.request(method, path, headers=bearer(idp.token("nobody")))
    assert "has no role" in problem(nobody, 403, "not-allowed")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_probes_and_what_holds_no_study_are_open(router: httpx.Client, path: str) -> None:
    assert router.get(path).status_code == 200


def test_who_is_signed_in_is_told(router: httpx.Client, idp: Provider) -> None:
    me = router.get("/api/me", headers=bearer(idp.token("clara"))).json()
    assert me == {"name": "Clara", "roles": ["clinician"], "departments": ["chest", "neuro"], "signs_in": True}


def test_studies_of_another_department_are_not_there(router: httpx.Client, idp: Provider, samples: Path) -> None:
    vera, clara, nils = (idp.token(subject) for subject in ("vera", "clara", "nils"))
    xray = samples / "chest-xray.dcm"
    of_chest = send(router, clara, xray).json()["id"]
    of_neuro = send(router, clara, xray, department="neuro").json()["id"]
    seen = {
        subject: {each["id"] for each in router.get("/api/analyses", headers=bearer(token)).json()["items"]}
        for subject, token in (("vera", vera), ("clara", clara), ("nils", nils))
    }
    assert seen == {"vera": {of_chest}, "clara": {of_chest, of_neuro}, "nils": {of_neuro}}
    hidden = f"/api/analyses/{of_chest}"
    for method, path, roles in ROUTES:
        if "{id}" in path and "clinician" in roles:
            body = {"json": {"verdict": "agree"}} if method == "PUT" else {}
            body = {"json": {"language": "en"}} if method == "POST" else body
            theirs = path.replace("/api/analyses/{id}", hidden)
            problem(router.request(method, theirs, headers=bearer(nils), **body), 404, "not-found")
    assert router.get(hidden, headers=bearer(clara)).status_code == 200, "nothing happened to it"
    router.put(f"{hidden}/review", headers=bearer(clara), json={"verdict": "agree"}).raise_for_status()
    tables = {
        subject: router.get("/api/reviews.csv", headers=bearer(idp.token(subject))).text.count("agree")
        for subject in ("nils", "clara", "olga")
    }
    assert tables == {"nils": 0, "clara": 1, "olga": 1}, "who trains models sees the reviews of all"


def test_a_study_goes_to_no_department_that_is_not_the_senders(
    router: httpx.Client, idp: Provider, samples: Path
) -> None:
    xray = samples / "chest-xray.dcm"
    said = problem(send(router, idp.token("nils"), xray, department="chest"), 403, "not-allowed")
    assert "belongs to neuro, and to no other" in said
    assert "belongs to no department" in problem(send(router, idp.token("stray"), xray), 403, "not-allowed")


def test_a_token_that_is_not_the_providers_for_this_router_and_now_lets_nobody_in(
    router: httpx.Client, idp: Provider
) -> None:
    good = idp.token("clara")
    header, claims, signature = good.split(".")
    said = jwt.decode(good, options={"verify_signature": False})
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (listed,) = jwt.PyJWKSet.from_dict(httpx.get(f"{idp.issuer}/jwks", trust_env=False).json()).keys
    kid = str(listed.key_id)
    public = listed.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    operator = base64.urlsafe_b64encode(json.dumps({**said, "groups": ["mlops"]}).encode()).rstrip(b"=").decode()
    bad = {
        "another client's": idp.token("clara", client="other"),
        "of an unknown key": jwt.encode(said, own, algorithm="RS256", headers={"kid": "unknown"}),
        "of another key by the same name": jwt.encode(said, own, algorithm="RS256", headers={"kid": kid}),
        "without a signature": jwt.encode(said, None, algorithm="none", headers={"kid": kid}),
        "with other claims": f"{header}.{operator}.{signature}",
        "with the public key for a secret": forged_with(public, said, kid),
        "no token": "abc",
        "cut off": f"{header}.{claims}",
    }
    for what, token in bad.items():
        answer = router.get("/api/analyses", headers=bearer(token))
        assert "the token is not good" in problem(answer, 401, "not-signed-in"), what
        assert token not in answer.text, what
    basic = router.get("/api/analyses", headers={"Authorization": f"Basic {good}"})
    problem(basic, 401, "not-signed-in")
    assert router.get("/api/analyses", headers=bearer(good)).status_code == 200


def forged_with(public: bytes, claims: dict[str, Any], kid: str) -> str:
    """A token that a verifier takes which lets the token choose how its public key is used (RFC 8725, section 2.1)."""

    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "kid": kid}) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.new(public, signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + signature).decode()


def test_a_token_of_the_past_lets_nobody_in(start_router: StartRouter) -> None:
    with provider(USERS, max_age=timedelta(minutes=-5)) as past:
        router = start_router(**oidc(past))
        answer = router.get("/api/analyses", headers=bearer(past.token("clara")))
    assert "expired" in problem(answer, 401, "not-signed-in")


def test_a_provider_that_is_away_lets_nobody_in_and_is_asked_again(start_router: StartRouter) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
    router = start_router(**oidc(Provider(f"http://localhost:{port}")))
    with provider(USERS) as other:
        token = other.token("clara")
    answer = router.get("/api/analyses", headers=bearer(token))
    problem(answer, 503, "provider-unavailable")
    assert answer.headers["retry-after"] == "5"
    assert router.get("/readyz").status_code == 200


def test_the_first_who_come_together_all_get_in(start_router: StartRouter) -> None:
    with provider(USERS) as running:
        router, token = start_router(**oidc(running)), running.token("clara")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: router.get("/api/me", headers=bearer(token)).status_code, range(16)))
        assert answers == [200] * 16
        assert running.asked.count("/jwks") == 1


def test_keys_stay_while_the_provider_is_away(start_router: StartRouter) -> None:
    with provider(USERS) as running:
        token = running.token("clara")
        router = start_router(**oidc(running))
        assert router.get("/api/analyses", headers=bearer(token)).status_code == 200
    assert router.get("/api/analyses", headers=bearer(token)).status_code == 200


def test_unknown_keys_do_not_make_the_router_flood_its_provider(start_router: StartRouter) -> None:
    with provider(USERS) as running:
        router = start_router(**oidc(running))
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert router.get("/api/analyses", headers=bearer(running.token("clara"))).status_code == 200
        for number in range(20):
            token = jwt.encode({"sub": "x"}, own, algorithm="RS256", headers={"kid": f"k{number}"})
            problem(router.get("/api/analyses", headers=bearer(token)), 401, "not-signed-in")
        assert running.asked.count("/jwks") <= 2


def test_a_user_who_asks_too_often_is_told_when_to_come_again_and_others_are_not(
    idp: Provider, start_router: StartRouter, samples: Path
) -> None:
    router = start_router(**oidc(idp), user_requests_per_minute=12, user_analyses_per_minute=2)
    clara, nils = idp.token("clara"), idp.token("nils")
    sent = [send(router, clara, samples / "chest-xray.dcm").status_code for _ in range(4)]
    assert sent == [201, 201, 429, 429]
    explained = router.post("/api/analyses/none/explanation", headers=bearer(clara), json={"language": "ja"})
    assert "2 analyses and explanations in a minute" in problem(explained, 429, "too-many-requests")
    assert 1 <= int(explained.headers["retry-after"]) <= 60
    listed = [router.get("/api/analyses", headers=bearer(clara)) for _ in range(12)]
    assert {answer.status_code for answer in listed[:4]} == {200}
    assert "12 requests in a minute" in problem(listed[-1], 429, "too-many-requests")
    assert router.get("/api/analyses", headers=bearer(nils)).status_code == 200
    assert send(router, nils, samples / "chest-xray.dcm").status_code == 201


def test_one_who_tries_many_tokens_is_stopped_and_others_from_there_are_not(
    router: httpx.Client, idp: Provider
) -> None:
    answers = [router.get("/api/me", headers=bearer(f"x.{number}")) for number in range(30)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 10
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert router.get("/api/me", headers=bearer(idp.token("clara"))).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_changes_nothing(start_router: StartRouter, samples: Path, site: str) -> None:
    router = start_router()
    xray = {"files": (samples / "chest-xray.dcm").read_bytes()}
    asked = router.post("/api/analyses", files=xray, headers={"Sec-Fetch-Site": site})
    problem(asked, 403, "cross-site")
    assert router.get("/api/analyses").json()["items"] == []
    assert router.get("/api/analyses", headers={"Sec-Fetch-Site": site}).status_code == 200, "a link may lead here"
    own = router.post("/api/analyses", files=xray, headers={"Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 201


def test_a_name_that_leads_to_this_machine_is_not_the_routers(start_router: StartRouter) -> None:
    router = start_router()
    assert router.get("/api/models", headers={"Host": "attacker.example"}).status_code == 400
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert router.get("/api/models", headers={"Host": host}).status_code == 200


def test_without_a_provider_everybody_is_the_local_user(start_router: StartRouter) -> None:
    me = start_router().get("/api/me").json()
    assert me == {
        "name": "local",
        "roles": ["clinician", "operator", "viewer"],
        "departments": None,
        "signs_in": False,
    }


def test_a_router_that_others_could_reach_does_not_start_where_nobody_signs_in() -> None:
    command = [sys.executable, "-m", "router.cli", "serve", "--host", "0.0.0.0"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: --host 0.0.0.0 can be reached from other machines, and nobody has to sign in")


def test_the_commands_send_the_token_of_their_environment(router: httpx.Client, idp: Provider, samples: Path) -> None:
    command = [sys.executable, "-m", "router.cli", "analyse", str(samples / "chest-xray.dcm")]

    def analyse(**environment: str) -> subprocess.CompletedProcess[str]:
        options = ("--url", str(router.base_url))
        return subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
        )

    assert "Sign in first" in analyse().stderr
    done = analyse(DOKUEI_TOKEN=idp.token("clara"))
    assert (done.returncode, "chest-xray-pneumonia" in done.stdout) == (0, True), done.stderr


def test_a_rollout_sends_the_token_of_its_environment_through_the_cluster(
    router: httpx.Client, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The way through the API server is tested on the cluster; here it ends at a router where users sign in.
    monkeypatch.setattr("kubernetes.config.load_config", lambda: None)
    ready = SimpleNamespace(
        metadata=SimpleNamespace(name="dokuei-router-1"),
        status=SimpleNamespace(conditions=[SimpleNamespace(type="Ready", status="True")]),
    )
    monkeypatch.setattr(CoreV1Api, "list_namespaced_pod", lambda *_, **__: SimpleNamespace(items=[ready]))
    address = (router.base_url.host, router.base_url.port)
    forwarded = SimpleNamespace(socket=lambda _port: socket.create_connection(address))
    monkeypatch.setattr("router.rollout.cluster.portforward", lambda *_, **__: forwarded)
    cluster = Cluster("dokuei", "dokuei")
    with pytest.raises(RolloutError, match="the router says: sign in"):
        cluster.ask_router("/api/rollouts/chest-xray-pneumonia")
    monkeypatch.setenv("DOKUEI_TOKEN", idp.token("clara"))
    with pytest.raises(RolloutError, match="your account is clinician"):
        cluster.record("chest-xray-pneumonia", "the candidate is at 5 %")
    monkeypatch.setenv("DOKUEI_TOKEN", idp.token("olga"))
    cluster.record("chest-xray-pneumonia", "the candidate is at 5 %")
