"""What an LLM wrote is shown only if it says nothing that the facts do not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from handlers.contract.errors import DokueiError
from router.result import Language

MAX_LENGTH = 1500
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
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
        RejectedReply: it is too long, holds markup or treatment advice, is in another language, or has a number that is
            no fact.
    """
    plain = unicodedata.normalize("NFKC", text)
    if not plain.strip() or len(plain) > MAX_LENGTH:
        raise RejectedReply("length")
    if _MARKUP.search(plain):
        raise RejectedReply("markup")
    if _ADVICE.search(plain):
        raise RejectedReply("advice")
    if bool(_KANA.search(plain)) != (language == "ja"):
        raise RejectedReply("language")
    for name in (str(facts["model"]), str(facts["version"])):
        plain = plain.replace(name, " ")
    known = list(_numbers(facts))
    for match in _NUMBER.finditer(plain):
        if not any(_says(match[0], value) for value in known):
            raise RejectedReply("number")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        for member in value.values():
            yield from _numbers(member)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def _says(written: str, value: float) -> bool:
    """Whether a written number is `value`, rounded to the decimals written; a share may be written as a percentage."""
    decimals = len(written.partition(".")[2])
    number = float(written.replace(",", ""))

    def rounds(to: float) -> bool:
        return abs(number - to) <= 0.5 * 10.0**-decimals + 1e-9

    if 0 < value < 1:
        return rounds(value * 100) or (decimals >= 2 and rounds(value))
    return rounds(value) or (value in {0, 1} and rounds(value * 100))
