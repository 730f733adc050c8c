"""The one place where the router reads its settings, all from the environment (prefix `DOKUEI_`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from handlers.contract.errors import SettingsError

from .result import Role
from .sealing import Sealer

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """What the deployment decides about the router. Each field is the variable `DOKUEI_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="DOKUEI_", extra="ignore", frozen=True)

    database_url: str = "sqlite:///dokuei.db"
    """SQLAlchemy URL: SQLite serves one router, PostgreSQL (`postgresql+psycopg://`) several."""

    registry: Literal["static", "kubernetes"] = "static"
    """Where models are found: the cards of `model_store`, or the InferenceServices of `namespace`."""
    model_store: Path = Path("model-store")
    model_endpoints: dict[str, str] = Field(default_factory=dict)
    """Static registry: base URL of each model's server by the card's name, as JSON."""
    model_runtime: str = "light"
    """Static registry: what serves the models, told in every answer."""
    namespace: str = "default"
    traffic: str | None = None
    """Kubernetes registry: name of the ConfigMap that says which share of studies each candidate reads."""
    model_timeout_seconds: float = Field(default=60, gt=0)

    decode_workers: int = Field(default=2, ge=1)
    """Uploads decoded at the same time, each in a process of its own; twice as many can be under way."""

    samples: Path | None = None
    """Folder of sample images that the portal offers."""

    oidc_issuer: str | None = None
    """OpenID Connect provider that users sign in at; its tokens are asked for."""
    oidc_audience: str | None = None
    """What its tokens have to be for: the client's id at the provider."""
    oidc_roles_claim: str = "roles"
    """Claim with a user's roles."""
    oidc_roles: dict[str, Role] = Field(default_factory=lambda: {role: role for role in get_args(Role)})
    """Which of the claim's values gives which role, as JSON."""
    oidc_departments_claim: str | None = None
    """Claim with a user's departments, whose studies alone they see; without one, all users see all studies."""
    allow_anyone: bool = False
    """Let whoever reaches the router do everything, also from other machines; for trials without patients' images."""

    image_keys: SecretStr = SecretStr("")
    """Keys that stored pictures are encrypted with, each of 32 bytes in base64, the newest first, a space between."""
    retention_days: int | None = Field(default=None, ge=1)
    """How long studies are kept from their upload on; None: until they are deleted."""

    user_requests_per_minute: int = Field(default=6000, ge=1)
    """Of each user who signs in; a study of 155 slices is some 300."""
    user_analyses_per_minute: int = Field(default=60, ge=1)
    """Uploads of each user who signs in, and explanations that they ask for."""

    audit_syslog: str | None = None
    """`HOST:PORT` of a syslog server that takes the audit log over TLS (RFC 5425)."""
    audit_syslog_tls: Path | None = None
    """Folder with `ca.crt`, the authority of that server, and `tls.crt` and `tls.key` where it asks for them."""

    llm_base_url: str | None = None
    llm_model: str | None = None
    llm_api_key: SecretStr = SecretStr("none")
    llm_send_images: bool | None = None
    """Whether the LLM gets original, overlay and heat map; has to be said once an LLM is configured."""
    llm_timeout_seconds: float = Field(default=20, gt=0)

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("DOKUEI_OIDC_AUDIENCE is missing: it names what tokens of DOKUEI_OIDC_ISSUER are for")
        if self.oidc_issuer is not None and self.allow_anyone:
            raise ValueError("DOKUEI_ALLOW_ANYONE is true and DOKUEI_OIDC_ISSUER is there; leave one of them out")
        return self

    @field_validator("image_keys")
    @classmethod
    def _are_keys(cls, given: SecretStr) -> SecretStr:
        Sealer(given.get_secret_value().split())
        return given

    @property
    def sealer(self) -> Sealer:
        """What encrypts with `image_keys`."""
        return Sealer(self.image_keys.get_secret_value().split())

    @field_validator("audit_syslog")
    @classmethod
    def _is_an_address(cls, given: str | None) -> str | None:
        if given is not None:
            host, _, port = given.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"it is HOST:PORT, such as siem.hospital.example:6514, and not {given}")
        return given

    @property
    def syslog_address(self) -> tuple[str, int] | None:
        """Host and port of `audit_syslog`."""
        if self.audit_syslog is None:
            return None
        host, _, port = self.audit_syslog.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _llm_is_whole(self) -> Self:
        if self.llm_base_url is None:
            return self
        if self.llm_model is None:
            raise ValueError("DOKUEI_LLM_MODEL is missing: it names the model at DOKUEI_LLM_BASE_URL")
        if self.llm_send_images is None:
            raise ValueError(
                "DOKUEI_LLM_SEND_IMAGES is missing: say true to send original, overlay and heat map (pixels without "
                "metadata) to the LLM, or false to send numbers and labels only"
            )
        return self

    @property
    def for_this_machine_only(self) -> bool:
        """Whether nobody signs in, so that no other machine may reach the router."""
        return self.oidc_issuer is None and not self.allow_anyone

    def check_host(self, host: str) -> None:
        """Whether the router may listen there.

        Raises:
            SettingsError: other machines could reach it, and nobody would have to sign in.
        """
        if self.for_this_machine_only and host not in LOOPBACK:
            raise SettingsError(
                f"--host {host} can be reached from other machines, and nobody has to sign in: set DOKUEI_OIDC_ISSUER "
                "and DOKUEI_OIDC_AUDIENCE, listen on 127.0.0.1, or, for a trial without patients' images, set "
                "DOKUEI_ALLOW_ANYONE=true"
            )

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: names the variable and what it should be.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = []
            for entry in error.errors():
                field = "_".join(map(str, entry["loc"])).upper()
                problems.append(
                    f"DOKUEI_{field}: {entry['msg']}" if field else entry["msg"].removeprefix("Value error, ")
                )
            raise SettingsError("; ".join(problems)) from error
