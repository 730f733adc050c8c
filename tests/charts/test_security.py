"""Each security property holds for every pod of every scenario, and a chart without it would fail these tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rendering import CHART, Object, of_kind, pod_specs, template, values_of

Violations = Callable[[list[Object]], Iterator[str]]

ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
"""Pod Security Standards, "restricted": volume types."""
TRAFFIC = "dokuei-traffic"


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def restricted(objects: list[Object]) -> Iterator[str]:
    """What the Pod Security Standard "restricted" of Kubernetes forbids."""
    for name, _, pod in pod_specs(objects):
        security = pod.get("securityContext", {})
        if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
            yield f"{name} may run as root"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"
        if any(pod.get(member) for member in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name} is in a namespace of its node"
        for volume in pod.get("volumes", []):
            if not set(volume) - {"name"} <= ALLOWED_VOLUMES:
                yield f"{name} mounts {volume}"
        for container in containers(pod):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False:
                yield f"{name}, {container['name']} may gain privileges"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
                yield f"{name}, {container['name']} keeps capabilities"
            if own.get("runAsUser") == 0 or own.get("privileged"):
                yield f"{name}, {container['name']} is privileged"


def read_only(objects: list[Object]) -> Iterator[str]:
    """Root file systems that can be written."""
    for name, _, pod in pod_specs(objects):
        for container in containers(pod):
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield f"{name}, {container['name']}"


def tokens(objects: list[Object]) -> Iterator[str]:
    """Pods with a token of the Kubernetes API, but for the router, and accounts that hand one out."""
    for name, labels, pod in pod_specs(objects):
        router = labels["app.kubernetes.io/component"] == "router"
        if pod.get("automountServiceAccountToken") is not router:
            yield name
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {account['metadata']['name']}"


def rights(objects: list[Object]) -> Iterator[str]:
    """Rights beyond reading the InferenceServices of the namespace, and the ConfigMap that splits their traffic."""
    yield from (
        found["metadata"]["name"] for kind in ("ClusterRole", "ClusterRoleBinding") for found in of_kind(objects, kind)
    )
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            services = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"]}
            traffic = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [TRAFFIC]}
            if rule not in ({**read, "verbs": ["get", "list", "watch"]} for read in (services, traffic)):
                yield str(rule)


def bounds(objects: list[Object]) -> Iterator[str]:
    """Containers without a request, or without a limit of memory."""
    for name, _, pod in pod_specs(objects):
        for container in containers(pod):
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get(
                "limits", {}
            ):
                yield f"{name}, {container['name']}"
        for volume in pod.get("volumes", []):
            if volume["name"] == "tmp" and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name}, volume {volume['name']}"


def doors(objects: list[Object]) -> Iterator[str]:
    """Ways in from outside the cluster, but for the router's."""
    for service in of_kind(objects, "InferenceService"):
        labels = service["metadata"]["labels"]
        if "cluster-local" not in (
            labels.get("networking.kserve.io/visibility"), labels.get("networking.knative.dev/visibility"),
        ):  # fmt: skip
            yield f"InferenceService {service['metadata']['name']}"
    for service in of_kind(objects, "Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"Service {service['metadata']['name']}"


def policies(objects: list[Object]) -> Iterator[str]:
    """Pods that no policy denies everything else to, and ways between pods that are not meant."""
    found = {
        policy["metadata"]["name"].removeprefix("dokuei-"): policy["spec"]
        for policy in of_kind(objects, "NetworkPolicy")
    }
    deny = found.get("default-deny", {})
    if deny.get("policyTypes") != ["Ingress", "Egress"] or deny.get("ingress") or deny.get("egress"):
        yield "there is no default-deny"
        return
    for name, labels, _ in pod_specs(objects):
        if not deny["podSelector"]["matchLabels"].items() <= labels.items():
            yield f"{name} is not denied anything"
    for peer in (peer for rule in found["models"]["ingress"] for peer in rule.get("from", [{}])):
        component = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
        namespace = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
        if component != "router" and namespace not in ("monitoring", "knative-serving"):
            yield f"a model takes requests of {peer}"
    for rule in found["models"].get("egress", []):
        if not rule.get("to"):
            yield f"a model reaches anything on {rule['ports']}"


def secrets(objects: list[Object]) -> Iterator[str]:
    """Secrets that the chart would hold itself."""
    yield from (found["metadata"]["name"] for found in of_kind(objects, "Secret"))
    for name, _, pod in pod_specs(objects):
        for container in containers(pod):
            for entry in container.get("env", []):
                public = str(entry.get("value", "")).startswith("-----BEGIN PUBLIC KEY-----")
                if re.search("SECRET|PASSWORD|KEY", entry["name"]) and "valueFrom" not in entry and not public:
                    yield f"{name}: {entry['name']}"


PROPERTIES = [restricted, read_only, tokens, rights, bounds, doors, policies, secrets]


@pytest.mark.parametrize("violations", PROPERTIES, ids=lambda each: each.__name__)
def test_no_pod_violates(violations: Violations, rendered: list[Object]) -> None:
    assert list(violations(rendered)) == []


BROKEN = [
    (restricted, "_pods.tpl", "runAsNonRoot: true\nrunAsUser: 65532", "runAsUser: 65532"),
    (restricted, "_pods.tpl", "runAsUser: 65532", "runAsUser: 0"),
    (restricted, "_pods.tpl", "fsGroupChangePolicy: OnRootMismatch\nseccompProfile:\n  type: RuntimeDefault", ""),
    (restricted, "_pods.tpl", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    (restricted, "_pods.tpl", "drop: [ALL]", "drop: [NET_RAW]"),
    (restricted, "_modelcar.tpl", '{{- include "dokuei.containerSecurity" . | nindent 6 }}', ""),
    (restricted, "servingruntimes.yaml", "emptyDir: {sizeLimit: 4Gi}", "hostPath: {path: /tmp}"),
    (read_only, "_pods.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    (tokens, "inferenceservices.yaml", "    automountServiceAccountToken: false\n", ""),
    (tokens, "tests/analysis.yaml", "  automountServiceAccountToken: false\n", ""),
    (tokens, "router-rbac.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    (rights, "router-rbac.yaml", "verbs: [get, list, watch]", "verbs: [get, list, watch, patch]"),
    (rights, "router-rbac.yaml", "    resourceNames:", "    # resourceNames:"),
    (rights, "router-rbac.yaml", "kind: Role\nmetadata", "kind: ClusterRole\nmetadata"),
    (bounds, "router-deployment.yaml", "emptyDir: {sizeLimit: 8Gi}", "emptyDir: {}"),
    (bounds, "gpu-pools.yaml", "limits: {memory: 64Mi}\n{{- end }}", "limits: {cpu: 1}\n{{- end }}"),
    (doors, "inferenceservices.yaml", "networking.kserve.io/visibility", "networking.example/visibility"),
    (doors, "router-service.yaml", "spec:\n  selector", "spec:\n  type: LoadBalancer\n  selector"),
    (policies, "networkpolicies.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---"),
    (policies, "networkpolicies.yaml", "toYaml $part | nindent 6", "toYaml $router | nindent 6"),
    (policies, "networkpolicies.yaml", "  egress: []\n", "  egress:\n    - ports: [{port: 443}]\n"),
    (
        policies, "networkpolicies.yaml",
        "    - from:\n        - podSelector:\n            matchLabels: {{- toYaml $router",
        "    - from:\n        - podSelector: {}\n        - podSelector:\n            matchLabels: {{- toYaml $router",
    ),
    (secrets, "router-deployment.yaml", "valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key", "value: {a: {b"),
]  # fmt: skip
"""What each property must find: a file of the chart, a text in it, and what is put in its place."""


@pytest.mark.parametrize(("violations", "file", "old", "new"), BROKEN)
def test_a_chart_without_it_is_found_out(
    violations: Violations, file: str, old: str, new: str, copied_chart: Path
) -> None:
    target = copied_chart / "templates" / file
    text = target.read_text()
    assert old in text, f"{file} no longer has {old!r}"
    target.write_text(text.replace(old, new, 1))
    broken = [template(copied_chart, *values_of(scenario)) for scenario in ("minimal", "everything")]
    assert [told for objects in broken for told in violations(objects)] != []


def test_the_scenarios_have_every_template() -> None:
    """So that what is asserted of the scenarios is asserted of the whole chart."""
    from rendering import SCENARIOS, helm

    shown = "".join(helm("template", "dokuei", CHART, *values_of(each)).stdout for each in SCENARIOS)
    for file in (CHART / "templates").rglob("*.yaml"):
        if file.name != "checks.yaml":
            assert f"# Source: dokuei/{file.relative_to(CHART).as_posix()}" in shown, file.name
