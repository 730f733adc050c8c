"""Trainings side by side, each in a process of its own.

Small networks use a second core badly: on two cores, two trainings of one thread each took 0.68 of the time that the
same two took after each other with two threads each. A GPU is given one training at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any

import torch

from handlers.contract.errors import DokueiError

from .recipes import recipe_of
from .record import RECORD_FILE
from .train import Arguments

LOG_FILE = "train.log"


class RunError(DokueiError):
    """A training failed, or what is there is of another one; the message names the folder."""


def train_all(wanted: list[Arguments]) -> list[dict[str, Any]]:
    """Train what is missing, as many at once as there are cores; the records in the order asked for.

    Runs that are there already are not repeated, and an interrupted one goes on.

    Raises:
        RunError: a training failed, or a finished one is of other arguments or another recipe.
    """
    for arguments in wanted:
        _finished(arguments)  # All of them first, because the others may take hours.
    at_once = 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(at_once) as pool:
        runs = [pool.submit(_train, arguments) for arguments in wanted]
        try:
            ended, _ = wait(runs, return_when=FIRST_EXCEPTION)
        finally:  # After a failure or an interrupt no other training begins; those that run come to their end.
            pool.shutdown(wait=False, cancel_futures=True)
        for run in ended:
            run.result()
    return [run.result() for run in runs]


def _finished(arguments: Arguments) -> dict[str, Any] | None:
    """The record of a finished run."""
    file = arguments.folder / RECORD_FILE
    if not file.is_file():
        return None
    known: dict[str, Any] = json.loads(file.read_text())
    asked = {"arguments": asdict(arguments), "recipe": recipe_of(arguments.model, arguments.experiment).described()}
    for part, values in asked.items():
        for name in values:
            if known[part].get(name) != values[name]:
                raise RunError(
                    f"{arguments.folder} is of another training: its {name} was {known[part].get(name)}, now it is "
                    f"{values[name]}; delete the folder to train again"
                )
    return known


def _train(arguments: Arguments) -> dict[str, Any]:
    folder = arguments.folder
    if (known := _finished(arguments)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    options = {name: value for name, value in asdict(arguments).items() if name != "model" and value is not None}
    command = [sys.executable, "-m", "training.train", arguments.model]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    threads = {} if torch.cuda.is_available() else {"OMP_NUM_THREADS": "1"}
    log = folder / LOG_FILE
    print(f"{folder}: starts; its progress is in {log}", flush=True)
    with log.open("w") as progress:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=progress, text=True, env=os.environ | threads
        )
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{folder}: {line}", end="", flush=True)
        if process.wait():
            raise RunError(f"the training in {folder} failed, see the end of {log}; the same command goes on from here")
    trained: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text())
    return trained
