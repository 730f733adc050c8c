"""Archives that somebody vouches for: signed with OpenSSL, as `make sign-…` does, served where the key is trusted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT
from processes import Served, answers, command, free_port, image, running
from test_start import SERVERS, refusal

from handlers.contract.card import load_card


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


def key(folder: Path, name: str, algorithm: str = "ed25519") -> Path:
    file = folder / f"{name}.pem"
    openssl("genpkey", "-algorithm", algorithm, "-out", file)
    return file


def public(private: Path) -> str:
    return openssl("pkey", "-in", private, "-pubout")


def sign(archive: Path, private: Path) -> None:
    signature = archive.with_name(f"{archive.name}.sig")
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", archive, "-out", signature)


@pytest.fixture
def archive(store: Path, tmp_path: Path) -> Path:
    """The only one in a folder, as it is mounted."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Path(shutil.copy(store / "modality" / "modality.mar", folder))


@pytest.mark.parametrize("module", SERVERS)
def test_where_keys_are_trusted_only_what_one_of_them_has_signed_is_served(
    module: str, archive: Path, tmp_path: Path
) -> None:
    ours, theirs = key(tmp_path, "ours"), key(tmp_path, "theirs")
    both = public(theirs) + public(ours)
    assert "there is no signature modality.mar.sig beside it" in refusal(
        module, archive.parent, DOKUEI_TRUSTED_KEYS=both
    )
    sign(archive, ours)
    told = refusal(module, archive.parent, DOKUEI_TRUSTED_KEYS=public(theirs))
    assert "modality.mar.sig is no signature of it by a key of DOKUEI_TRUSTED_KEYS" in told
    signed = archive.read_bytes()
    archive.write_bytes(signed + b"\0")  # Still a zip, with the same members.
    assert "is no signature of it" in refusal(module, archive.parent, DOKUEI_TRUSTED_KEYS=both)


def test_a_signed_archive_is_served(archive: Path, tmp_path: Path, store: Path) -> None:
    ours, theirs = key(tmp_path, "ours"), key(tmp_path, "theirs")
    sign(archive, ours)
    card, port = load_card(store / "modality"), free_port()
    served = Served(card, f"http://127.0.0.1:{port}")
    trusted = f"the vendor:\n{public(theirs)}and we:\n{public(ours)}"
    start = command("handlers.server", archive.parent, "--port", port)
    with running(start, answers(served), tmp_path / "log", DOKUEI_TRUSTED_KEYS=trusted):
        assert served.infer(image(card, 1))


@pytest.mark.parametrize(
    ("algorithm", "told"),
    [("x25519", "holds a PUBLIC KEY that is no public key of Ed25519"), (None, "holds no PEM block; it is what")],
)
def test_a_key_that_is_none_is_named(archive: Path, tmp_path: Path, algorithm: str | None, told: str) -> None:
    text = "my key" if algorithm is None else public(key(tmp_path, "other", algorithm))
    assert told in refusal("handlers.server", archive, DOKUEI_TRUSTED_KEYS=text)


def test_make_signs(archive: Path, tmp_path: Path) -> None:
    private, store = key(tmp_path, "ours"), tmp_path / "model-store" / "modality"
    store.mkdir(parents=True)
    shutil.copy(archive, store)
    make = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), "sign-modality"]
    without = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (without.returncode, "say with which key" in without.stdout) == (2, True)
    made = subprocess.run([*make, f"KEY={private}"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert public(private) in made.stdout
    told = refusal("handlers.server", store, DOKUEI_TRUSTED_KEYS=public(key(tmp_path, "theirs")))
    assert "is no signature of it" in told
