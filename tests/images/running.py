"""The real images, built and run as a cluster runs them: another user, no rights, nothing writable but /tmp.

`make test-images` runs this, with podman; pytest does not find it by itself, because the builds take minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from paths import ROOT, STORE

from handlers.contract import oip
from handlers.contract.card import Card, load_card
from router.local import free_port

OUTPUT = ROOT / "build" / "images"
BUILT = ("router", "model-server", "torchserve", "model-chest-xray-pneumonia")
MOST_COMPRESSED_BYTES = 250_000_000
"""Of the light server."""
START_SECONDS = 180
RESTRICTED = (
    *("--network", "host", "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"),
)
CARD = load_card(STORE / "chest-xray-pneumonia")

pytestmark = pytest.mark.timeout(3600)
Start = Callable[..., str]


@pytest.fixture(scope="module")
def built() -> dict[str, dict[str, Any]]:
    """The images' entries of digests.json by name."""
    command = [sys.executable, "-m", "images.build", "--builder", "podman", *BUILT]
    subprocess.run(command, cwd=ROOT, check=True)
    return {entry["name"]: entry for entry in json.loads((OUTPUT / "digests.json").read_text())}


@pytest.fixture
def start(built: dict[str, dict[str, Any]]) -> Iterator[Start]:
    """Starts a container of an image: options of podman, then `arguments` of the image; gives its id."""
    started: list[str] = []

    def run(image: str, *options: str, arguments: tuple[str, ...]) -> str:
        reference = f"{image}:{built[image]['tag']}"
        started.append(podman("run", "--detach", *RESTRICTED, *options, reference, *arguments))
        return started[-1]

    yield run
    for container in reversed(started):
        subprocess.run(["podman", "logs", container], check=False)
        podman("rm", "--force", "--time", "15", container)


def podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def start_model(start: Start, image: str, mnt: Path) -> str:
    """A model server and the model's image in one process namespace, as KServe's modelcar has them; gives its URL."""
    mnt.mkdir(mode=0o777)
    mnt.chmod(0o777)
    model, port = f"dokuei/model-{CARD.name}", free_port()
    pod = start(model, arguments=("sleep", "infinity"))
    shared = ("--pid", f"container:{pod}", "--volume", f"{mnt}:/mnt")
    arguments = ("/mnt/models", "--host", "127.0.0.1", "--port", str(port))
    start(image, *shared, "--env", "MODEL_INIT_MODE=async", arguments=arguments)
    # KServe starts the server first; what it waits for is the command of KServe v0.20.
    start(model, *shared, arguments=("sh", "-c", "ln -sf /proc/$$/root/models /mnt/models && sleep infinity"))
    return f"http://127.0.0.1:{port}"


def eventually(ask: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            response = ask()
            if response.is_success:
                return response
        except httpx.TransportError:
            response = None
        assert time.monotonic() < deadline, response and response.text
        time.sleep(0.2)


def infer(url: str, card: Card) -> dict[str, np.ndarray]:
    size = card.input
    image = np.random.default_rng(0).integers(0, 256, (1, size.height, size.width, size.channels), np.uint8)
    message = oip.encode_request({"images": image})
    response = eventually(
        lambda: httpx.post(f"{url}/v2/models/{card.name}/infer", content=message.body, headers=message.headers)
    )
    return dict(oip.decode_response(response.content, response.headers.get(oip.HEADER_LENGTH)).outputs)


def test_both_model_servers_answer_alike_from_a_model_image(start: Start, tmp_path: Path) -> None:
    light = infer(start_model(start, "dokuei/model-server", tmp_path / "light"), CARD)
    torchserve = infer(start_model(start, "dokuei/torchserve", tmp_path / "torchserve"), CARD)
    assert light.keys() == torchserve.keys()
    for name, value in light.items():
        np.testing.assert_allclose(value, torchserve[name], rtol=1e-5, atol=1e-6)


def test_the_router_analyses_an_image_and_shows_the_portal(start: Start, tmp_path: Path, samples: Path) -> None:
    model = start_model(start, "dokuei/model-server", tmp_path / "mnt")
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    data.chmod(0o777)
    start(
        "dokuei/router",
        *("--volume", f"{data}:/data", "--volume", f"{STORE}:/model-store:ro"),
        *("--env", "DOKUEI_MODEL_STORE=/model-store", "--env", "DOKUEI_ALLOW_ANYONE=true"),
        *("--env", f"DOKUEI_MODEL_ENDPOINTS={json.dumps({CARD.name: model})}"),
        arguments=("--host", "127.0.0.1", "--port", str(port)),
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        eventually(lambda: client.get("/readyz"))
        eventually(lambda: httpx.get(f"{model}/v2/health/ready"))
        answer = client.post("/api/analyses", files={"files": (samples / "chest-xray.dcm").read_bytes()})
        assert answer.status_code == 201, answer.text
        assert answer.json()["model"]["name"] == CARD.name
        assert '<script type="module"' in client.get("/").text
    assert (data / "dokuei.db").is_file()


@pytest.mark.parametrize("image", ["dokuei/router", "dokuei/model-server", "dokuei/torchserve"])
def test_nothing_can_be_installed_compiled_or_written(built: dict[str, dict[str, Any]], image: str) -> None:
    script = (
        "id -u; for tool in pip pip3 gcc cc g++ make; do command -v $tool; done; python -m pip --version; "
        "touch /opt/dokuei/x /etc/x; "
        "touch /tmp/x && echo written; cd /opt/dokuei/lib/python3.11/site-packages; "
        "test -f handlers/contract/__pycache__/card.cpython-311.pyc && "
        "test -f numpy/__pycache__/__init__.cpython-311.pyc && echo compiled"
    )
    shell = ("--rm", *RESTRICTED, "--entrypoint", "sh", f"{image}:{built[image]['tag']}", "-c", script)
    ran = subprocess.run(["podman", "run", *shell], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["65532", "written", "compiled"]
    assert ran.stderr.count("Read-only file system") == 2
    assert "No module named pip" in ran.stderr


def test_what_the_images_weigh_and_hold_is_told(built: dict[str, dict[str, Any]]) -> None:
    assert built["dokuei/model-server"]["compressed_bytes"] <= MOST_COMPRESSED_BYTES
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = dict(line.removesuffix(" \\").split("==") for line in lines if "==" in line)
    for image, needed in (
        ("router", {"numpy", "psycopg", "fastapi"}),
        ("model-server", {"numpy", "onnxruntime"}),
        ("torchserve", {"numpy", "onnxruntime", "torch", "torchserve"}),
    ):
        bill = json.loads((OUTPUT / f"{image}.cdx.json").read_text())
        versions = {component["name"]: component["version"] for component in bill["components"]}
        assert {name: versions.get(name) for name in needed} == {name: locked[name] for name in needed}
        assert {"dokuei", "libc6", "python3.11"} <= versions.keys()
        assert "torch" in versions or image != "torchserve"
    bill = json.loads((OUTPUT / f"model-{CARD.name}.cdx.json").read_text())
    assert [part["name"] for part in bill["components"]] == [CARD.name, "busybox-static"]
