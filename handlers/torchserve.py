"""TorchServe 0.12 around the same archives: its configuration, and one process that runs it until told to stop.

    python -m handlers.torchserve model-store/chest-xray-pneumonia model-store/modality --port 8080

It answers `POST /v2/models/{name}/infer`. `/ping` says healthy before the models are loaded: only an answer of the
model itself, or READY in `GET /models/{name}` of the management API, says that it is ready.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from . import command
from .base import require_provider
from .contract.archive import find_archive, unpack
from .contract.errors import ArchiveError, DokueiError
from .settings import Settings

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 10
"""How long the Java process gets to end by itself; it needs 4."""
LARGEST = 2**31 - 1
"""TorchServe counts bytes in a signed 32-bit number."""

# Console only: TorchServe's own configuration also writes five files. Its workers log every step of every request.
LOGGING = """
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.workers.name = org.pytorch.serve.wlm
logger.workers.level = warn
"""


class StartError(DokueiError):
    """Java or TorchServe is not installed."""


def properties(
    *, folder: Path, models: Iterable[str], inference: str, management: str, metrics: str, max_request_bytes: int
) -> str:
    """TorchServe's `config.properties`.

    Args:
        folder: holds the archives.
        models: names of the archives in it, without `.mar`.
        inference, management, metrics: the addresses of the three interfaces, as `http://host:port` or `unix:path`.
        max_request_bytes: longest request body taken.
    """
    values = {
        "model_store": str(folder),
        "load_models": ",".join(f"{name}.mar" for name in models),
        "inference_address": inference,
        "management_address": management,
        "metrics_address": metrics,
        # Not used, and cannot be switched off: any free port of loopback.
        "grpc_inference_port": "0",
        "grpc_management_port": "0",
        # One worker a model; more come from more pods.
        "default_workers_per_model": "1",
        # Inference needs no token, and nothing can be registered at run time.
        "disable_token_authorization": "true",
        "enable_model_api": "false",
        "install_py_dep_per_model": "false",
        "allowed_urls": "file:///nothing-is-allowed",
        "max_request_size": str(max_request_bytes),
        "max_response_size": str(LARGEST),
        # The handler takes raw bodies, and its device from DOKUEI_EXECUTION_PROVIDER.
        "decode_input_request": "false",
        "number_of_gpu": "0",
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def fill_store(sources: Iterable[Path], store: Path) -> list[str]:
    """Verify the archives and copy them into `store` under the name of their card, which becomes part of the URL.

    Returns:
        The models' names.

    Raises:
        CardError, ArchiveError: an archive cannot be served, or two have the same name.
    """
    models: list[str] = []
    for source in sources:
        archive = find_archive(source)
        with tempfile.TemporaryDirectory(prefix="dokuei-") as unpacked:
            card = unpack(archive, Path(unpacked)).card
        if card.name in models:
            raise ArchiveError(f"{archive}: there is another archive of a model {card.name}; serve one of them")
        shutil.copyfile(archive, store / card.archive_name)
        models.append(card.name)
    return models


def java_command(folder: Path) -> list[str]:
    """The command that runs TorchServe on the `config.properties` and `log4j2.properties` in `folder`.

    The launcher `torchserve` is not used: it allows one instance a machine, and signals do not reach Java through it.

    Raises:
        StartError: Java or TorchServe is missing.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        raise StartError(f"java is not {f'in JAVA_HOME {home}' if home else 'on the PATH'}; install a Java 17 runtime")
    package = importlib.util.find_spec("ts")
    if package is None or package.origin is None:
        raise StartError("TorchServe is not installed; install the torchserve extra")
    site = Path(package.origin).parents[1]
    return [
        java,
        f"-Djava.io.tmpdir={folder}",
        f"-Dmodel_server_home={site}",
        f"-Dlog4j.configurationFile={folder / 'log4j2.properties'}",
        *("-cp", f"{site}/ts/frontend/*"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(folder / "config.properties")),
        "-ncs",
    ]


def java_environment() -> dict[str, str]:
    """The environment of Java and its workers, which have to import `handlers`."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "TS_CONFIG_FILE"}  # It would win over -f.
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_java(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run Java in `folder` until it ends; however this function is left, Java and its workers have ended.

    Returns:
        Java's exit status.
    """
    # A session of its own: Ctrl+C reaches only this process, and one signal can end Java with all its workers.
    java = subprocess.Popen(arguments, env=environment, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return java.wait()
    finally:
        java.terminate()
        with suppress(subprocess.TimeoutExpired):
            java.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(java.pid, signal.SIGKILL)
        java.wait()


def main() -> int:
    """Run TorchServe in the foreground; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m handlers.torchserve", description="Serve model archives with TorchServe."
    )
    parser.add_argument("archives", metavar="ARCHIVE_OR_FOLDER", nargs="+", type=Path, help=".mar or folder with one")
    parser.add_argument("--host", default=LOOPBACK, help="address of inference and metrics (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port of inference (default: %(default)s)")
    parser.add_argument("--management-port", type=int, help="loopback port of the management API (default: none)")
    parser.add_argument("--metrics-port", type=int, help="port of /metrics (default: none)")
    given = parser.parse_args()
    settings = Settings.from_environment()
    require_provider(settings.provider)
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        folder = Path(temporary)
        arguments = java_command(folder)

        def address(host: str, port: int | None, name: str) -> str:
            # TorchServe always opens all three; what no port is given for is a socket in a folder only we can enter.
            return f"unix:{folder / name}.sock" if port is None else f"http://{host}:{port}"

        store = folder / "model-store"
        store.mkdir()
        configuration = properties(
            folder=store,
            models=fill_store([command.archive_at(path, settings) for path in given.archives], store),
            inference=f"http://{given.host}:{given.port}",
            management=address(LOOPBACK, given.management_port, "management"),
            metrics=address(given.host, given.metrics_port, "metrics"),
            max_request_bytes=settings.max_request_bytes,
        )
        (folder / "config.properties").write_text(configuration)
        (folder / "log4j2.properties").write_text(LOGGING)
        return run_java(arguments, java_environment(), folder)


if __name__ == "__main__":
    raise SystemExit(command.run(main))
