"""`dokuei patient`: export and delete what a router keeps of one patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import typer

from . import DEFAULT_PORT

# What only some commands need is imported where they need it: `dokuei --help` must not wait for it.
if TYPE_CHECKING:
    import httpx

app = typer.Typer(
    no_args_is_help=True,
    help="What a running router keeps of one patient, as far as you may see it: hand it over, or delete it.",
)

# Asked for where it is left out: what is typed on a command line is kept in the shell's history.
PatientId = Annotated[str, typer.Option(prompt="DICOM PatientID", help="asked for, if you leave it out")]
Url = Annotated[str, typer.Option(help="of the router")]
HERE = f"http://127.0.0.1:{DEFAULT_PORT}"


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="the zip file to write", dir_okay=False)],
    patient_id: PatientId,
    url: Url = HERE,
) -> None:
    """Write all analyses of a patient with their pictures into a zip file."""
    from .client import CommandError, router_at

    if to.exists():
        raise CommandError(f"{to} is there already; name another file")
    partial = to.with_name(f"{to.name}.part")
    try:
        with router_at(url) as router:
            analyses = _analyses(router, patient_id)
            with ZipFile(partial, "w") as file:
                for number, analysis in enumerate(analyses, 1):
                    _write(router, analysis, file)
                    print(f"{number} of {len(analyses)}: {analysis['id']}", flush=True)
        partial.rename(to)
    except OSError as error:
        raise CommandError(f"{to} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    print(f"{len(analyses)} analyses are in {to}")


@app.command()
def delete(
    patient_id: PatientId,
    url: Url = HERE,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete all analyses of a patient, with their pictures and reviews, for good."""
    from .client import check_answer, router_at

    with router_at(url) as router:
        analyses = _analyses(router, patient_id)
        if analyses and not yes:
            typer.confirm(f"Delete {len(analyses)} analyses for good?", abort=True)
        for analysis in analyses:
            answer = router.delete(f"/api/analyses/{analysis['id']}")
            if answer.status_code != 404:  # Somebody else has deleted it meanwhile.
                check_answer(answer)
    print(f"{len(analyses)} analyses are deleted")


def _analyses(router: httpx.Client, patient_id: str) -> list[dict[str, Any]]:
    from .client import check_answer

    found: list[dict[str, Any]] = check_answer(
        router.post("/api/analyses/search", json={"patient_id": patient_id})
    ).json()["items"]
    return found


def _write(router: httpx.Client, analysis: dict[str, Any], file: ZipFile) -> None:
    from .client import check_answer

    id_, images = analysis["id"], range(analysis["input"]["images"])
    names = [f"images/{n}.png" for n in images]
    if analysis["result"]["task"] == "segmentation":
        names += [f"masks/{n}.png" for n in images]
    else:
        names += ["heatmap.png", "overlay.png"]
    document = json.dumps(analysis, indent=1, ensure_ascii=False)
    file.writestr(f"{id_}/analysis.json", document, ZIP_DEFLATED)
    for name in names:
        file.writestr(f"{id_}/{name}", check_answer(router.get(f"/api/analyses/{id_}/{name}")).content, ZIP_STORED)
