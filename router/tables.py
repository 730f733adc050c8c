"""The tables of the database, as the newest of `migrations/` leaves them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of the tables."""


class AnalysisRow(Base):
    """One analysis, as the API shows it."""

    __tablename__ = "analyses"

    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    department: Mapped[str | None] = mapped_column(index=True)
    """Whose study it is; null where studies belong to nobody."""
    patient: Mapped[str | None] = mapped_column(String(64), index=True)
    """Pseudonym of the patient, see `Sealer.pseudonyms`; null where the files name nobody, or there is no key."""


class ImageRow(Base):
    """One picture of an analysis: a PNG, or the heat map as float32 [h, w] in numpy's format."""

    __tablename__ = "images"

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ReviewRow(Base):
    """What a reader thought of an analysis."""

    __tablename__ = "reviews"

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True)
    verdict: Mapped[str]
    reason: Mapped[str]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ComparisonRow(Base):
    """What came of mirroring a request to a candidate, see `result.Comparison`. It names no study and no analysis."""

    __tablename__ = "comparisons"

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)


class AuditRow(Base):
    """One event of the audit log; `audit.chain` writes it. The other columns repeat what the event says, to find it."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_about", "about", "subject", "recorded"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 on, without a gap."""
    recorded: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    subject: Mapped[str | None]
    action: Mapped[str]
    about: Mapped[str]
    event: Mapped[str] = mapped_column(Text)
    """A FHIR AuditEvent as JSON in ASCII: text, so that its bytes stay what was hashed."""
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Base):
    """The one row that says which event of the audit log is the last."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


class AuditSentRow(Base):
    """The one row that says up to which event a syslog server has taken the audit log."""

    __tablename__ = "audit_sent"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
