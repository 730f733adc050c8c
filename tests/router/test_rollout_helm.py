"""What a rollout needs and does not find is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.rollout.cluster import Cluster
from router.rollout.errors import RolloutError
from router.rollout.helm import Helm


def test_without_helm_it_is_said_what_is_missing() -> None:
    with pytest.raises(RolloutError, match="there is no program 'no-helm'; install Helm, or name it with --helm"):
        Helm("dokuei", "dokuei", "charts/dokuei", "no-helm").values()


def test_without_a_kubeconfig_there_is_no_way_to_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(RolloutError, match="there is no way to a cluster"):
        Cluster("dokuei", "dokuei")
