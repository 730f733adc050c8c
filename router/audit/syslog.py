"""Sends the audit log on to a syslog server: RFC 5424 messages over TLS (RFC 5425).

The log itself is the spool: what was not taken stays there and is sent again, in order. Syslog has no acknowledgement,
but a receiver that has read up to the end of a TLS connection closes its side, too (RFC 5425, section 4.4). So each
batch has a connection of its own, and counts as taken once the receiver has closed; what it then does is up to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from handlers.contract.errors import SettingsError
from router import telemetry
from router.database import Database, now, utc
from router.errors import StoreUnavailable
from router.tables import AuditRow, AuditSentRow

SYSLOG_LOCK = 0x646F6B76
"""Any other number that no other program on the database takes for its advisory lock."""
PRIORITY = 10 * 8 + 5
"""Facility 10, security and authorization; severity 5, notice."""
BATCH = 200
LOOK_SECONDS = 1
MOST_SECONDS = 60
"""Between two tries, while the server does not take what it is sent."""
TIMEOUT_SECONDS = 10


class Forwarder:
    """Sends every event to a syslog server; of several routers on one database one sends at a time.

    Args:
        address: name and port of the server.
        tls: folder with `ca.crt`, whose certificates alone are trusted, and, where the server asks for a client's, with
            `tls.crt` and `tls.key`; None: the machine's own authorities.

    Raises:
        SettingsError: a file of the folder is missing or is not what it should be.
    """

    def __init__(self, database: Database, address: tuple[str, int], tls: Path | None) -> None:
        self._database = database
        self._address = address
        try:
            self._context = ssl.create_default_context(cafile=None if tls is None else str(tls / "ca.crt"))
            if tls is not None and (tls / "tls.crt").exists():
                self._context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        except OSError as error:
            needed = "ca.crt, and tls.crt with tls.key where the server asks for them, as PEM"
            raise SettingsError(f"DOKUEI_AUDIT_SYSLOG_TLS is a folder with {needed}; in {tls}: {error}") from error
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """Stop; what was not taken stays in the log."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        pause: float = 0
        while True:
            await asyncio.sleep(pause)
            try:
                sent = await self._database.run(self._send_next)
                pause = 0 if sent == BATCH else LOOK_SECONDS
            except (OSError, StoreUnavailable) as error:
                pause = min(2 * max(pause, LOOK_SECONDS), MOST_SECONDS)
                telemetry.log.warning("audit events wait for the syslog server", error=repr(error), next_try_s=pause)

    def _send_next(self, session: Session) -> int:
        """Send the next batch; how many events were taken."""
        rows = self._waiting(session)
        telemetry.AUDIT_WAITING.set((now() - utc(rows[0].recorded)).total_seconds() if rows else 0)
        if rows and session.get_bind().dialect.name == "postgresql":
            if not session.scalars(select(func.pg_try_advisory_xact_lock(SYSLOG_LOCK))).one():
                return 0
            rows = self._waiting(session)  # Another router may have sent them just now.
        if rows:
            self._deliver(rows)
            session.execute(update(AuditSentRow).values(number=rows[-1].number))
        return len(rows)

    def _waiting(self, session: Session) -> Sequence[AuditRow]:
        sent = select(AuditSentRow.number).scalar_subquery()
        query = select(AuditRow).where(AuditRow.number > sent).order_by(AuditRow.number).limit(BATCH)
        return session.scalars(query).all()

    def _deliver(self, rows: Sequence[AuditRow]) -> None:
        """Send events over a connection of their own.

        Raises:
            OSError: nobody answers, it is not the server, or it has not taken everything.
        """
        with (
            socket.create_connection(self._address, TIMEOUT_SECONDS) as plain,
            self._context.wrap_socket(plain, server_hostname=self._address[0]) as connection,
        ):
            connection.sendall(b"".join(_framed(row) for row in rows))
            # Some servers end the TCP connection without a word in TLS; one that has not read everything resets it.
            with contextlib.suppress(ssl.SSLEOFError):
                connection.unwrap()


def _framed(row: AuditRow) -> bytes:
    """The message (RFC 5424, section 6) behind its length in octets (RFC 5425, section 4.3)."""
    moment = utc(row.recorded).isoformat(timespec="milliseconds")
    message = f"<{PRIORITY}>1 {moment} {socket.gethostname()} dokuei - AuditEvent - {row.event}".encode("ascii")
    return b"%d %s" % (len(message), message)
