"""The Dockerfiles, read by a parser: who runs, what is run, and what the last stage is made of."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser
from paths import ROOT

from images.build import PUBLIC_BASE, Image, images
from images.context import let_through

ALL = {image.name: image for image in images(ROOT)}
IMAGES = pytest.mark.parametrize("image", ALL.values(), ids=list(ALL))
SERVERS = ("model-server", "model-server-gpu", "torchserve", "torchserve-gpu")
LABELS = {"title", "description", "version", "revision", "licenses"}
BUILD_TOOLS = re.compile(r"\b(pip|gcc|g\+\+|cc|make|build-essential|python3-dev|python3-venv|curl|wget)\b")


def instructions(image: Image) -> list[tuple[str, str]]:
    parser = DockerfileParser(fileobj=(ROOT / image.file).open("rb"))
    return [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]


def stages(image: Image) -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage by its name, FROM being the first of them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for step in instructions(image):
        if step[0] == "FROM":
            current = found.setdefault(step[1].split()[-1], [])
        elif not found:
            continue
        current.append(step)
    return found


def inherited(image: Image) -> list[tuple[str, str]]:
    """Every instruction that the image's last stage is made by, from its base on."""
    known, name, steps = stages(image), image.target, []
    while name in known:
        steps = known[name] + steps
        name = known[name][0][1].split()[0]
    return steps


def last(image: Image, instruction: str) -> str:
    return [value for name, value in inherited(image) if name == instruction][-1]


@IMAGES
def test_the_base_is_an_argument(image: Image) -> None:
    assert instructions(image)[0] == ("ARG", f"BASE={PUBLIC_BASE}")
    bases = {steps[0][1].split()[0] for steps in stages(image).values()}
    assert bases - stages(image).keys() <= {"${BASE}", "scratch"}


@IMAGES
def test_it_runs_as_a_numeric_user_without_rights(image: Image) -> None:
    assert last(image, "USER") == "65532:65532"
    # Nothing is written as root after it, and the user is said by the last stage itself.
    own = [name for name, _ in stages(image)[image.target]]
    assert not {"RUN", "COPY", "ADD"} & set(own[own.index("USER") :])


@IMAGES
def test_the_last_stage_has_no_pip_and_no_compiler(image: Image) -> None:
    run = [value for name, value in inherited(image) if name in ("RUN", "ADD")]
    assert not [value for value in run if BUILD_TOOLS.search(value)]
    assert not [
        value for value in run if "install" in value and "--no-install-recommends" not in value and "/data" not in value
    ]


@IMAGES
def test_it_is_labelled(image: Image) -> None:
    labels = " ".join(value for name, value in inherited(image) if name == "LABEL")
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels)) == LABELS


@pytest.mark.parametrize("name", [*SERVERS, "router"])
def test_what_it_starts_is_in_the_code(name: str) -> None:
    entry: list[str] = json.loads(last(ALL[name], "ENTRYPOINT"))
    if name == "router":
        assert entry == ["dokuei", "serve"]
    else:
        assert entry[:2] == ["python", "-m"]
        assert find_spec(entry[2]) is not None
    arguments: list[str] = json.loads(last(ALL[name], "CMD"))
    assert arguments[arguments.index("--host") + 1] == "0.0.0.0"
    ports = {arguments[place + 1] for place, word in enumerate(arguments) if word in ("--port", "--metrics-port")}
    assert set(last(ALL[name], "EXPOSE").split()) == ports


@pytest.mark.parametrize("name", [*SERVERS, "router"])
def test_nothing_is_written_or_told_at_run_time(name: str) -> None:
    environment = " ".join(value for key, value in inherited(ALL[name]) if key == "ENV")
    for said in ("PYTHONDONTWRITEBYTECODE=1", "ORT_DISABLE_TELEMETRY=1", "HOME=/tmp"):
        assert said in environment
    assert ("DOKUEI_EXECUTION_PROVIDER=cuda" in environment) == name.endswith("-gpu")


def test_a_model_image_leaves_its_command_to_kserve() -> None:
    """KServe gives `args` alone, `sh -c …`, which an entrypoint would swallow."""
    model = ALL["model-modality"]
    assert not [value for name, value in inherited(model) if name == "ENTRYPOINT"]
    tools = next(value for name, value in stages(model)["tools"] if "busybox" in value and "ln -s" in value)
    assert {"sh", "ln", "ls", "mkdir", "sleep"} <= set(re.findall(r"\w+", tools))


@IMAGES
def test_what_is_copied_reaches_the_build(image: Image) -> None:
    """Everything that is copied is there, and .dockerignore lets it through."""
    for name, value in instructions(image):
        if name != "COPY" or "--from" in value:
            continue
        sources = [word for word in value.split()[:-1] if not word.startswith("--")]
        for source in (word.replace("${MODEL}", image.arguments.get("MODEL", "modality")) for word in sources):
            found = [file.relative_to(ROOT) for file in ROOT.glob(source)]
            assert found, source
            for file in found:
                chain: Any = [file, *file.parents]
                assert any(part.match(pattern) for part in chain for pattern in let_through(ROOT)), file
