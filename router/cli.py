"""The `dokuei` command."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from handlers.contract.errors import DokueiError

from . import DEFAULT_PORT
from .audit.cli import app as audit
from .patients import app as patient
from .rollout.cli import app as rollout

# Each command imports what only it needs, so that none waits for what another one does.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class RuntimeName(StrEnum):
    """What serves the models."""

    LIGHT = "light"
    TORCHSERVE = "torchserve"


class LanguageName(StrEnum):
    """Language of the explanation."""

    EN = "en"
    JA = "ja"


app.add_typer(rollout, name="rollout")
app.add_typer(audit, name="audit")
app.add_typer(patient, name="patient")


@app.callback()
def main() -> None:
    """Dokuei 読影: medical-image diagnosis support. Research use only; not a medical device."""


@app.command()
def run(
    runtime: Annotated[RuntimeName, typer.Option(help="what serves the models")] = RuntimeName.LIGHT,
    port: Annotated[int, typer.Option(help="of the router, on loopback")] = DEFAULT_PORT,
    data: Annotated[Path, typer.Option(help="folder of database, samples and logs")] = Path("build/run"),
) -> None:
    """Run model servers, router and portal on this machine."""
    from . import local, telemetry

    telemetry.configure_logging()
    telemetry.configure_tracing()
    local.run(runtime.value, port, data)


@app.command()
def serve(
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = DEFAULT_PORT,
) -> None:
    """Run the router alone; its settings are the variables DOKUEI_… (router/settings.py lists them)."""
    import uvicorn

    from . import telemetry
    from .app import create_app
    from .settings import Settings

    telemetry.configure_logging()
    telemetry.configure_tracing()
    settings = Settings.from_environment()
    settings.check_host(host)
    uvicorn.run(create_app(settings), host=host, port=port, log_config=None, access_log=False)


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from .app import create_app
    from .settings import Settings

    print(json.dumps(create_app(Settings()).openapi(), indent=1))


@app.command()
def analyse(
    files: Annotated[
        list[Path], typer.Argument(exists=True, help="one image, the files of one series, a folder or a zip")
    ],
    url: Annotated[str, typer.Option(help="of the router")] = f"http://127.0.0.1:{DEFAULT_PORT}",
    language: Annotated[LanguageName, typer.Option(help="of the explanation")] = LanguageName.EN,
    model: Annotated[str | None, typer.Option(help="name of a model, instead of finding it")] = None,
) -> None:
    """Send images to a running router and print its answer."""
    from .client import check_answer, router_at

    chosen = [
        file for path in files for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()
    ]
    fields = {"language": language.value, **({"model": model} if model else {})}
    parts = [("files", (file.name, file.read_bytes())) for file in chosen]
    with router_at(url) as router:
        response = check_answer(router.post("/api/analyses", data=fields, files=parts))
    _print_analysis(response.json(), url)


@app.command()
def check(
    url: Annotated[str, typer.Option(help="of the router")] = f"http://127.0.0.1:{DEFAULT_PORT}",
    health_only: Annotated[bool, typer.Option(help="ask whether it is ready, and send nothing")] = False,
) -> None:
    """Send the synthetic samples to a running router, compare what each is taken for, and delete them again."""
    from .client import CommandError, router_at
    from .samples import samples_with_content

    with router_at(url) as router:
        ready = router.get("/readyz")
        if ready.status_code != 200:
            raise CommandError(f"the router at {url} is not ready: {ready.json()['detail']}")
        print(f"{url} is ready", flush=True)
        wrong = []
        for sample, content in [] if health_only else samples_with_content():
            answer = router.post("/api/analyses", files=[("files", (sample.file, content))])
            document = answer.json()
            if answer.status_code == 201:
                seen = document["modality"]["label"]
                router.delete(f"/api/analyses/{document['id']}")
            else:
                seen = "other" if document["type"] == "/problems/unsupported-image" else document["title"]
            if seen != sample.modality:
                wrong.append(f"{sample.file} was taken for {seen}, and is {sample.modality}")
            print(f"{sample.file}: {seen}", flush=True)
    if wrong:
        raise CommandError("; ".join(wrong))


def _print_analysis(analysis: dict[str, Any], url: str) -> None:
    modality, model, result = analysis["modality"], analysis["model"], analysis["result"]
    confidence = "" if modality["confidence"] is None else f", {modality['confidence']:.1%} sure"
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # Japanese has no spaces to break at, and an address must not lose its end.
    table.add_row("input", f"{analysis['input']['images']} image(s), {analysis['input']['kind']}")
    table.add_row("modality", f"{modality['label']} (by {modality['source']}{confidence})")
    if modality["doubtful"]:
        table.add_row("mind", "the image itself does not look like that; header or choice may be wrong")
    table.add_row("model", f"{model['name']} {model['version']} ({model['variant']}, {model['runtime']})")
    if result["task"] == "classification":
        listed = ", ".join(f"{label} {value:.1%}" for label, value in result["probabilities"].items())
        table.add_row("result", f"[bold]{result['label']}[/bold] ({listed}; threshold {result['threshold']:.0%})")
    else:
        marked = sum(part["area_fraction"] > 0 for part in result["slices"])
        volume = "spacing unknown" if result["volume_ml"] is None else f"{result['volume_ml']:.1f} ml"
        table.add_row(
            "result", f"[bold]{result['label']}[/bold] on {marked} slices, {result['voxels']} voxels, {volume}"
        )
    table.add_row("explanation", analysis["explanation"]["text"])
    table.add_row("see", f"{url}/studies/{analysis['id']}")
    Console().print(table)


def entry() -> None:
    """The console script: errors that Dokuei raises on purpose are one line, not a traceback."""
    try:
        app()
    except DokueiError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    entry()
