"""The database: analyses with their images, in one transaction, and what readers thought of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from .audit import chain
from .audit.event import CREATED, DELETED, DISCLOSED, EXPORTED, READ, SEARCHED, UPDATED, Act, Actor, Pattern
from .database import Database, utc
from .errors import NotFound, NotTheirs
from .kserve import Variant
from .result import Analysis, Comparison, Explanation, Review, Verdict, VersionReview
from .sealing import Sealer
from .tables import AnalysisRow, ComparisonRow, ImageRow, ReviewRow

ImageKey = tuple[str, int]
"""Kind ("image", "mask" or "heat") and number of a stored picture."""


class Store:
    """Keeps analyses. Every method is one transaction, with the event that tells of it in the audit log.

    Every method raises `StoreUnavailable` where the database does not work or the event cannot be written; then nothing
    was done.

    Args:
        sealer: encrypts the pictures.
    """

    _actor = Actor()

    def __init__(self, database: Database, sealer: Sealer | None = None) -> None:
        self._database = database
        self._sealer = sealer or Sealer()

    def on_behalf_of(self, actor: Actor) -> Store:
        """The same store, for what they do: where there are no studies but those of their departments."""
        theirs = copy.copy(self)
        theirs._actor = actor
        return theirs

    async def record(self, act: Act) -> None:
        """Write down what is done outside of the store."""
        await self._database.run(lambda session: chain.record(session, self._actor, act))

    async def add(
        self,
        analysis: Analysis,
        images: Mapping[ImageKey, bytes],
        department: str | None = None,
        patient: str | None = None,
    ) -> None:
        """Store an analysis with all its pictures.

        Args:
            department: whose study it is.
            patient: `Study.patient`; it is kept where there is a key for its pseudonym.
        """
        pseudonyms = [] if patient is None else self._sealer.pseudonyms(patient)

        def act(session: Session) -> None:
            row = AnalysisRow(id=analysis.id, created=analysis.created, document=analysis.model_dump(mode="json"))
            row.department, row.patient = department, next(iter(pseudonyms), None)
            session.add(row)
            session.flush()
            session.add_all(
                ImageRow(
                    analysis_id=analysis.id,
                    kind=kind,
                    number=number,
                    data=self._sealer.seal(data, _place(analysis.id, kind, number)),
                )
                for (kind, number), data in images.items()
            )
            session.flush()
            self._record(session, CREATED, analysis.id, model=f"{analysis.model.name} {analysis.model.version}")

        await self._database.run(act)

    async def explain(self, analysis_id: str, explanation: Explanation) -> None:
        """Replace the explanation of an analysis; nothing happens where it has been deleted meanwhile."""

        def act(session: Session) -> None:
            row = session.get(AnalysisRow, analysis_id, with_for_update=True)
            if row is not None:
                changed = {**row.document, "explanation": explanation.model_dump(mode="json")}
                session.execute(update(AnalysisRow).where(AnalysisRow.id == analysis_id).values(document=changed))
                self._record(session, UPDATED, analysis_id, explanation=explanation.source)

        await self._database.run(act)

    async def disclose(self, analysis_id: str, recipient: str, what: str) -> None:
        """Write down that facts or pictures of an analysis are about to be sent to another program."""
        await self._database.run(
            lambda session: self._record(session, DISCLOSED, analysis_id, recipient=recipient, what=what)
        )

    async def get(self, analysis_id: str) -> Analysis:
        """One analysis.

        Raises:
            NotFound: there is none of that id.
        """

        def act(session: Session) -> Analysis:
            analysis = _analysis(self._row(session, analysis_id), session.get(ReviewRow, analysis_id))
            self._record(session, READ, analysis_id)
            return analysis

        return await self._database.run(act)

    async def review(self, analysis_id: str, review: Review) -> Analysis:
        """Keep a reader's verdict, in the place of an earlier one; the analysis with it.

        Raises:
            NotFound: there is no analysis of that id.
        """

        def act(session: Session) -> Analysis:
            row = self._row(session, analysis_id)
            analysis = _analysis(row, session.merge(ReviewRow(analysis_id=analysis_id, **review.model_dump())))
            session.flush()
            self._record(session, UPDATED, analysis_id, review=review.verdict)
            return analysis

        return await self._database.run(act)

    async def take_back(self, analysis_id: str) -> None:
        """Delete the verdict on an analysis, if there is one.

        Raises:
            NotFound: there is no analysis of that id.
        """

        def act(session: Session) -> None:
            self._row(session, analysis_id)
            session.execute(delete(ReviewRow).where(ReviewRow.analysis_id == analysis_id))
            self._record(session, UPDATED, analysis_id, review="taken back")

        await self._database.run(act)

    async def reviewed(self, verdict: Verdict | None) -> list[Analysis]:
        """The analyses that were reviewed, with that verdict where one is given; the newest review first."""

        def act(session: Session) -> list[Analysis]:
            query = select(AnalysisRow, ReviewRow).join(ReviewRow).order_by(ReviewRow.created.desc())
            query = query.where(*self._theirs())
            if verdict is not None:
                query = query.where(ReviewRow.verdict == verdict)
            found = [_analysis(row, review) for row, review in session.execute(query)]
            self._record(session, EXPORTED, f"reviews, verdict={verdict or 'any'}", analyses=str(len(found)))
            return found

        return await self._database.run(act)

    async def newest(self, limit: int, before: datetime | None) -> list[Analysis]:
        """At most `limit` analyses, the newest first; with `before`, only older ones."""

        def act(session: Session) -> list[Analysis]:
            query = select(AnalysisRow, ReviewRow).outerjoin(ReviewRow)
            query = query.where(*self._theirs()).order_by(AnalysisRow.created.desc()).limit(limit)
            if before is not None:
                query = query.where(AnalysisRow.created < utc(before))
            found = [_analysis(row, review) for row, review in session.execute(query)]
            self._record(session, SEARCHED, f"analyses, limit={limit}" + (f", before={before}" if before else ""))
            return found

        return await self._database.run(act)

    async def of_patient(self, patient: str) -> list[Analysis]:
        """All analyses of a patient, the oldest first.

        Args:
            patient: `patient_digest` of the patient's id.

        Raises:
            NotFound: there is no key, so it is not known whose studies these are.
        """
        pseudonyms = self._sealer.pseudonyms(patient)
        if not pseudonyms:
            raise NotFound(
                "it is not known here whose studies these are; with DOKUEI_IMAGE_KEYS it is, of those that come then"
            )

        def act(session: Session) -> list[Analysis]:
            query = select(AnalysisRow, ReviewRow).outerjoin(ReviewRow).where(AnalysisRow.patient.in_(pseudonyms))
            rows = session.execute(query.where(*self._theirs()).order_by(AnalysisRow.created))
            found = [_analysis(row, review) for row, review in rows]
            self._record(session, SEARCHED, "analyses of one patient", analyses=str(len(found)))
            return found

        return await self._database.run(act)

    async def images(self, analysis_id: str, kind: str, number: int | None = None) -> list[bytes]:
        """The pictures of one kind by number, or the one of that number.

        Raises:
            NotFound: no such analysis, or it has no such picture; says how many there are.
        """

        def act(session: Session) -> list[bytes]:
            self._row(session, analysis_id)
            query = select(ImageRow.number, ImageRow.data)
            query = query.where(ImageRow.analysis_id == analysis_id, ImageRow.kind == kind)
            if number is not None:
                query = query.where(ImageRow.number == number)
            rows = session.execute(query.order_by(ImageRow.number)).all()
            found = [self._sealer.open(data, _place(analysis_id, kind, at)) for at, data in rows]
            if not found:
                raise NotFound(
                    f"the analysis has no {kind}" + (f" {number}; they count from 0" if number is not None else "")
                )
            self._record(session, READ, analysis_id)
            return found

        return await self._database.run(act)

    async def delete(self, analysis_id: str) -> None:
        """Delete an analysis with its pictures and its review.

        Raises:
            NotFound: there is none of that id.
        """

        def act(session: Session) -> None:
            self._row(session, analysis_id)
            self._delete(session, analysis_id)

        await self._database.run(act)

    async def purge(self, before: datetime, most: int) -> int:
        """Delete at most so many studies from before a moment, the oldest first; how many there were."""

        def act(session: Session) -> int:
            query = select(AnalysisRow.id).where(AnalysisRow.created < before).order_by(AnalysisRow.created)
            old = session.scalars(query.limit(most).with_for_update(skip_locked=True)).all()
            for analysis_id in old:
                self._delete(session, analysis_id)
            return len(old)

        return await self._database.run(act)

    # What comes of a candidate's rollout names no study, so that nothing of it is an access to one.

    async def add_comparison(self, comparison: Comparison) -> None:
        """Keep what two versions made of one study."""
        names = {"model": comparison.model, "version": comparison.version, "created": comparison.created}
        row = ComparisonRow(**names, document=comparison.model_dump(mode="json"))
        await self._database.run(lambda session: session.add(row))

    async def comparisons(self, model: str, version: str, since: datetime | None) -> list[Comparison]:
        """What was compared of a candidate, the oldest first; with `since`, only from that moment on."""

        def act(session: Session) -> list[Comparison]:
            query = select(ComparisonRow.document).where(ComparisonRow.model == model, ComparisonRow.version == version)
            if since is not None:
                query = query.where(ComparisonRow.created >= utc(since))
            return [Comparison.model_validate(row) for row in session.scalars(query.order_by(ComparisonRow.id))]

        return await self._database.run(act)

    async def version_reviews(
        self, model: str, versions: Mapping[Variant, str], since: datetime | None
    ) -> list[VersionReview]:
        """What readers thought of results of these versions of a model, the oldest review first.

        Args:
            since: where given, only reviews from that moment on.
        """
        variants = {version: variant for variant, version in versions.items()}
        name, version = (AnalysisRow.document["model"][key].as_string() for key in ("name", "version"))

        def act(session: Session) -> list[VersionReview]:
            query = (
                select(version, ReviewRow.verdict, ReviewRow.created)
                .join_from(ReviewRow, AnalysisRow)
                .where(name == model, version.in_(variants))
                .order_by(ReviewRow.created)
            )
            if since is not None:
                query = query.where(ReviewRow.created >= utc(since))
            return [
                VersionReview.model_validate({"variant": variants[of], "verdict": said, "created": utc(created)})
                for of, said, created in session.execute(query)
            ]

        return await self._database.run(act)

    def _delete(self, session: Session, analysis_id: str) -> None:
        for table in (ImageRow, ReviewRow):
            session.execute(delete(table).where(table.analysis_id == analysis_id))
        session.execute(delete(AnalysisRow).where(AnalysisRow.id == analysis_id))
        self._record(session, DELETED, analysis_id)

    def _record(self, session: Session, pattern: Pattern, about: str, **details: str) -> None:
        chain.record(session, self._actor, Act(pattern, about, details=details))

    def _row(self, session: Session, analysis_id: str) -> AnalysisRow:
        """The analysis of that id; one of another department is as if it were not there."""
        row = session.get(AnalysisRow, analysis_id)
        departments = self._departments
        if row is None or (departments is not None and row.department not in departments):
            refused = NotFound if row is None else NotTheirs
            raise refused("there is no analysis of this id; it may have been deleted")
        return row

    def _theirs(self) -> Sequence[ColumnElement[bool]]:
        return [] if self._departments is None else [AnalysisRow.department.in_(self._departments)]

    @property
    def _departments(self) -> Sequence[str] | None:
        """Whose studies are there for the actor; None for all."""
        return None if self._actor.user is None else self._actor.user.departments


def _analysis(row: AnalysisRow, review: ReviewRow | None) -> Analysis:
    analysis = Analysis.model_validate(row.document)
    if review is not None:
        kept = Review.model_validate(
            {"verdict": review.verdict, "reason": review.reason, "created": utc(review.created)}
        )
        analysis = analysis.model_copy(update={"review": kept})
    return analysis


def _place(analysis_id: str, kind: str, number: int) -> str:
    """Where a picture belongs."""
    return f"{analysis_id}/{kind}/{number}"
