"""The one place where the router reads its settings, all from the environment (prefix `DOKUEI_`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from handlers.contract.errors import SettingsError

DEFAULT_PORT = 8000
"""Of the router, where no other is given."""


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
    """Uploads decoded at the same time, each in a process of its own."""

    samples: Path | None = None
    """Folder of sample images that the portal offers."""

    llm_base_url: str | None = None
    llm_model: str | None = None
    llm_api_key: SecretStr = SecretStr("none")
    llm_send_images: bool | None = None
    """Whether the LLM gets original, overlay and heat map; has to be said once an LLM is configured."""
    llm_timeout_seconds: float = Field(default=20, gt=0)

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
