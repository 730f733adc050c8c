"""Make the base image of the others with debootstrap, where no registry can be asked for one.

    python -m images.base --help

Needs root, debootstrap, and a machine of Debian 12: the mirrors are those of the machine's own apt, with those of
security updates.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from handlers.contract.errors import DokueiError

from .build import BUILDERS, LOCAL_BASE, NICE, BuildError, build_command, choose_builder

CODENAME = "bookworm"
"""Debian 12, for its Python 3.11."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = ("--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
LEFT_OUT = ("usr/share/doc/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*")
KEPT = ("usr/share/doc/*/copyright", "usr/share/man/man1")
"""Licences, and a folder that the installation of Java links into."""


def sources(targets: str) -> dict[str, str]:
    """Debian's mirrors by release, from the answer of `apt-get indextargets`.

    Raises:
        BuildError: there is none for Debian 12.
    """
    lines = [line.split() for line in targets.splitlines()]
    found = {
        line[2]: line[1]
        for line in lines
        if len(line) == 4 and line[0] == "Debian" and line[3] == "main" and line[2].startswith(CODENAME)
    }
    if CODENAME not in found:
        raise BuildError(f"apt knows no mirror of Debian {CODENAME} here; name a base image instead (BASE=…)")
    return found


def make_root(mirrors: dict[str, str], root: Path) -> None:
    """Fill the folder `root` with a small Debian, up to date, without documentation."""
    bootstrap = ("debootstrap", "--variant=minbase", "--include=ca-certificates", CODENAME, str(root))
    subprocess.run([*NICE, *bootstrap, mirrors[CODENAME]], check=True, stdout=subprocess.DEVNULL)
    listed = "".join(f"deb [signed-by={KEYRING}] {uri} {release} main\n" for release, uri in mirrors.items())
    (root / "etc/apt/sources.list").write_text(listed)
    rules = [f"path-exclude=/{path}" for path in LEFT_OUT] + [f"path-include=/{path}" for path in KEPT]
    (root / "etc/dpkg/dpkg.cfg.d/smaller").write_text("\n".join(rules) + "\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    for step in (["update"], ["--yes", "upgrade"], ["clean"]):
        subprocess.run(
            [*NICE, "chroot", str(root), "apt-get", "-qq", *step], check=True, env=environment, stdout=sys.stderr
        )
    kept = {path for pattern in KEPT for path in root.glob(pattern)}
    for pattern in LEFT_OUT:
        for path in root.glob(pattern):
            _remove(path, kept)
    for folder in ("var/lib/apt/lists", "var/log", "var/cache/debconf"):
        for path in (root / folder).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove(path: Path, kept: set[Path]) -> None:
    if path in kept:
        return
    if path.is_dir() and not path.is_symlink() and any(path in each.parents for each in kept):
        for inside in path.iterdir():
            _remove(inside, kept)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def main() -> int:
    """Make the base image; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m images.base", description=f"Make {LOCAL_BASE} with debootstrap.")
    parser.add_argument("--builder", choices=BUILDERS, help="default: the first of them that is installed")
    builder = choose_builder(parser.parse_args().builder)
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise BuildError("making a base image needs root and debootstrap; or name a base image (BASE=…)")
    asked = subprocess.run(["apt-get", "indextargets", *SOURCES], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory(prefix="dokuei-") as temporary:
        root, context = Path(temporary) / "root", Path(temporary) / "context"
        context.mkdir()
        make_root(sources(asked.stdout), root)
        subprocess.run(
            ["tar", "--directory", str(root), "--create", "--file", str(context / "root.tar"), "."], check=True
        )
        file = Path(__file__).with_name("base.Dockerfile")
        subprocess.run([*NICE, *build_command(builder, file, context, LOCAL_BASE)], check=True, stdout=sys.stderr)
    print(f"made {LOCAL_BASE}; `make images` builds on it")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (DokueiError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
