"""How Dokuei's own commands ask a router that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from handlers.contract.errors import DokueiError

from . import token


class CommandError(DokueiError):
    """A command that cannot do what it was asked."""


@contextmanager
def router_at(url: str) -> Iterator[httpx.Client]:
    """A client of the router there, with the token of the environment where there is one.

    Raises:
        CommandError: it gives no answer.
    """
    try:
        with httpx.Client(base_url=url, headers=token.headers(), timeout=300, trust_env=False) as client:
            yield client
    except httpx.ConnectError:
        raise CommandError(f"no router answers at {url}; `make run` starts one") from None
    except httpx.TransportError as error:
        raise CommandError(f"the router at {url} gave no answer: {error}") from None


def check_answer(answer: httpx.Response) -> httpx.Response:
    """The answer, where it is what was asked for.

    Raises:
        CommandError: it is a problem; what the router says of it.
    """
    if answer.is_error:
        problem = answer.json()
        raise CommandError(f"{problem['title']}: {problem['detail']}")
    return answer
