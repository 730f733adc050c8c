"""A steady stream of uploads, and what became of each."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

PER_SECOND = 5
RETRY_AFTER_SECONDS = 10.0
"""What a client waits before it asks again, where there is no answer that says how long."""
ANSWER_SECONDS = 60
TRIES = 2
"""Of an upload that is not accepted; the second after what the first answer says."""


@dataclass
class Upload:
    """One upload: what was answered at its first try, and at further ones where there were any.

    Attributes:
        tries: "201", or a status code with what was wrong, or the name of what kept an answer away.
        answer: the analysis, once accepted.
    """

    tries: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None


class Load:
    """Sends `file` PER_SECOND times a second while it is entered, each time in a connection of its own.

    Args:
        url: of the router.
    """

    def __init__(self, url: str, file: bytes) -> None:
        self._url, self._file = url, file
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(256)
        self._sender = threading.Thread(target=self._send)
        self.uploads: list[Upload] = []

    def __enter__(self) -> Self:
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._sender.join()
        self._pool.shutdown()

    def _send(self) -> None:
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            due += 1 / PER_SECOND
            upload = Upload()
            self.uploads.append(upload)
            self._pool.submit(self._post, upload)

    def _post(self, upload: Upload) -> None:
        while True:
            pause = self._try(upload)
            if upload.answer is not None or len(upload.tries) == TRIES:
                return
            time.sleep(pause)

    def _try(self, upload: Upload) -> float:
        """Upload once; gives how long to wait before the next try."""
        try:
            with httpx.Client(timeout=httpx.Timeout(ANSWER_SECONDS, connect=3), trust_env=False) as client:
                answer = client.post(f"{self._url}/api/analyses", files={"files": self._file})
        except httpx.TransportError as error:
            upload.tries.append(type(error).__name__)
            return RETRY_AFTER_SECONDS
        if answer.status_code == 201:
            upload.tries.append("201")
            upload.answer = answer.json()
        else:
            upload.tries.append(f"{answer.status_code} {answer.text}")
        return float(answer.headers.get("retry-after", RETRY_AFTER_SECONDS))

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """All analyses that were answered."""
        return [upload.answer for upload in self.uploads if upload.answer is not None]

    @property
    def tried_again(self) -> list[list[str]]:
        """The tries of the uploads that were not answered at once."""
        return [upload.tries for upload in self.uploads if upload.tries != ["201"]]

    def lost(self, client: httpx.Client) -> list[str]:
        """Ids of accepted analyses that the router no longer knows."""
        return [each["id"] for each in self.accepted if client.get(f"/api/analyses/{each['id']}").status_code != 200]
