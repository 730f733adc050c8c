"""A model server that cannot serve does not start, and says why in one line; one that ends takes all with it."""

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnxruntime
import psutil
import pytest
from processes import Served, answers, command, environment, free_port, image, running

from handlers.contract.card import load_card

SERVERS = ("handlers.server", "handlers.torchserve")


def refusal(module: str, archive: Path, **variables: str) -> str:
    """What the server prints instead of starting."""
    ended = subprocess.run(
        command(module, archive, "--port", free_port()),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def rewritten(archive: Path, to: Path, member: str, content: bytes | None) -> Path:
    """A copy of `archive` with other content of one member; None: without it."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(to, "w") as target:
        for name in source.namelist():
            if name != member:
                target.writestr(name, source.read(name))
            elif content is not None:
                target.writestr(name, content)
    return to


@pytest.fixture
def modality(store: Path) -> Path:
    return store / "modality" / "modality.mar"


@pytest.mark.parametrize("module", SERVERS)
def test_a_tampered_graph_is_refused_by_its_digest(module: str, modality: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(modality) as archive:
        graph = bytearray(archive.read("model.onnx"))
    graph[len(graph) // 2] ^= 1
    told = refusal(module, rewritten(modality, tmp_path / "modality.mar", "model.onnx", bytes(graph)))
    assert "model.onnx: SHA-256 is" in told
    assert f"graph.sha256 of the card is {load_card(modality.parent).graph.sha256}" in told


@pytest.mark.parametrize("module", SERVERS)
def test_a_missing_archive_is_named(module: str, tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.mar'}: there is no such archive" in refusal(module, tmp_path / "none.mar")


@pytest.mark.parametrize("module", SERVERS)
def test_a_folder_has_to_hold_one_archive(module: str, modality: Path, tmp_path: Path) -> None:
    assert "exactly one archive (.mar), and holds none" in refusal(module, tmp_path)
    for name in ("a.mar", "b.mar"):
        shutil.copy(modality, tmp_path / name)
    assert "exactly one archive (.mar), and holds a.mar, b.mar" in refusal(module, tmp_path)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build has CUDA")
@pytest.mark.parametrize("module", SERVERS)
def test_a_gpu_that_is_not_there_is_refused(module: str, modality: Path) -> None:
    told = refusal(module, modality, DOKUEI_EXECUTION_PROVIDER="cuda")
    assert "CUDAExecutionProvider was asked for and this ONNX Runtime has" in told


@pytest.mark.parametrize(
    ("variable", "value", "right"),
    [
        ("DOKUEI_EXECUTION_PROVIDER", "gpu", "one of cpu, cuda, tensorrt"),
        ("DOKUEI_THREADS", "0", "a whole number from 1 to"),
        ("DOKUEI_MAX_REQUEST_MB", "1GB", "a whole number from 1 to 2047"),
    ],
)
@pytest.mark.parametrize("module", SERVERS)
def test_a_wrong_setting_is_named(module: str, modality: Path, variable: str, value: str, right: str) -> None:
    told = refusal(module, modality, **{variable: value})
    assert f"{variable} is {value!r}" in told
    assert right in told


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (b"import nowhere\n", "modality.py: the handler cannot be imported: ModuleNotFoundError"),
        (b"from handlers.base import Handler\n", "one subclass of Handler, and defines 0"),
    ],
)
def test_a_handler_that_is_none_is_refused(modality: Path, tmp_path: Path, handler: bytes, told: str) -> None:
    archive = rewritten(modality, tmp_path / "modality.mar", "modality.py", handler)
    assert told in refusal("handlers.server", archive)


def test_torchserve_without_java_asks_for_it(modality: Path, tmp_path: Path) -> None:
    assert "java is not on the PATH; install a Java 17 runtime" in refusal(
        "handlers.torchserve", modality, PATH=str(tmp_path), JAVA_HOME=""
    )
    assert f"java is not in JAVA_HOME {tmp_path}" in refusal("handlers.torchserve", modality, JAVA_HOME=str(tmp_path))


def test_torchserve_does_not_serve_two_archives_of_one_name(modality: Path, tmp_path: Path) -> None:
    other = shutil.copy(modality, tmp_path / "other.mar")
    ended = subprocess.run(
        command("handlers.torchserve", modality, other), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, "another archive of a model modality" in ended.stderr) == (1, True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder with a short path: a Unix socket's has at most 107 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_torchserve_ends_with_its_java_its_workers_and_its_files(
    modality: Path, short_folder: Path, tmp_path: Path
) -> None:
    port = free_port()
    served = Served(load_card(modality.parent), f"http://127.0.0.1:{port}")
    arguments = command("handlers.torchserve", modality, "--port", port)
    folder = str(short_folder)
    with running(arguments, answers(served), tmp_path / "log", TMPDIR=folder, HOME=folder) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("model_service_worker.py" in " ".join(child.cmdline()) for child in children)
        process.terminate()
        assert process.wait(20) == 0
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize("module", SERVERS)
def test_an_archive_that_is_mounted_after_the_start_is_waited_for(module: str, modality: Path, tmp_path: Path) -> None:
    port, mounted = free_port(), tmp_path / "models"
    served = Served(load_card(modality.parent), f"http://127.0.0.1:{port}")

    def answers_once_mounted() -> bool:
        if not mounted.exists():
            (tmp_path / "image").mkdir()
            shutil.copy(modality, tmp_path / "image")
            mounted.symlink_to(tmp_path / "image")  # As KServe's modelcar does.
        return answers(served)()

    arguments = command(module, mounted, "--port", port)
    with running(arguments, answers_once_mounted, tmp_path / "log", MODEL_INIT_MODE="async"):
        assert served.infer(image(served.card, seed=1))["probabilities"].shape == (1, 3)


def ready(management: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command("handlers.ready", management), capture_output=True, text=True, check=False)


def test_torchserve_that_is_not_there_is_not_ready() -> None:
    done = ready(free_port())
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)


def test_torchserve_takes_no_models_at_run_time(modality: Path, tmp_path: Path) -> None:
    port, management, metrics = free_port(), free_port(), free_port()
    served = Served(load_card(modality.parent), f"http://127.0.0.1:{port}")
    arguments = command(
        *("handlers.torchserve", modality, "--port", port),
        *("--management-port", management, "--metrics-port", metrics),
    )
    with running(arguments, answers(served), tmp_path / "log"):
        api = f"http://127.0.0.1:{management}/models"
        described = httpx.get(f"{api}/modality").json()[0]
        assert (described["minWorkers"], described["maxWorkers"]) == (1, 1)
        assert [worker["status"] for worker in described["workers"]] == ["READY"]
        assert ready(management).returncode == 0
        for url in ("modality.mar", f"file://{modality}", "http://127.0.0.1/modality.mar"):
            assert httpx.post(api, params={"url": url, "model_name": "other"}).status_code == 405
        assert httpx.delete(f"{api}/modality").status_code == 405
        assert "ts_inference_requests_total" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
