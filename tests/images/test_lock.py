"""What is installed is what was tested: each version is locked with the digests of its files."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from paths import ROOT

LOCKED = re.compile(r"^([a-z0-9-]+)==([^ ]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def wheel(folder: Path) -> Path:
    """A package of one line."""
    members = {
        "told.py": "SAID = 1\n",
        "told-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: told\nVersion: 1.0\n",
        "told-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in members.items()
    }
    record = "".join(f"{name},sha256={digests[name]},{len(text)}\n" for name, text in members.items())
    members["told-1.0.dist-info/RECORD"] = f"{record}told-1.0.dist-info/RECORD,,\n"
    file = folder / "told-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file


def install(folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    constraints = folder / "constraints.txt"
    constraints.write_text(f"told==1.0 \\\n    --hash=sha256:{digest}\n")
    options = (f"--target={folder / 'there'}", "--no-index", f"--find-links={folder}", f"--constraint={constraints}")
    command = [sys.executable, "images/install.py", *options, "told"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_each_version_is_locked_with_digests_and_no_line_says_more() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert len(LOCKED.findall(text)) > 200
    assert LOCKED.sub("", text).strip() == ""


def test_a_file_that_was_exchanged_is_not_installed(tmp_path: Path) -> None:
    digest = hashlib.sha256(wheel(tmp_path).read_bytes()).hexdigest()
    other = install(tmp_path, hashlib.sha256(b"what was tested").hexdigest())
    assert other.returncode != 0
    assert "Hash mismatch for" in other.stderr
    assert not (tmp_path / "there/told.py").exists()
    assert install(tmp_path, digest).returncode == 0
    assert (tmp_path / "there/told.py").exists()
