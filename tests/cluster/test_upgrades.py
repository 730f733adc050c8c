"""`helm upgrade`, `rollback` and `uninstall` while images come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Install
from database import SETTINGS, Database
from load import Load
from release import Release, eventually, helm, kubectl, objects

NAMESPACE = "upgrades"
LIGHT = "--set=modelDefaults.runtime=onnx"
TWO_ROUTERS = "--set=router.replicas=2"
KEPT = {"persistentvolumeclaim/dokuei-router"}
"""What docs/deploy.md says is left of a release after `helm uninstall`."""


@pytest.fixture
def release(install: Install, postgresql: Database) -> Release:
    return install(NAMESPACE, *SETTINGS, TWO_ROUTERS, LIGHT, prepare=postgresql.secret)


def test_an_upgrade_and_its_rollback_drop_nothing(
    release: Release, samples: Path, record_property: Callable[[str, object], None]
) -> None:
    xray = (samples / "chest-xray.dcm").read_bytes()
    before = release.pods(), release.pods("chest-xray-pneumonia")
    with Load(release.address("dokuei-router"), xray) as load:
        eventually(lambda: len(load.accepted) >= 10, "the first answers")
        # Every pod is replaced: routers by their setting, models by theirs.
        release.upgrade(
            *SETTINGS, TWO_ROUTERS, LIGHT, "--set=router.modelTimeoutSeconds=59", "--set=modelDefaults.maxRequestMb=511"
        )
        upgraded = release.pods(), release.pods("chest-xray-pneumonia")
        helm("rollback", "dokuei", "--namespace", NAMESPACE)
        release.wait()
    for old, new in zip(before, upgraded, strict=True):
        assert {pod["metadata"]["uid"] for pod in old}.isdisjoint(pod["metadata"]["uid"] for pod in new)
    (deployment,) = objects("deployments", NAMESPACE, "app.kubernetes.io/component=router")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DOKUEI_MODEL_TIMEOUT_SECONDS", "value": "60"} in environment, "as before the upgrade"
    assert len(load.accepted) == len(load.uploads)
    refused = [said for tries in load.tried_again for said in tries if said != "201"]
    assert [said for said in refused if "problems/overloaded" not in said] == [], (
        "no other answer, and no lost connection"
    )
    assert load.lost(release.router) == []
    record_property(
        "measured",
        f"{len(load.uploads)} uploads at 5 a second during upgrade and rollback, none dropped; "
        f"{len(load.tried_again)} of them were told to come again (503 with Retry-After), and came",
    )


def test_uninstalling_leaves_what_the_documentation_says(install: Install) -> None:
    install("leaving", LIGHT)
    assert any("leaving-dokuei" in name for name in cluster_wide())
    helm("uninstall", "dokuei", "--namespace", "leaving", "--wait")
    left = eventually(lambda: (now := namespaced("leaving")) <= KEPT and now, "the rest to be gone")
    assert left == KEPT
    assert not any("leaving-dokuei" in name for name in cluster_wide())


def namespaced(namespace: str) -> set[str]:
    """Everything in a namespace that Kubernetes did not put there by itself."""
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    kinds = [kind for kind in kinds if not kind.startswith(("events", "pods.metrics"))]
    listed = json.loads(kubectl("--namespace", namespace, "get", ",".join(kinds), "--output=json"))
    names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in listed["items"]}
    return names - {"serviceaccount/default", "configmap/kube-root-ca.crt"}


def cluster_wide() -> set[str]:
    """What belongs to the cluster and could be of a release."""
    kinds = "priorityclasses,clusterroles,clusterrolebindings,clusterservingruntimes.serving.kserve.io"
    return set(kubectl("get", kinds, "--output=name").split())
