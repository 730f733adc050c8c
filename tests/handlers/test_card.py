"""The committed cards load, and a card with a fault is refused by file and field."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import MODELS

from handlers.contract.archive import load_model
from handlers.contract.card import load_card
from handlers.contract.errors import ArchiveError, CardError

NAME = "chest-xray-pneumonia"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    """A copy of one model's folder, for a test to damage."""
    return shutil.copytree(store / NAME, tmp_path / NAME)


def edit(folder: Path, change: Change) -> None:
    file = folder / "card.yaml"
    card = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(card)
    file.write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_a_committed_model_loads(store: Path, name: str) -> None:
    card, archive = load_model(store / name)
    assert card.name == name
    assert archive == store / name / f"{name}.mar"


def test_every_folder_of_the_model_store_is_a_model(repository: Path) -> None:
    assert sorted(folder.name for folder in (repository / "model-store").iterdir() if folder.is_dir()) == sorted(MODELS)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda card: card.update(treshold=0.5), "treshold: Extra inputs are not permitted"),
        (lambda card: card["input"].update(depth=3), "input.depth: Extra inputs are not permitted"),
        (lambda card: card.pop("threshold"), "threshold: Field required"),
        (lambda card: card.update(threshold="0.5"), "threshold: Input should be a valid number"),
        (lambda card: card.update(threshold=1.5), "threshold: Input should be less than 1"),
        (lambda card: card["input"].update(height="224"), "input.height: Input should be a valid integer"),
        (lambda card: card["input"].update(channels=2), "input.channels: Input should be 1 or 3"),
        (lambda card: card["input"].update(mean=[0.5]), "input: Value error, mean needs 3 values, one a channel"),
        (lambda card: card["title"].pop("ja"), "title.ja: Field required"),
        (lambda card: card.update(version="1.0"), "version: String should match pattern"),
        (lambda card: card.update(name="Chest X-ray"), "name: String should match pattern"),
        (lambda card: card.update(task="detection"), "task: Input should be 'classification'"),
        (lambda card: card.update(labels=["pneumonia"]), "labels of a classification model are two"),
        (lambda card: card.update(labels=["normal", "normal"]), "labels must differ"),
        (lambda card: card.pop("accepts"), "accepts is missing"),
        (lambda card: card["graph"].update(sha256="abc"), "graph.sha256: String should match pattern"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(folder: Path, change: Change, field: str) -> None:
    edit(folder, change)
    with pytest.raises(CardError) as caught:
        load_card(folder)
    assert str(caught.value).startswith(f"{folder / 'card.yaml'}: ")
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"), [("{", "not valid YAML"), ("- a\n- b\n", "a card is a YAML mapping"), ("", "a YAML mapping")]
)
def test_a_file_that_is_no_card_is_named(folder: Path, text: str, told: str) -> None:
    (folder / "card.yaml").write_text(text)
    with pytest.raises(CardError, match=told) as caught:
        load_card(folder)
    assert str(folder / "card.yaml") in str(caught.value)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="cannot be read") as caught:
        load_card(tmp_path / "card.yaml")
    assert str(tmp_path / "card.yaml") in str(caught.value)


def test_a_missing_archive_is_named_with_the_command_that_writes_it(folder: Path) -> None:
    (folder / f"{NAME}.mar").unlink()
    with pytest.raises(ArchiveError, match=f"{NAME}.mar: the archive of .*card.yaml is missing; `make export-{NAME}`"):
        load_model(folder)


def test_another_digest_is_told_with_both(folder: Path) -> None:
    right = load_card(folder).graph
    assert right is not None
    edit(folder, lambda card: card["graph"].update(sha256="0" * 64))
    with pytest.raises(ArchiveError) as caught:
        load_model(folder)
    assert f"SHA-256 is {right.sha256}, and graph.sha256 of the card is {'0' * 64}" in str(caught.value)


def test_a_card_without_a_digest_is_not_served(folder: Path) -> None:
    edit(folder, lambda card: card.pop("graph"))
    with pytest.raises(ArchiveError, match=r"the card has no graph\.sha256"):
        load_model(folder)


def test_a_card_edited_since_its_archive_was_written_is_told_by_field(folder: Path) -> None:
    edit(folder, lambda card: card.update(threshold=0.25))
    with pytest.raises(ArchiveError, match=r"card\.yaml: field threshold is not the one of"):
        load_model(folder)


def test_folder_and_name_have_to_agree(folder: Path) -> None:
    renamed = folder.rename(folder.with_name("chest"))
    with pytest.raises(ArchiveError) as caught:
        load_model(renamed)
    assert f"card.yaml: name is '{NAME}', and the folder is 'chest'" in str(caught.value)
