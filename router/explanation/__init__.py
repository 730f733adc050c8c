"""The result in words: by a template from the facts, or by an LLM whose every number is checked against them."""

from .explainer import Explainer
from .llm import LlmSettings, Pictures, Said

__all__ = ["Explainer", "LlmSettings", "Pictures", "Said"]
