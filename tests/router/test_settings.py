"""Settings come from the environment, and wrong ones are refused by name."""

from __future__ import annotations

import pytest

from handlers.contract.errors import SettingsError
from router.settings import Settings

OIDC = {"DOKUEI_OIDC_ISSUER": "https://login", "DOKUEI_OIDC_AUDIENCE": "dokuei"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"DOKUEI_{field.upper()}", raising=False)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DOKUEI_LLM_BASE_URL": "http://x/v1"}, "DOKUEI_LLM_MODEL is missing"),
        ({"DOKUEI_LLM_BASE_URL": "http://x/v1", "DOKUEI_LLM_MODEL": "m"}, "DOKUEI_LLM_SEND_IMAGES is missing"),
        ({"DOKUEI_MODEL_TIMEOUT_SECONDS": "-1"}, "DOKUEI_MODEL_TIMEOUT_SECONDS"),
        ({"DOKUEI_AUDIT_SYSLOG": "siem.example"}, "DOKUEI_AUDIT_SYSLOG: .*HOST:PORT.*and not siem.example"),
        ({"DOKUEI_AUDIT_SYSLOG": "siem.example:99999"}, "DOKUEI_AUDIT_SYSLOG"),
        ({"DOKUEI_IMAGE_KEYS": "c2hvcnQ="}, "DOKUEI_IMAGE_KEYS: .*a key is 32 random bytes in base64"),
        ({"DOKUEI_RETENTION_DAYS": "0"}, "DOKUEI_RETENTION_DAYS"),
        ({"DOKUEI_REGISTRY": "consul"}, "DOKUEI_REGISTRY"),
        ({"DOKUEI_OIDC_ISSUER": "https://login"}, "DOKUEI_OIDC_AUDIENCE is missing"),
        ({**OIDC, "DOKUEI_ALLOW_ANYONE": "true"}, "leave one of them out"),
        ({**OIDC, "DOKUEI_OIDC_ROLES": '{"doctors": "doctor"}'}, "DOKUEI_OIDC_ROLES"),
    ],
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        Settings.from_environment()


def test_where_nobody_signs_in_no_other_machine_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        Settings.from_environment().check_host(host)
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsError, match=rf"--host {host} can be reached from other machines.*DOKUEI_OIDC_ISS"):
            Settings.from_environment().check_host(host)
    monkeypatch.setenv("DOKUEI_ALLOW_ANYONE", "true")
    Settings.from_environment().check_host("0.0.0.0")
    monkeypatch.delenv("DOKUEI_ALLOW_ANYONE")
    for name, value in OIDC.items():
        monkeypatch.setenv(name, value)
    Settings.from_environment().check_host("0.0.0.0")


def test_the_choice_about_images_is_the_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKUEI_LLM_BASE_URL", "http://x/v1")
    monkeypatch.setenv("DOKUEI_LLM_MODEL", "m")
    for said in ("true", "false"):
        monkeypatch.setenv("DOKUEI_LLM_SEND_IMAGES", said)
        assert Settings.from_environment().llm_send_images is (said == "true")


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKUEI_LLM_API_KEY", "sk-canary")
    assert "sk-canary" not in repr(Settings.from_environment())
