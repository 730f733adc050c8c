"""One Helm release, read and changed with the `helm` program."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from .errors import RolloutError
from .values import Values

IN_PROGRESS = "another operation"
PENDING_SECONDS = 60
"""What another operator's upgrade may take, which this one waits for."""
REVISIONS = 50
"""Kept by Helm, so that the history of a rollout is not cut off by its own steps."""


@dataclass(frozen=True)
class Helm:
    """A release.

    Args:
        release, namespace: its name and place.
        chart: folder or address of the chart that it was installed from.
        program: path of `helm`.
    """

    release: str
    namespace: str
    chart: str
    program: str = "helm"

    def values(self, revision: int | None = None) -> Values:
        """The values that were given for the release; with `revision`, those of an earlier one.

        Raises:
            RolloutError: there is no such release or revision, or no cluster answers.
        """
        of = () if revision is None else ("--revision", str(revision))
        found: Values | None = json.loads(self._run("get", "values", self.release, *of, "--output", "json"))
        return found or {}

    def upgrade(self, values: Values, why: str) -> None:
        """Give the release other values; `why` stands in its history.

        Raises:
            RolloutError: Helm refuses; what it said.
        """
        options = ("--reset-values", "--values", "-", "--history-max", str(REVISIONS), "--description", why)
        deadline = time.monotonic() + PENDING_SECONDS
        while True:
            try:
                self._run("upgrade", self.release, self.chart, *options, text=json.dumps(values))
                return
            except RolloutError as error:
                if IN_PROGRESS not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def history(self) -> list[dict[str, Any]]:
        """The revisions of the release, the oldest first: number, moment, status and description."""
        found: list[dict[str, Any]] = json.loads(
            self._run("history", self.release, "--max", str(REVISIONS), "--output", "json")
        )
        return found

    def _run(self, *arguments: str, text: str | None = None) -> str:
        command = [self.program, *arguments, "--namespace", self.namespace]
        try:
            # Apart from this process' group: Ctrl+C must not end it half way, or the release stays pending.
            ran = subprocess.run(
                command, capture_output=True, text=True, check=False, input=text, start_new_session=True
            )
        except FileNotFoundError:
            raise RolloutError(f"there is no program {self.program!r}; install Helm, or name it with --helm") from None
        if ran.returncode:
            raise RolloutError(f"helm {arguments[0]}: {ran.stderr.strip().removeprefix('Error: ')}")
        return ran.stdout
