"""Model archives on a volume of the node, and models made from others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml
from localcluster.addons import add_volume
from localcluster.layout import VOLUMES
from release import kubectl

from training.archive import members, write_archive

ARCHIVES_CLAIM = "archives"


def archives_claim(namespace: str, folders: Mapping[str, Path]) -> None:
    """A claim of `namespace` whose volume holds the archive of each folder of models, in a folder of the given name."""
    volume = VOLUMES / f"{namespace}-{ARCHIVES_CLAIM}"
    add_volume(volume.name, volume, storage_class="")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": ARCHIVES_CLAIM, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": volume.name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump(claim))
    for name, folder in folders.items():
        (volume / name).mkdir(exist_ok=True)
        for archive in folder.glob("*.mar"):
            shutil.copy(archive, volume / name)


def variant_of(source: Path, parent: Path, **changes: object) -> Path:
    """Another model with the graph of the one in `source`, and a card with these changes; gives its folder."""
    card = yaml.safe_load((source / "card.yaml").read_text()) | changes
    folder = parent / card["name"]
    folder.mkdir()
    (folder / "card.yaml").write_text(yaml.safe_dump(card, allow_unicode=True, sort_keys=False))
    with members(source) as (graph, golden):
        write_archive(folder, graph, golden)
    return folder
