"""The model servers that the tests of this folder share, on one copy of the model store."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from paths import ROOT, STORE
from processes import MODELS, Runtime, Served, answers, command, free_port, light_server, running

from handlers.contract.card import load_card


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model store, so that both servers serve the same files whatever is exported meanwhile."""
    folder = tmp_path_factory.mktemp("model-store")
    for name in MODELS:
        shutil.copytree(STORE / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def light(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    logs = tmp_path_factory.mktemp("light")
    with ExitStack() as stack:
        yield Runtime(
            "light", {name: stack.enter_context(light_server(store / name, logs / f"{name}.log")) for name in MODELS}
        )


@pytest.fixture(scope="session")
def torchserve(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    port = free_port()
    models = {name: Served(load_card(store / name), f"http://127.0.0.1:{port}") for name in MODELS}
    arguments = command("handlers.torchserve", *(store / name for name in MODELS), "--port", port)
    with running(arguments, answers(*models.values()), tmp_path_factory.mktemp("torchserve") / "log"):
        yield Runtime("torchserve", models)


@pytest.fixture(scope="session", params=["light", "torchserve"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each of the two model servers."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=MODELS)
def served(request: pytest.FixtureRequest, runtime: Runtime) -> Served:
    """Each model on each of the two model servers."""
    return runtime.models[request.param]


@pytest.fixture
def brain(runtime: Runtime) -> Served:
    return runtime.models["brain-mri-tumour"]


@pytest.fixture
def chest(runtime: Runtime) -> Served:
    return runtime.models["chest-xray-pneumonia"]
