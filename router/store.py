"""The database: analyses with their images, in one transaction, and what readers thought of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
from anyio.to_thread import run_sync
from sqlalchemy import ColumnElement, create_engine, delete, event, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from .errors import NotFound, StoreUnavailable
from .kserve import Variant
from .result import Analysis, Comparison, Explanation, Review, Verdict, VersionReview
from .tables import AnalysisRow, ComparisonRow, ImageRow, ReviewRow

MIGRATION_LOCK = 0x646F6B75
"""Any number that no other program on the database takes for its advisory lock."""

ImageKey = tuple[str, int]
"""Kind ("image", "mask" or "heat") and number of a stored picture."""


T = TypeVar("T")

DISK_FULL = ("SQLITE_FULL", "53100")
"""As SQLite and PostgreSQL (disk_full) name it."""


class Store:
    """Keeps analyses. Every method is one transaction.

    Args:
        url: SQLAlchemy URL of the database.
    """

    _departments: Sequence[str] | None = None
    """Whose studies are there for a caller; None for all."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)

    def within(self, departments: Sequence[str] | None) -> Store:
        """The same store, where there are no studies but those of these departments; with None, all of them."""
        limited = copy.copy(self)
        limited._departments = departments
        return limited

    async def start(self) -> None:
        """Bring the schema up to date.

        Raises:
            StoreUnavailable: the database cannot be reached or written.
        """
        await self._run(self._migrate)

    async def close(self) -> None:
        """Close the connections."""
        await run_sync(self._engine.dispose)

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # Routers that start together migrate one after the other.
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    async def ping(self) -> None:
        """Ask the database for nothing.

        Raises:
            StoreUnavailable: it does not answer.
        """

        def act() -> None:
            with self._engine.connect() as connection:
                connection.execute(select(1))

        await self._run(act)

    async def add(self, analysis: Analysis, images: Mapping[ImageKey, bytes], department: str | None = None) -> None:
        """Store an analysis of a department's with all its pictures, or nothing.

        Raises:
            StoreUnavailable: nothing was stored.
        """

        def act() -> None:
            with Session(self._engine) as session, session.begin():
                document = analysis.model_dump(mode="json")
                session.add(
                    AnalysisRow(id=analysis.id, created=analysis.created, document=document, department=department)
                )
                session.flush()
                session.add_all(
                    ImageRow(analysis_id=analysis.id, kind=kind, number=number, data=data)
                    for (kind, number), data in images.items()
                )

        await self._run(act)

    async def explain(self, analysis_id: str, explanation: Explanation) -> None:
        """Replace the explanation of an analysis; nothing happens where it has been deleted meanwhile."""

        def act() -> None:
            with Session(self._engine) as session, session.begin():
                row = session.get(AnalysisRow, analysis_id, with_for_update=True)
                if row is not None:
                    changed = {**row.document, "explanation": explanation.model_dump(mode="json")}
                    session.execute(update(AnalysisRow).where(AnalysisRow.id == analysis_id).values(document=changed))

        await self._run(act)

    async def get(self, analysis_id: str) -> Analysis:
        """One analysis.

        Raises:
            NotFound: there is none of that id.
        """

        def act() -> Analysis:
            with Session(self._engine) as session:
                return _analysis(self._row(session, analysis_id), session.get(ReviewRow, analysis_id))

        return await self._run(act)

    async def review(self, analysis_id: str, review: Review) -> Analysis:
        """Keep a reader's verdict, in the place of an earlier one; the analysis with it.

        Raises:
            NotFound: there is no analysis of that id.
        """

        def act() -> Analysis:
            with Session(self._engine) as session, session.begin():
                row = self._row(session, analysis_id)
                return _analysis(row, session.merge(ReviewRow(analysis_id=analysis_id, **review.model_dump())))

        return await self._run(act)

    async def take_back(self, analysis_id: str) -> None:
        """Delete the verdict on an analysis, if there is one.

        Raises:
            NotFound: there is no analysis of that id.
        """

        def act() -> None:
            with Session(self._engine) as session, session.begin():
                self._row(session, analysis_id)
                session.execute(delete(ReviewRow).where(ReviewRow.analysis_id == analysis_id))

        await self._run(act)

    async def reviewed(self, verdict: Verdict | None) -> list[Analysis]:
        """The analyses that were reviewed, with that verdict where one is given; the newest review first."""

        def act() -> list[Analysis]:
            with Session(self._engine) as session:
                query = select(AnalysisRow, ReviewRow).join(ReviewRow).order_by(ReviewRow.created.desc())
                query = query.where(*self._theirs())
                if verdict is not None:
                    query = query.where(ReviewRow.verdict == verdict)
                return [_analysis(row, review) for row, review in session.execute(query)]

        return await self._run(act)

    async def newest(self, limit: int, before: datetime | None) -> list[Analysis]:
        """At most `limit` analyses, the newest first; with `before`, only older ones."""

        def act() -> list[Analysis]:
            with Session(self._engine) as session:
                query = select(AnalysisRow, ReviewRow).outerjoin(ReviewRow)
                query = query.where(*self._theirs()).order_by(AnalysisRow.created.desc()).limit(limit)
                if before is not None:
                    query = query.where(AnalysisRow.created < before)
                return [_analysis(row, review) for row, review in session.execute(query)]

        return await self._run(act)

    async def images(self, analysis_id: str, kind: str, number: int | None = None) -> list[bytes]:
        """The pictures of one kind by number, or the one of that number.

        Raises:
            NotFound: no such analysis, or it has no such picture; says how many there are.
        """

        def act() -> list[bytes]:
            with Session(self._engine) as session:
                self._row(session, analysis_id)
                query = select(ImageRow.data).where(ImageRow.analysis_id == analysis_id, ImageRow.kind == kind)
                if number is not None:
                    query = query.where(ImageRow.number == number)
                found = list(session.scalars(query.order_by(ImageRow.number)))
                if not found:
                    raise NotFound(
                        f"the analysis has no {kind}" + (f" {number}; they count from 0" if number is not None else "")
                    )
                return found

        return await self._run(act)

    async def delete(self, analysis_id: str) -> None:
        """Delete an analysis with its pictures and its review.

        Raises:
            NotFound: there is none of that id.
        """

        def act() -> None:
            with Session(self._engine) as session, session.begin():
                self._row(session, analysis_id)
                for table in (ImageRow, ReviewRow):
                    session.execute(delete(table).where(table.analysis_id == analysis_id))
                session.execute(delete(AnalysisRow).where(AnalysisRow.id == analysis_id))

        await self._run(act)

    async def add_comparison(self, comparison: Comparison) -> None:
        """Keep what two versions made of one study.

        Raises:
            StoreUnavailable: it was not kept.
        """
        names = {"model": comparison.model, "version": comparison.version, "created": comparison.created}

        def act() -> None:
            with Session(self._engine) as session, session.begin():
                session.add(ComparisonRow(**names, document=comparison.model_dump(mode="json")))

        await self._run(act)

    async def comparisons(self, model: str, version: str, since: datetime | None) -> list[Comparison]:
        """What was compared of a candidate, the oldest first; with `since`, only from that moment on."""

        def act() -> list[Comparison]:
            with Session(self._engine) as session:
                query = select(ComparisonRow.document).where(
                    ComparisonRow.model == model, ComparisonRow.version == version
                )
                if since is not None:
                    query = query.where(ComparisonRow.created >= since)
                return [Comparison.model_validate(row) for row in session.scalars(query.order_by(ComparisonRow.id))]

        return await self._run(act)

    async def version_reviews(
        self, model: str, versions: Mapping[Variant, str], since: datetime | None
    ) -> list[VersionReview]:
        """What readers thought of results of these versions of a model, the oldest review first.

        Args:
            since: where given, only reviews from that moment on.
        """
        variants = {version: variant for variant, version in versions.items()}
        name, version = (AnalysisRow.document["model"][key].as_string() for key in ("name", "version"))

        def act() -> list[VersionReview]:
            with Session(self._engine) as session:
                query = (
                    select(version, ReviewRow.verdict, ReviewRow.created)
                    .join_from(ReviewRow, AnalysisRow)
                    .where(name == model, version.in_(variants))
                    .order_by(ReviewRow.created)
                )
                if since is not None:
                    query = query.where(ReviewRow.created >= since)
                return [
                    VersionReview.model_validate({"variant": variants[of], "verdict": said, "created": _utc(created)})
                    for of, said, created in session.execute(query)
                ]

        return await self._run(act)

    def _row(self, session: Session, analysis_id: str) -> AnalysisRow:
        """The analysis of that id; one of another department is as if it were not there."""
        row = session.get(AnalysisRow, analysis_id)
        if row is None or (self._departments is not None and row.department not in self._departments):
            raise NotFound("there is no analysis of this id; it may have been deleted")
        return row

    def _theirs(self) -> Sequence[ColumnElement[bool]]:
        return [] if self._departments is None else [AnalysisRow.department.in_(self._departments)]

    async def _run(self, act: Callable[[], T]) -> T:
        try:
            return await run_sync(act)
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"the database does not work ({_reason(error)}); nothing was stored") from error


def _reason(error: SQLAlchemyError) -> str:
    """What went wrong, without the values that a driver's message may quote."""
    driver = getattr(error, "orig", None)
    code = getattr(driver, "sqlite_errorname", None) or getattr(driver, "sqlstate", None)
    return "its disk is full" if code in DISK_FULL else type(error).__name__


def _analysis(row: AnalysisRow, review: ReviewRow | None) -> Analysis:
    analysis = Analysis.model_validate(row.document)
    if review is not None:
        kept = Review.model_validate(
            {"verdict": review.verdict, "reason": review.reason, "created": _utc(review.created)}
        )
        analysis = analysis.model_copy(update={"review": kept})
    return analysis


def _utc(moment: datetime) -> datetime:
    """SQLite gives moments back without their zone, which is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Foreign keys, readers beside a writer, and a wait instead of an error when two write."""
    for pragma in (
        "foreign_keys=ON",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=5000",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
