"""`dokuei audit`: verify, list, export. They read the database that the router's settings name."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from handlers.contract.errors import DokueiError

# What needs the database is imported where it is needed: `dokuei --help` must not wait for it.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from .chain import Head

app = typer.Typer(
    no_args_is_help=True, help="Who saw and did what: read the audit log of the database DOKUEI_DATABASE_URL."
)

T = TypeVar("T")
Study = Annotated[str | None, typer.Option(help="only of this analysis (its id), or model")]
User = Annotated[str | None, typer.Option(help="only of this user (the provider's `sub`)")]
Since = Annotated[datetime | None, typer.Option(help="only from this moment on, in UTC")]


class LogFault(DokueiError):
    """The log is not what was written, or a head cannot be read."""


@app.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="NUMBER:DIGEST, as this command printed it before and somebody kept it")
    ] = None,
) -> None:
    """Check that every event is there as it was written, and print the head to keep elsewhere."""
    from . import chain

    noted = None if head is None else _head(head)
    checked = _transact(lambda session: chain.check(session, noted))
    if checked.faults:
        raise LogFault("\n       ".join(["the audit log is not whole:", *checked.faults]))
    print(f"{checked.head.number} events, all as they were written")
    print(f"head {checked.head}")


@app.command("list")
def list_(
    study: Study = None,
    user: User = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 50,
) -> None:
    """Show events, the oldest of them first."""
    table = Table("event", "when (UTC)", "who", "from", "what", "of", "more")
    for text in _events(limit, study, user, since):
        event = json.loads(text)
        agents, entity = event["agent"], event["entity"][0]
        names = [agent["name"] for agent in agents if "name" in agent]
        more = [event["outcomeDesc"]] if "outcomeDesc" in event else []
        more += [f"{detail['type']}: {detail['valueString']}" for detail in entity.get("detail", [])]
        table.add_row(
            event["id"],
            event["recorded"][:19].replace("T", " "),
            names[0] if names else agents[0]["who"]["identifier"]["value"],
            agents[0]["network"]["address"],
            event["subtype"][0]["display"],
            entity.get("description") or entity["what"]["identifier"]["value"],
            "; ".join(more),
        )
    Console().print(table)


@app.command()
def export(study: Study = None, user: User = None, since: Since = None) -> None:
    """Print events as FHIR AuditEvents, one a line (ndjson), the oldest first."""
    for event in _events(None, study, user, since):
        print(event)


def _events(limit: int | None, study: str | None, user: str | None, since: datetime | None) -> Sequence[str]:
    """The events that are asked for; that they were asked for is an event itself (DICOM PS3.15, A.5.3.2)."""
    from router.user import User

    from . import chain
    from .event import LOG_USED, Act, Actor

    reader = getpass.getuser()
    actor = Actor(User(reader, reader, frozenset({"operator"}), client="dokuei audit"))
    asked = {"study": study, "user": user, "since": since and since.isoformat(), "limit": limit}
    about = "audit log" + "".join(f", {name}={value}" for name, value in asked.items() if value is not None)
    moment = since and since.replace(tzinfo=UTC)

    def act(session: Session) -> Sequence[str]:
        found = chain.newest(session, limit, study, user, moment)
        chain.record(session, actor, Act(LOG_USED, about))
        return found

    return _transact(act)


def _transact(act: Callable[[Session], T]) -> T:
    """Do it in the database that the settings name, if that is one with a log."""
    from sqlalchemy import make_url

    from router.database import Database
    from router.errors import StoreUnavailable
    from router.settings import Settings

    url = make_url(Settings.from_environment().database_url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise LogFault(f"there is no database {shown}; set DOKUEI_DATABASE_URL to the one that the router uses")
    try:
        return Database(url.render_as_string(hide_password=False)).transact(act)
    except StoreUnavailable as error:
        raise LogFault(f"the log in {shown} cannot be used: {error.detail}") from error


def _head(text: str) -> Head:
    from .chain import Head

    number, _, digest = text.removeprefix("head ").strip().partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise LogFault(f"--head is NUMBER:DIGEST, such as `dokuei audit verify` prints after the word head; not {text}")
    return Head(int(number), digest)
