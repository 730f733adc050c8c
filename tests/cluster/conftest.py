"""The cluster that the tests run on, and Dokuei installed in it."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import proof
import pytest
from database import Database, database
from localcluster.layout import FIRST, Node
from paths import ROOT
from release import MODELS, Refused, Release, is_own, kubectl

Install = Callable[..., Release]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof", type=Path, help="write there what was shown and measured")
    parser.addoption("--uploads", type=int, default=400, help="while weights change (default: %(default)s)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured, and write the account of the run."""
    parts: dict[str, list[pytest.TestReport]] = {}
    for outcome in ("", "passed", "failed", "error"):
        for report in (each for each in terminalreporter.stats.get(outcome, []) if isinstance(each, pytest.TestReport)):
            parts.setdefault(report.nodeid, []).append(report)
    shown = [_shown(node, reports) for node, reports in parts.items()]
    for line in (line for test in shown for line in test.measured):
        terminalreporter.write_line(line)
    if (file := config.getoption("--proof")) and shown:
        file.write_text(proof.write(shown, proof.versions()))


def _shown(node: str, reports: Sequence[pytest.TestReport]) -> proof.Shown:
    module, _, name = node.partition("::")
    subject = ast.get_docstring(ast.parse((ROOT / module).read_text())) or module
    outcomes = {report.outcome for report in reports}
    properties = {value: None for report in reports for key, value in report.user_properties if key == "measured"}
    outcome = "failed" if "failed" in outcomes else "passed"
    return proof.Shown(subject, name, outcome, sum(report.duration for report in reports), list(properties))


@pytest.fixture(scope="session", autouse=True)
def _cluster() -> None:
    """A cluster that answers."""
    try:
        kubectl("get", "crd", "inferenceservices.serving.kserve.io")
    except Refused as error:
        pytest.exit(f"no cluster with KServe answers; `make test-cluster` starts one: {error}", returncode=2)


@pytest.fixture(scope="session")
def dokuei() -> Iterator[Release]:
    """Dokuei as it comes, on TorchServe, with its models from their images."""
    release = Release("dokuei")
    try:
        release.install()
        yield release
    finally:
        if not os.environ.get("DOKUEI_KEEP"):
            release.uninstall()


@pytest.fixture
def install() -> Iterator[Install]:
    """Installs Dokuei with the given settings in a namespace of its own, and takes it away again."""
    with ExitStack() as stack:

        def run(
            namespace: str,
            *settings: str,
            models: tuple[str, ...] = MODELS,
            prepare: Callable[[str], None] | None = None,
        ) -> Release:
            release = Release(namespace, settings, models)
            stack.callback(release.uninstall)
            release.install(prepare)
            return release

        yield run


@pytest.fixture(scope="session")
def node() -> Node:
    """The first node, for tests that reach into it, which only the cluster of `make cluster-up` lets them."""
    if not is_own():
        pytest.skip("needs the cluster of `make cluster-up`")
    return FIRST


@pytest.fixture(scope="session")
def postgresql(node: Node) -> Iterator[Database]:
    """PostgreSQL on the first node."""
    with database(node.address) as running:
        yield running
