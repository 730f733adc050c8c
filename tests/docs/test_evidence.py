"""What the documents name as evidence is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from paths import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def functions() -> set[str]:
    """Names of every test."""
    return {
        each.name
        for file in (ROOT / "tests").rglob("test_*.py")
        for each in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_")
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_each_test_that_a_document_names_exists(document: Path) -> None:
    there = functions()
    named = re.findall(r"`(test_\w+|…\w+)(…?)`", document.read_text(encoding="utf-8"))
    unknown = [name for name, more in named if not any(_is(name, bool(more), each) for each in there)]
    assert unknown == []


def _is(named: str, goes_on: bool, name: str) -> bool:
    """Whether a name, of which a document may leave out beginning and end, is this test's."""
    if named.startswith("…"):
        return named[1:] in name if goes_on else name.endswith(named[1:])
    return name.startswith(named) if goes_on else name == named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_each_file_that_a_document_leads_to_exists(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []
