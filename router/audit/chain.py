"""The log in the database: each event holds the digest of the one before, and one row tells which is the last.

An event is written in the transaction of the act that it tells of, as the last thing of it, so that both are there or
neither. Writers wait for one another at the head, so numbers have no gaps. Whoever can write to the database can make
a whole new chain: what shows that is a head that was noted elsewhere, or the copy that `audit.syslog` sends away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, true, update
from sqlalchemy.orm import Session

from router.database import now, utc
from router.tables import AuditHeadRow, AuditRow

from .event import READ, SEARCHED, Act, Actor, Document, document

OPENING = timedelta(minutes=10)
"""Looking at a study, or asking for the same list, again within this time is not recorded again: all the pictures of a
study are one opening of it. Having made or changed it counts as looking at it."""
MOST_FAULTS = 20
"""That a check lists; a log that was exchanged has one in every event."""


@dataclass(frozen=True)
class Head:
    """Which event is the last, and the digest that all before it lead to."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass
class Checked:
    """What a check found.

    Attributes:
        faults: for people, at most `MOST_FAULTS`.
    """

    head: Head
    faults: list[str] = field(default_factory=list)


def record(session: Session, actor: Actor, act: Act) -> None:
    """Write an event into the transaction of `session`; nothing where it is one more look of the same opening."""
    if _is_of_an_opening(session, actor, act):
        return
    # Changes nothing, and lets no other writer past it until this transaction ends.
    lock = update(AuditHeadRow).values(number=AuditHeadRow.number).returning(AuditHeadRow.number, AuditHeadRow.hash)
    last, before = session.execute(lock).one()
    if _is_of_an_opening(session, actor, act):  # Another request of the same opening was faster.
        return
    number, moment = last + 1, now()
    event = document(number, moment, actor, act)
    text = json.dumps(event, separators=(",", ":"), sort_keys=True)
    digest = _digest(before, text)
    session.add(AuditRow(number=number, recorded=moment, **_found_by(event), event=text, hash=digest))
    session.flush()
    session.execute(update(AuditHeadRow).values(number=number, hash=digest))


def _is_of_an_opening(session: Session, actor: Actor, act: Act) -> bool:
    if act.pattern not in (READ, SEARCHED):
        return False
    moment = now()
    same = select(AuditRow.number).where(
        AuditRow.about == act.about,
        AuditRow.subject == (actor.user.subject if actor.user is not None else None),
        # Not what is recorded of a later moment: the clock went back since, and may have gone back by days.
        AuditRow.recorded.between(moment - OPENING, moment),
        AuditRow.action.in_(("C", "R", "U") if act.pattern is READ else ("E",)),
    )
    return session.scalars(same.limit(1)).first() is not None


def check(session: Session, noted: Head | None = None) -> Checked:
    """Whether the log is whole: every event there, as it was written, up to the head.

    Args:
        noted: a head of an earlier moment, kept where nobody who can write to the database could change it.
    """
    # In one statement, so that the head is of the same moment as the events.
    rows = session.execute(
        select(AuditHeadRow.number, AuditHeadRow.hash, AuditRow)
        .outerjoin(AuditRow, true())
        .order_by(AuditRow.number)
        .execution_options(yield_per=1000)
    )
    checked, last, digests = None, Head(0, "0" * 64), {}
    for number, digest, row in rows:
        checked = checked or Checked(Head(number, digest))
        if row is None:
            break
        if len(checked.faults) < MOST_FAULTS:
            checked.faults += _faults(last, row)
        if noted is not None and row.number == noted.number:
            digests[row.number] = row.hash
        last = Head(row.number, row.hash)
    if checked is None:
        return Checked(last, ["the log has no head: its row was deleted"])
    if last != checked.head:
        checked.faults.append(f"the log ends with {last}, and its head says {checked.head}: its end is missing")
    if noted is not None and digests.get(noted.number, last.hash if last == noted else None) != noted.hash:
        checked.faults.append(f"event {noted.number} is not the one that {noted} was noted of")
    return checked


def _faults(before: Head, row: AuditRow) -> Iterator[str]:
    if row.number != before.number + 1:
        missing = f"{before.number + 1}" if row.number == before.number + 2 else f"{before.number + 1}-{row.number - 1}"
        yield f"event {missing} is missing"
        return
    if _digest(before.hash, row.event) != row.hash:
        yield f"event {row.number} is not what was written, or does not follow from event {before.number}"
        return
    event = json.loads(row.event)
    told = _found_by(event) | {"number": int(event["id"]), "recorded": datetime.fromisoformat(event["recorded"])}
    stored = {name: getattr(row, name) for name in told}
    stored["recorded"] = utc(row.recorded).replace(microsecond=row.recorded.microsecond // 1000 * 1000)
    for name in told:
        if told[name] != stored[name]:
            yield f"event {row.number}: its column {name} says {stored[name]}, and the event {told[name]}"


def newest(
    session: Session, limit: int | None, about: str | None, subject: str | None, since: datetime | None
) -> Sequence[str]:
    """The last events of a study, user and time, where given, as they were hashed; the oldest first."""
    query = select(AuditRow.event).order_by(AuditRow.number.desc()).limit(limit)
    if about is not None:
        query = query.where(AuditRow.about == about)
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    if since is not None:
        query = query.where(AuditRow.recorded >= since)
    return list(reversed(session.scalars(query).all()))


def _digest(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _found_by(event: Document) -> dict[str, str | None]:
    """What an event is found by, as it says it itself."""
    entity = event["entity"][0]
    users = [agent for agent in event["agent"] if "name" in agent]
    return {
        "subject": users[0]["who"]["identifier"]["value"] if users else None,
        "action": event["action"],
        "about": entity["description"] if "query" in entity else entity["what"]["identifier"]["value"],
    }
