"""Who asks the router for something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .errors import NotAllowed
from .result import Role


@dataclass(frozen=True)
class User:
    """A person or program that is signed in.

    Attributes:
        subject: what the provider calls them, for good (the claim `sub`).
        name: for people.
        departments: whose studies they see, the first of them where theirs go; None where studies belong to nobody.
        client: the program that they signed in to, as the provider names it.
    """

    subject: str
    name: str
    roles: frozenset[Role]
    departments: tuple[str, ...] | None = None
    client: str = "local"

    def department(self, chosen: str | None) -> str | None:
        """Where a study of theirs goes.

        Raises:
            NotAllowed: the chosen department is not theirs, or they have none.
        """
        if self.departments is None:
            return None
        if not self.departments:
            raise NotAllowed("your account belongs to no department, so your studies would be seen by nobody")
        if chosen is not None and chosen not in self.departments:
            raise NotAllowed(f"your account belongs to {', '.join(self.departments)}, and to no other department")
        return chosen or self.departments[0]


ANYONE = User("local", "local", frozenset(get_args(Role)))
"""Whoever reaches a router that nobody signs in to."""
