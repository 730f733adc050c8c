"""The schemas that a cluster holds objects against: Kubernetes' own, and those of the operators' CRDs.

The CRDs lie in the operators' Go modules, which are fetched once into Go's module cache.
"""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

Object = dict[str, Any]

KUBERNETES = "1.34"
CRDS = {
    "serving.kserve.io": ("github.com/kserve/kserve@v0.20.0", "config/crd/full/**/*.yaml"),
    "gateway.networking.k8s.io": ("sigs.k8s.io/gateway-api@v1.4.1", "config/crd/standard/*.yaml"),
    "monitoring.coreos.com": (
        "github.com/prometheus-operator/prometheus-operator@v0.88.0", "example/prometheus-operator-crd/*.yaml",
    ),
    "keda.sh": ("github.com/kedacore/keda/v2@v2.18.3", "config/crd/bases/*.yaml"),
}  # fmt: skip
"""By API group: the Go module that has its CRDs, and where in it."""


def fault(found: Object) -> str | None:
    """What a cluster would refuse in an object; None where it takes it. Unknown members are refused too."""
    group = found["apiVersion"].partition("/")[0]
    try:
        if group in CRDS:
            _validator(group, found["apiVersion"].partition("/")[2], found["kind"]).validate(found)
        else:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{found['kind']} {found['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"
    return None


@functools.cache
def module(address: str) -> Path:
    """The folder of a Go module, fetched where it is not there yet."""
    done = subprocess.run(["go", "mod", "download", "-json", address], capture_output=True, text=True, check=False)
    described = json.loads(done.stdout)
    assert "Dir" in described, described
    return Path(described["Dir"])


@functools.cache
def _validator(group: str, version: str, kind: str) -> jsonschema.Draft202012Validator:
    address, pattern = CRDS[group]
    for file in sorted(module(address).glob(pattern)):
        text = file.read_text(encoding="utf-8")
        if f"    kind: {kind}\n" not in text:  # Some are megabytes long.
            continue
        for definition in yaml.load_all(text, yaml.CSafeLoader):
            spec = (definition or {}).get("spec", {})
            if spec.get("group") == group and spec["names"]["kind"] == kind:
                (served,) = [each for each in spec["versions"] if each["name"] == version]
                return jsonschema.Draft202012Validator(_strict(served["schema"]["openAPIV3Schema"]))
    raise AssertionError(f"no CRD of {kind} in {address}")


def _strict(schema: Any) -> Any:
    """A CRD's schema as JSON Schema: unknown members refused where a cluster would drop them."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items() if key != "properties"}
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "string"]
    if schema.get("nullable"):
        strict["type"] = [schema["type"], "null"]
    if isinstance(schema.get("properties"), dict):
        strict["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        # The root takes apiVersion, kind and metadata, whose own members the cluster knows.
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    return strict
