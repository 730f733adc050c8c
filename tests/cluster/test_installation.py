"""What `helm install` with default values makes of an empty namespace, under Pod Security `restricted`."""

from __future__ import annotations

import pytest
from release import MODELS, Refused, Release, helm, is_ready, kubectl, objects

CHECKED = """\
http://dokuei-router is ready
chest-xray.dcm: chest-xray
chest-xray-opacity.dcm: chest-xray
brain-mri.zip: brain-mri
not-medical.png: other
"""


def test_every_pod_and_every_inference_service_is_ready(dokuei: Release) -> None:
    pods = [pod for model in (None, *MODELS) for pod in dokuei.pods(model)]
    assert len(pods) == len(MODELS) + 1
    assert all(is_ready(pod) for pod in pods)
    services = {service["metadata"]["name"]: service for service in objects("inferenceservices", dokuei.namespace)}
    assert services.keys() == set(MODELS)
    assert all(is_ready(service) for service in services.values())


def test_helm_test_sends_the_samples_through_the_whole_system(dokuei: Release) -> None:
    said = helm("test", "dokuei", "--namespace", dokuei.namespace)
    assert CHECKED in said
    assert "Succeeded" in said


def test_pod_security_refuses_what_is_not_restricted(dokuei: Release) -> None:
    with pytest.raises(Refused, match='violates PodSecurity "restricted'):
        kubectl("--namespace", dokuei.namespace, "run", "intruder", "--image=dokuei/router:0.1.0", "--dry-run=server")


def test_only_the_router_has_a_token(dokuei: Release) -> None:
    for pod in objects("pods", dokuei.namespace):
        mounted = [
            mount["mountPath"] for container in pod["spec"]["containers"] for mount in container.get("volumeMounts", [])
        ]
        is_router = pod["metadata"]["labels"].get("app.kubernetes.io/component") == "router"
        assert ("/var/run/secrets/kubernetes.io/serviceaccount" in mounted) == is_router, pod["metadata"]["name"]
