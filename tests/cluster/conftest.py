"""The cluster that the tests run on, and Dokuei installed in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from onenode import machine
from release import MODELS, Refused, Release, kubectl

Install = Callable[..., Release]


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


@pytest.fixture
def node() -> None:
    """For tests that reach into the node, which only the cluster of `make cluster-up` lets them."""
    if machine.running() is None:
        pytest.skip("needs the node of `make cluster-up`")
