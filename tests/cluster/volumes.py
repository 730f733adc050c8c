"""A volume so small that it fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from localcluster.addons import add_volume
from localcluster.layout import VOLUMES
from localcluster.machine import run_inside


@contextmanager
def small_volume(name: str, *, megabytes: int) -> Iterator[str]:
    """A volume that holds `megabytes` while it is entered; gives the storage class that only it has."""
    folder = VOLUMES / name
    add_volume(name, folder, storage_class=name)
    run_inside("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)
    try:
        yield name
    finally:
        run_inside("umount", "--lazy", folder)


def enlarge(name: str, *, megabytes: int) -> None:
    """Make room in the volume, as an administrator would."""
    run_inside("mount", "-o", f"remount,size={megabytes}m", VOLUMES / name)
