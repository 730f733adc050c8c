"""`dokuei rollout`: start, status, pause, resume, promote, abort, history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from . import values
from .errors import RolloutError
from .helm import Helm
from .operator import operator

# What only some commands need is imported where they need it: `abort` must not wait for it.
if TYPE_CHECKING:
    from router.result import Gate

    from .actions import Rollout
    from .cluster import Cluster
    from .plan import Plan

app = typer.Typer(no_args_is_help=True, help="Take a candidate from the shadow to being the model, or back.")


class Output(StrEnum):
    """How something is told."""

    TABLE = "table"
    JSON = "json"


Model = Annotated[str, typer.Argument(help="name of the model, as on its card")]
Release = Annotated[str, typer.Option(help="name of the Helm release")]
Namespace = Annotated[str, typer.Option(help="of the release")]
Chart = Annotated[str, typer.Option(help="chart that the release was installed from")]
Program = Annotated[str, typer.Option("--helm", help="path of the helm program")]
Interval = Annotated[float, typer.Option(min=0.1, help="seconds between two looks at the evidence")]
PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", exists=True, dir_okay=False, help="steps and gates, where not the usual ones (YAML)"),
]


def _rollout(model: str, release: str, namespace: str, chart: str, helm: str, interval: float = 10) -> Rollout:
    from .actions import Rollout

    return Rollout(model, Helm(release, namespace, chart, helm), _cluster(release, namespace), interval)


def _cluster(release: str, namespace: str) -> Cluster:
    from .cluster import Cluster

    return Cluster(release, namespace)


@app.command()
def start(
    model: Model,
    card: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="card of the candidate")],
    storage_uri: Annotated[
        str | None, typer.Option(help="where its archive is; else the image that its version names")
    ] = None,
    plan: PlanFile = None,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    chart: Chart = "charts/dokuei",
    helm: Program = "helm",
    interval: Interval = 10,
) -> None:
    """Put a candidate beside a model, and take it through the steps to being the model, or abort."""
    from handlers.contract.card import parse_card

    from .plan import Plan

    text = card.read_text(encoding="utf-8")
    declared = parse_card(text, str(card))
    if declared.name != model:
        raise RolloutError(f"{card} is the card of {declared.name}, not of {model}")
    planned, rollout = Plan.load(plan), _rollout(model, release, namespace, chart, helm, interval)
    rollout.cluster.take(model)
    rollout.start(text, storage_uri)
    _drive(rollout, planned)


@app.command()
def resume(
    model: Model,
    plan: PlanFile = None,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    chart: Chart = "charts/dokuei",
    helm: Program = "helm",
    interval: Interval = 10,
) -> None:
    """Go on with a rollout that was paused or killed, at the step that it has reached."""
    from .plan import Plan

    planned, rollout = Plan.load(plan), _rollout(model, release, namespace, chart, helm, interval)
    rollout.take_up()
    _drive(rollout, planned)


@app.command()
def pause(
    model: Model,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
) -> None:
    """Stop whoever is rolling the model out; its candidate goes on reading what it reads now."""
    cluster = _cluster(release, namespace)
    cluster.release_lease(model)
    cluster.tell(model, "RolloutPaused", f"paused by {operator()}")
    cluster.record(model, "paused", done=True)
    print(f"the rollout of {model} is paused; `dokuei rollout resume {model}` goes on")


@app.command()
def promote(
    model: Model,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    chart: Chart = "charts/dokuei",
    helm: Program = "helm",
) -> None:
    """Make the candidate the model now, whatever its gates say."""
    rollout = _rollout(model, release, namespace, chart, helm)
    rollout.take_up()
    rollout.promote()
    print(_promoted(rollout))


@app.command()
def abort(
    model: Model,
    why: Annotated[str, typer.Option(help="told in the history")] = "by hand",
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    chart: Chart = "charts/dokuei",
    helm: Program = "helm",
) -> None:
    """Let the stable version read everything, at once, and take the candidate away."""
    _rollout(model, release, namespace, chart, helm).abort(f"{why} ({operator()})")
    print(f"the stable version of {model} reads everything; the candidate is taken away")


@app.command()
def status(
    model: Model,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    helm: Program = "helm",
    output: Annotated[Output, typer.Option()] = Output.TABLE,
) -> None:
    """Tell where a rollout is, who drives it, and what the gates say."""
    from router.result import Gate

    rollout = _rollout(model, release, namespace, "", helm)
    candidate = values.candidate_of(rollout.helm.values(), model)
    if candidate is None:
        raise RolloutError(f"there is no candidate of {model}")
    told = {"driver": rollout.cluster.holder(model), "aborted": rollout.cluster.aborted(model)}
    known = rollout.cluster.ask_router(f"/api/rollouts/{model}")
    if output is Output.JSON:
        print(json.dumps(told | known, indent=1))
        return
    gates = {name: Gate.model_validate(gate) for name, gate in known["gates"].items()}
    reads = (
        f"{known['candidate']} reads {known['weight']:g} %, {known['shadow']:g} % are compared with {known['stable']}"
    )
    ready = "" if known["ready"] else "; it is not Ready"
    driven = f"aborted ({told['aborted']})" if told["aborted"] else f"driven by {told['driver'] or 'nobody'}"
    Console().print(_table(gates, f"{model}: {reads}{ready}; {driven}"))


@app.command()
def history(
    model: Model,
    release: Release = "dokuei",
    namespace: Namespace = "dokuei",
    helm: Program = "helm",
    output: Annotated[Output, typer.Option()] = Output.TABLE,
) -> None:
    """Tell the steps of a model's rollouts, as Helm keeps them."""
    found = [
        revision
        for revision in Helm(release, namespace, "", helm).history()
        if revision["description"].startswith(f"rollout of {model}: ")
    ]
    if output is Output.JSON:
        print(json.dumps(found, indent=1))
        return
    table = Table("revision", "when", "what")
    for revision in found:
        what = revision["description"].partition(": ")[2]
        table.add_row(str(revision["revision"]), revision["updated"][:19], what)
    Console().print(table)


def _drive(rollout: Rollout, plan: Plan) -> None:
    from .driver import Driver

    came_to = ""
    with Live(console=Console(), refresh_per_second=2) as live:

        def watch(where: str, gates: Mapping[str, Gate]) -> None:
            nonlocal came_to
            if where != came_to:
                live.console.print(f"{datetime.now():%H:%M:%S} {rollout.model} {where}", highlight=False)
                came_to = where
            live.update(_table(gates, f"{rollout.model} {where}"))

        Driver(rollout, plan, watch).go_on()
    print(f"\n{_promoted(rollout)}")  # Where there is no terminal, the table does not end its line.


def _table(gates: Mapping[str, Gate], title: str) -> Table:
    table = Table("gate", "verdict", "bad", "of", "bad means", title=title)
    for name, gate in gates.items():
        table.add_row(name, gate.verdict, str(gate.bad), str(gate.requests), gate.means)
    return table


def _promoted(rollout: Rollout) -> str:
    model = rollout.helm.values()["models"][rollout.model]
    values = json.dumps({"models": {rollout.model: model}}, indent=1, ensure_ascii=False)
    return f"{rollout.model} is promoted; values of the release, for GitOps:\n{values}"
