"""A clinic that sends ever the same studies, and keeps by which version of a model each was read."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pydicom
from pydicom.uid import generate_uid
from release import eventually

SENDERS = 3
LEAST_SECONDS = 300


@dataclass(frozen=True)
class Answer:
    """When an upload was sent, of which study, and by which variant it was read."""

    sent: float
    key: str
    variant: str


@dataclass
class Clinic:
    """Sends X-rays of ever the same studies, in turn, and keeps the answers.

    Attributes:
        pause: seconds between two uploads of a sender, so that what drives a rollout has room beside them.
    """

    url: str
    studies: dict[str, bytes]
    pause: float = 0.6
    answers: list[Answer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Send until it is left."""
        closing = threading.Event()
        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(self._send, number, closing) for number in range(SENDERS)]
            try:
                yield
            finally:
                closing.set()
            for sender in senders:
                sender.result()

    def _send(self, number: int, closing: threading.Event) -> None:
        mine = list(self.studies.items())[number::SENDERS]
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not closing.is_set():
                for key, file in mine:
                    sent = time.monotonic()
                    answer = client.post(f"{self.url}/api/analyses", files={"files": file})
                    if answer.status_code != 201:
                        self.problems.append(answer.text)
                        continue
                    self.answers.append(Answer(sent, key, answer.json()["model"]["variant"]))
                    closing.wait(self.pause)

    def since(self, moment: float) -> list[Answer]:
        """The answers to what was sent after a moment."""
        return [answer for answer in list(self.answers) if answer.sent >= moment]

    def variants_since(self, moment: float) -> set[str]:
        """The variants that read what was sent after a moment."""
        return {answer.variant for answer in self.since(moment)}

    def read_since(self, moment: float, times: int) -> set[tuple[str, str]]:
        """Each study with the variants that read it after a moment, once each was read so many times."""

        def enough() -> bool:
            read = Counter(answer.key for answer in self.since(moment))
            return all(read[key] >= times for key in self.studies)

        eventually(enough, f"{times} answers of each study", LEAST_SECONDS + times * len(self.studies))
        return {(answer.key, answer.variant) for answer in self.since(moment)}


def studies(xray: Path, count: int) -> dict[str, bytes]:
    """The same X-ray as so many studies, by what the router knows each as."""
    found = {}
    for _ in range(count):
        dataset = pydicom.dcmread(xray)
        dataset.StudyInstanceUID = generate_uid()
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        found[hashlib.sha256(dataset.StudyInstanceUID.encode()).hexdigest()] = buffer.getvalue()
    return found
