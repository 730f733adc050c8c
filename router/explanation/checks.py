"""What an LLM wrote is shown only if it says nothing that the facts do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from handlers.contract.errors import DokueiError
from router.result import Language

from .statements import contradicts, misplaced, plain, unknown_words, wrong_numbers

MAX_LENGTH = 1500
_ADVICE = re.compile(
    r"antibiotic|antimicrobial|prescri|treat|therap|medicat|administ|\bdos(e|age)|surg|resect|biops|hospitali[sz]|admit"
    r"|治療|投与|処方|抗生|抗菌|投薬|服用|内服|手術|切除|生検|化学療法|放射線療法|入院",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<\s*[a-z/!]|\]\(|https?:|```", re.IGNORECASE)
_KANA = re.compile(r"[\u3040-\u30ff]")


class RejectedReply(DokueiError):
    """A reply that is not shown; `reason` is one word for the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the LLM's reply was not shown: {reason}")
        self.reason = reason


def check(text: str, facts: Mapping[str, Any], language: Language) -> None:
    """Check a reply against the facts.

    Raises:
        RejectedReply: it is too long, holds markup or treatment advice, is in another language, or says anything else
            than the facts: a number, a word (`vocabulary`), the side of the threshold or the place.
    """
    words = plain(text, facts)
    if not any(letter.isalpha() for letter in words) or len(words) > MAX_LENGTH:
        raise RejectedReply("length")
    if _MARKUP.search(words):
        raise RejectedReply("markup")
    if _ADVICE.search(words):
        raise RejectedReply("advice")
    if bool(_KANA.search(words)) != (language == "ja"):
        raise RejectedReply("language")
    if wrong_numbers(words, facts):
        raise RejectedReply("number")
    if unknown_words(words, facts, language):
        raise RejectedReply("word")
    if contradicts(words, facts, language):
        raise RejectedReply("contradiction")
    if misplaced(words, facts, language):
        raise RejectedReply("region")
