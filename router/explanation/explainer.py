"""Who explains: the LLM where one is configured and well, else the template."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import openai
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from router import telemetry
from router.result import Explanation, Language

from . import template
from .checks import RejectedReply
from .llm import LlmClient, LlmSettings, Pictures, Said

FAILURES_TO_OPEN = 3
SECONDS_OPEN = 30
"""After three failures in a row the LLM is not asked for 30 s, so a dead endpoint costs no reader a timeout."""

Sending = Callable[[str], Awaitable[None]]


class Explainer:
    """Explains facts. The template never fails; the LLM may, and then the template stands.

    Args:
        settings: of the LLM; None: the template always.
    """

    def __init__(self, settings: LlmSettings | None) -> None:
        self._settings = settings
        self._llm = LlmClient(settings) if settings is not None else None
        self._breakers = AsyncCircuitBreakerFactory(default_threshold=FAILURES_TO_OPEN, default_ttl=SECONDS_OPEN)

    async def close(self) -> None:
        """Close the connections to the LLM."""
        if self._llm is not None:
            await self._llm.close()

    @property
    def llm(self) -> str | None:
        """Name of the LLM, where one is configured."""
        return None if self._settings is None else self._settings.model

    def from_template(self, facts: Mapping[str, Any], language: Language) -> Explanation:
        """The template's explanation, at once."""
        return Explanation(text=template.explain(facts, language), source="template", language=language, model=None)

    async def from_llm(
        self,
        facts: Mapping[str, Any],
        language: Language,
        pictures: Callable[[], Awaitable[Pictures]] | None,
        sending: Sending,
        said: Said,
    ) -> Explanation | None:
        """The LLM's explanation, or None where there is none to show.

        Args:
            pictures: makes the pictures; None where there are none, or where they must not leave.
            sending: told what is about to be sent; where it fails, nothing is.
            said: told the words so far, as they come.
        """
        if self._llm is None or self._settings is None:
            return None
        wanted = pictures if self._settings.send_images else None
        try:
            async with await self._breakers.get_breaker("llm"):
                made = await wanted() if wanted is not None else None
                await sending("facts" if made is None else "facts, original, overlay, heat map")
                text = await self._llm.explain(facts, language, made, said)
        except (RejectedReply, openai.OpenAIError, TimeoutError, OpenedState) as error:
            reason = error.reason if isinstance(error, RejectedReply) else type(error).__name__
            telemetry.LLM_REJECTIONS.labels(reason).inc()
            telemetry.log.warning("llm explanation not used", reason=reason)
            return None
        return Explanation(text=text, source="llm", language=language, model=self._settings.model)
