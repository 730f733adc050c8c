"""What is recorded, as FHIR R4 AuditEvent by IHE's Basic Audit Log Patterns (BALP 1.1.3).

https://profiles.ihe.net/ITI/BALP, https://hl7.org/fhir/R4/auditevent.html. An event names users, studies by their id at
Dokuei, and acts. It holds nothing of what a file says.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from router.user import User

Action = Literal["C", "R", "U", "D", "E"]
Document = dict[str, Any]

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
DCM = "http://dicom.nema.org/resources/ontology/DCM"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
SUCCESS, MINOR_FAILURE = "0", "4"
MACHINE_NAME, IP_ADDRESS = "1", "2"
"""Types of an agent's network address (http://hl7.org/fhir/network-type)."""
SOURCE, DESTINATION, APPLICATION = (
    (DCM, "110153", "Source Role ID"),
    (DCM, "110152", "Destination Role ID"),
    (DCM, "110150", "Application"),
)
CUSTODIAN = (f"{TERMINOLOGY}provenance-participant-type", "custodian", "Custodian")

Code = tuple[str, str, str]
"""System, code and display."""


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Attributes:
        user: None where nobody is known by name.
        address: of the machine that asks, as the connection tells it.
        program: that asks, where there is no user who signed in to one.
    """

    user: User | None = None
    address: str | None = None
    program: str = "dokuei"


@dataclass(frozen=True)
class Act:
    """What is done.

    Attributes:
        about: the study's id, or what else it is done to.
        why: what happened, for people; of failures.
        details: facts of it, for people.
    """

    pattern: Pattern
    about: str
    why: str | None = None
    details: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Pattern:
    """How one kind of act is written down.

    Attributes:
        profile: of BALP, where one fits.
        client, server: what those who ask and answer are to each other.
        participation: of the user (v3-ParticipationType).
        query: whether `Act.about` is what was asked for, and not a thing.
    """

    action: Action
    type: Code
    subtype: Code
    client: Code = SOURCE
    server: Code = DESTINATION
    participation: Code = (f"{TERMINOLOGY}v3-ParticipationType", "AUT", "author (originator)")
    profile: str | None = None
    outcome: str = SUCCESS
    query: bool = False


def _rest(name: str) -> tuple[Code, Code]:
    return (
        (f"{TERMINOLOGY}audit-event-type", "rest", "RESTful Operation"),
        ("http://hl7.org/fhir/restful-interaction", name, name),
    )


_RECIPIENT = (f"{TERMINOLOGY}v3-ParticipationType", "IRCP", "information recipient")
_KEEPER = (f"{TERMINOLOGY}v3-ParticipationType", "CST", "custodian")
_ALERT = (DCM, "110113", "Security Alert")
_EXPORT = ((DCM, "110106", "Export"), (f"{TERMINOLOGY}iso-21089-lifecycle", "disclose", "Disclose"))

CREATED = Pattern("C", *_rest("create"), profile="Create")
READ = Pattern("R", *_rest("read"), DESTINATION, SOURCE, _RECIPIENT, profile="Read")
UPDATED = Pattern("U", *_rest("update"), profile="Update")
DELETED = Pattern("D", *_rest("delete"), APPLICATION, CUSTODIAN, _KEEPER, profile="Delete")
SEARCHED = Pattern("E", *_rest("search"), participation=_RECIPIENT, profile="Query", query=True)
EXPORTED = Pattern("R", *_EXPORT, DESTINATION, SOURCE, _RECIPIENT, query=True)
DISCLOSED = Pattern("R", *_EXPORT)
"""Told to another program, which the act's details name."""
CONFIGURED = Pattern("E", _ALERT, (DCM, "110131", "Software Configuration"))
LOG_USED = Pattern(
    "R", (DCM, "110101", "Audit Log Used"), (DCM, "110101", "Audit Log Used"), DESTINATION, SOURCE, _RECIPIENT,
    query=True,
)  # fmt: skip
REFUSED = Pattern("E", _ALERT, (DCM, "110132", "Use of Restricted Function"), outcome=MINOR_FAILURE)
LOGIN_FAILED = Pattern(
    "E", (DCM, "110114", "User Authentication"), (DCM, "110122", "Login"), outcome=MINOR_FAILURE
)  # fmt: skip


def document(number: int, recorded: datetime, actor: Actor, act: Act) -> Document:
    """The event as a FHIR resource.

    Args:
        number: its id; one more than that of the event before it.
        recorded: with its zone.
    """
    pattern = act.pattern
    given: Document = {
        "resourceType": "AuditEvent",
        "id": str(number),
        "type": _coding(pattern.type),
        "subtype": [_coding(pattern.subtype)],
        "action": pattern.action,
        "recorded": recorded.isoformat(timespec="milliseconds"),
        "outcome": pattern.outcome,
        "agent": _agents(actor, pattern),
        "source": {
            "site": socket.gethostname(),
            "observer": {"display": "Dokuei router"},
            "type": [_coding((f"{TERMINOLOGY}security-source-type", "4", "Application Server"))],
        },
        "entity": [_entity(act)],
    }
    if pattern.profile is not None:
        given["meta"] = {"profile": [BALP + pattern.profile]}
    if act.why is not None:
        given["outcomeDesc"] = act.why
    return given


def _agents(actor: Actor, pattern: Pattern) -> list[Document]:
    user = actor.user
    where = {"address": actor.address, "type": IP_ADDRESS} if actor.address else _here()
    agents: list[Document] = [
        {
            "type": _concept(pattern.client),
            "who": {"identifier": {"value": actor.program if user is None else user.client}},
            "requestor": user is None,
            "network": where,
        },
        {
            "type": _concept(pattern.server),
            "who": {"display": "Dokuei router"},
            "requestor": False,
            "network": _here(),
        },
    ]
    if user is not None:
        agents.append(
            {
                "type": _concept(pattern.participation),
                "who": {"identifier": {"value": user.subject}},
                "name": user.name,
                "requestor": True,
                "role": [{"text": role} for role in sorted(user.roles)],
            }
        )
    return agents


def _here() -> Document:
    return {"address": socket.gethostname(), "type": MACHINE_NAME}


def _entity(act: Act) -> Document:
    role = ("24", "Query") if act.pattern.query else ("4", "Domain Resource")
    entity: Document = {
        "type": _coding((f"{TERMINOLOGY}audit-entity-type", "2", "System Object")),
        "role": _coding((f"{TERMINOLOGY}object-role", *role)),
    }
    if act.pattern.query:
        entity |= {"query": base64.b64encode(act.about.encode()).decode(), "description": act.about}
    else:
        entity |= {"what": {"identifier": {"value": act.about}}}
    if act.details:
        entity["detail"] = [{"type": name, "valueString": value} for name, value in act.details.items()]
    return entity


def _coding(code: Code) -> Document:
    system, value, display = code
    return {"system": system, "code": value, "display": display}


def _concept(code: Code) -> Document:
    return {"coding": [_coding(code)]}
