"""The way to the database: SQLite for one router, PostgreSQL for several."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
from anyio.to_thread import run_sync
from sqlalchemy import create_engine, event, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from .errors import StoreUnavailable

MIGRATION_LOCK = 0x646F6B75
"""Any number that no other program on the database takes for its advisory lock."""
FAULTS = {
    "SQLITE_FULL": "its disk is full",
    "53100": "its disk is full",
    "SQLITE_READONLY": "its disk is read-only",
    "25006": "it is read-only",
}
"""What SQLite and PostgreSQL (disk_full, read_only_sql_transaction) say, for people."""

T = TypeVar("T")


class Database:
    """Connections, and transactions on them.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)

    async def start(self) -> None:
        """Bring the schema up to date.

        Raises:
            StoreUnavailable: the database cannot be reached or written.
        """
        await run_sync(self._guarded, self._migrate)

    async def close(self) -> None:
        """Close the connections."""
        await run_sync(self._engine.dispose)

    async def ping(self) -> None:
        """Ask the database for nothing.

        Raises:
            StoreUnavailable: it does not answer.
        """
        await self.run(lambda session: session.scalar(select(1)))

    async def run(self, act: Callable[[Session], T]) -> T:
        """As `transact`, in a thread of its own."""
        return await run_sync(self.transact, act)

    def transact(self, act: Callable[[Session], T]) -> T:
        """Do all of `act` in one transaction, or nothing.

        Raises:
            StoreUnavailable: the database does not work; nothing was done, or it is said that this is not known.
        """

        def whole() -> T:
            with Session(self._engine) as session:
                done = act(session)
                session.flush()
                try:
                    session.commit()
                except DBAPIError as error:
                    # Told to keep everything, it ended before it said that it has (PostgreSQL's error class 08007).
                    if error.connection_invalidated:
                        raise StoreUnavailable(
                            "the database ended while it was storing this; whether it did is not known: look before "
                            "you send it again"
                        ) from error
                    raise
                return done

        return self._guarded(whole)

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"the database does not work ({_reason(error)}); nothing was stored") from error

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # Routers that start together migrate one after the other.
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")


def _reason(error: SQLAlchemyError) -> str:
    """What went wrong, without the values that a driver's message may quote."""
    driver = getattr(error, "orig", None)
    code = getattr(driver, "sqlite_errorname", None) or getattr(driver, "sqlstate", None)
    return FAULTS.get(code or "", type(error).__name__)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Foreign keys, readers beside a writer, and a wait where two write; what was answered outlasts a power failure."""
    for pragma in (
        "foreign_keys=ON",
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def utc(moment: datetime) -> datetime:
    """A moment in UTC: SQLite gives them back without their zone, and forgets the zone of those that it is given."""
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)
