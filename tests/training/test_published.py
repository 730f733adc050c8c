"""What the cards say was measured is what the evidence beside them says, of the archive that is there."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from paths import ROOT, STORE

from handlers.contract.archive import load_model
from handlers.contract.card import load_card
from training.datasets import FOLDS
from training.modality_images import GENERATED

MODELS = sorted(folder.name for folder in STORE.iterdir())


def evidence_of(name: str) -> dict[str, str]:
    """The report that each command writes beside a card."""
    steps = {"crossvalidate": "CROSS-VALIDATION", "evaluate": "EVALUATION", "faithfulness": "FAITHFULNESS"}
    return {f"make {step}-{name}": report for step, report in steps.items()} | {"make unseen-kinds": "UNSEEN-KINDS"}


def figures(folder: Path, evidence: str) -> set[tuple[str, float]]:
    tables = json.loads((folder / f"{evidence}.json").read_text())["figures"].values()
    return {(figure["metric"], round(figure["value"], 4)) for table in tables for figure in table}


@pytest.mark.parametrize("name", MODELS)
def test_each_figure_of_a_card_is_in_the_evidence_that_its_command_writes(name: str) -> None:
    card = load_card(STORE / name)
    assert card.measured
    for measured in card.measured:
        report = evidence_of(name)[measured.command]
        assert (measured.metric, measured.value) in figures(STORE / name, report)


def test_what_a_probability_has_meant_is_in_the_evidence_too() -> None:
    name = "chest-xray-pneumonia"
    known = load_card(STORE / name).reliability
    assert known is not None
    report = evidence_of(name)[known.command]
    tables = json.loads((STORE / name / f"{report}.json").read_text())["figures"]
    measured = [
        (figure["metric"], round(figure["value"], 4), figure["count"])
        for figure in tables["Share with the finding, by probability"]
    ]
    assert [(f"{one.low} to {one.high}", one.share, one.images) for one in known.bins] == measured
    assert ("share with the finding", known.prevalence) in figures(STORE / name, report)


@pytest.mark.parametrize("name", MODELS)
def test_the_evaluation_is_of_the_archive_and_the_record_is_of_its_training(name: str) -> None:
    card, archive = load_model(STORE / name)
    evaluation = json.loads((STORE / name / "EVALUATION.json").read_text())
    assert card.graph is not None
    assert (evaluation["version"], evaluation["graph"]) == (card.version, card.graph.sha256)
    assert evaluation["threshold"] == card.threshold
    with zipfile.ZipFile(archive) as packed:
        inside = packed.read("training.json")
    assert inside == (STORE / name / "training.json").read_bytes()
    record = json.loads(inside)
    assert record["arguments"]["model"] == name
    made_up = record["data"]["images"] - evaluation["left_out"]
    if name == "modality":  # Its loader makes images up, other ones each time; four of five folds were learned from.
        assert made_up == pytest.approx(GENERATED * (FOLDS - 1) / FOLDS, abs=GENERATED * 0.05)
    else:
        assert made_up == 0


def test_no_evidence_names_a_patient_or_a_place_on_a_machine() -> None:
    for file in [*STORE.glob("*/*.md"), *STORE.glob("*/*.json"), *(ROOT / "docs").glob("data-quality.*")]:
        text = file.read_text()
        for word in ("TCGA_", "person1", "IM-0", "/root", "/work", "/tmp", "/home"):
            assert word not in text, f"{file} holds {word}"
