"""A patient's studies: found by their id without keeping it, handed over, and deleted."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pydicom
import pytest
from analyses import analysis
from paths import ROOT
from serving import StartRouter

from router.audit import chain
from router.audit.event import Actor
from router.database import Database
from router.errors import NotFound
from router.sealing import Sealer
from router.store import Store
from router.study import patient_digest
from router.user import User

ANNA, BERT = "CANARY-4711", "CANARY-4712"


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def found(store: Store, runner: asyncio.Runner, patient_id: str) -> list[str]:
    return [each.id for each in runner.run(store.of_patient(patient_digest(patient_id)))]


def test_a_patients_studies_are_found_the_oldest_first_also_after_a_new_key(
    opened: Database, runner: asyncio.Runner
) -> None:
    old, new = key(), key()
    runner.run(Store(opened).add(analysis(0), {}, patient=patient_digest(ANNA)))
    runner.run(Store(opened, Sealer([old])).add(analysis(2), {}, patient=patient_digest(f" {ANNA} ")))
    store = Store(opened, Sealer([new, old]))
    runner.run(store.add(analysis(1), {}, patient=patient_digest(ANNA)))
    runner.run(store.add(analysis(3), {}, patient=patient_digest(BERT)))
    runner.run(store.add(analysis(4), {}))
    assert found(store, runner, ANNA) == ["id-1", "id-2"], "the first came without a key"
    assert found(store, runner, BERT) == ["id-3"]
    assert found(store, runner, ANNA.lower()) == []
    with pytest.raises(NotFound, match="with DOKUEI_IMAGE_KEYS it is"):
        found(Store(opened), runner, ANNA)
    events = "".join(opened.transact(lambda session: chain.newest(session, None, None, None, None)))
    assert "CANARY" not in events
    assert "analyses of one patient" in events


def test_who_sees_one_department_finds_only_its_studies(opened: Database, runner: asyncio.Runner) -> None:
    store = Store(opened, Sealer([key()]))
    for number, department in enumerate(("lungs", "brains")):
        runner.run(store.add(analysis(number), {}, department, patient_digest(ANNA)))
    nils = User("nils", "Nils", frozenset({"viewer"}), departments=("brains",))
    assert found(store.on_behalf_of(Actor(nils)), runner, ANNA) == ["id-1"]


def dokuei(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router.cli", "patient", *arguments]
    return subprocess.run(command, cwd=ROOT, input=typed, capture_output=True, text=True, check=False, timeout=120)


def xray_of(patient_id: str, xray: Path) -> bytes:
    dataset = pydicom.dcmread(xray)
    dataset.PatientID = patient_id
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_all_of_a_patient_is_exported_then_deleted_and_nothing_of_another(
    start_router: StartRouter, samples: Path, tmp_path: Path
) -> None:
    router = start_router(image_keys=key())
    ids = {}
    for patient_id in (ANNA, BERT):
        files = {"files": xray_of(patient_id, samples / "chest-xray.dcm")}
        ids[patient_id] = router.post("/api/analyses", files=files).json()["id"]
    at = f"--url={router.base_url}"

    target = tmp_path / "anna.zip"
    exported = dokuei("export", str(target), at, typed=f"{ANNA}\n")
    assert (exported.returncode, "1 analyses are in" in exported.stdout) == (0, True), exported.stderr
    with ZipFile(target) as file:
        of_anna = {f"{ids[ANNA]}/{name}" for name in ("analysis.json", "images/0.png", "heatmap.png", "overlay.png")}
        assert set(file.namelist()) == of_anna
        document = json.loads(file.read(f"{ids[ANNA]}/analysis.json"))
        for name in of_anna - {f"{ids[ANNA]}/analysis.json"}:
            assert file.read(name) == router.get(f"/api/analyses/{name}").content
    assert document == router.get(f"/api/analyses/{ids[ANNA]}").json()
    again = dokuei("export", str(target), at, f"--patient-id={ANNA}")
    assert (again.returncode, "is there already" in again.stderr) == (1, True)

    kept = dokuei("delete", at, typed=f"{ANNA}\nn\n")
    assert (kept.returncode, "Delete 1 analyses for good?" in kept.stdout) == (1, True)
    assert router.get(f"/api/analyses/{ids[ANNA]}").status_code == 200
    gone = dokuei("delete", at, typed=f"{ANNA}\ny\n")
    assert (gone.returncode, "1 analyses are deleted" in gone.stdout) == (0, True), gone.stderr
    assert router.get(f"/api/analyses/{ids[ANNA]}").status_code == 404
    assert router.get(f"/api/analyses/{ids[BERT]}").status_code == 200
    assert "0 analyses are deleted" in dokuei("delete", at, f"--patient-id={ANNA}").stdout

    database = b"".join(file.read_bytes() for file in tmp_path.glob("dokuei.db*"))
    assert b"CANARY" not in database


def test_a_router_without_keys_says_that_it_knows_no_patients(start_router: StartRouter, tmp_path: Path) -> None:
    said = dokuei("export", str(tmp_path / "a.zip"), f"--url={start_router().base_url}", f"--patient-id={ANNA}")
    assert said.returncode == 1
    assert "it is not known here whose studies these are" in said.stderr
    assert not list(tmp_path.glob("a.zip*"))
