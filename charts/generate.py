"""Write what is made from other files of the repository: parts of the chart, its reference, and the plain manifests.

python charts/generate.py           # or: make chart

charts/dokuei/files/cards/          the cards of model-store/, which a chart cannot read from outside its folder
charts/dokuei/values.schema.json    from values.schema.yaml
docs/values.md                      from values.schema.yaml and values.yaml
manifests/                          from the rendered chart, for those who do not use Helm
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/dokuei"
HELM = ROOT / ".cache/bin/helm"
OVERLAYS = {"cpu": "minimal", "gpu": "gpu", "knative": "knative"}
"""Overlays of manifests/ by the scenario of the chart's ci/ that they are rendered from."""
NAMESPACE = "dokuei"
KUBERNETES = "1.34.0"
"""What Helm takes the cluster for; a Helm built from its module knows of no newer one than 1.20."""

Object = dict[str, Any]


def render(*options: str) -> list[Object]:
    """The objects that `helm template` gives, without those of `helm test`."""
    command = [str(HELM), "template", "dokuei", str(CHART), "--namespace", NAMESPACE, "--no-hooks", *options]
    command += ["--kube-version", KUBERNETES]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [found for found in yaml.load_all(rendered, yaml.CSafeLoader) if found]


def cards() -> Iterator[tuple[str, str]]:
    """The cards of the model store, by the name of the file in the chart."""
    for file in sorted((ROOT / "model-store").glob("*/card.yaml")):
        yield f"charts/dokuei/files/cards/{file.parent.name}.yaml", file.read_text(encoding="utf-8")


def schema() -> Object:
    """The schema of the values."""
    found: Object = yaml.safe_load((CHART / "values.schema.yaml").read_text(encoding="utf-8"))
    return found


def reference() -> str:
    """The values as a table, by section."""
    described = schema()
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Values of the chart", "",
        "Made by `make chart` from `charts/dokuei/values.schema.yaml`; what is not here is refused. `<name>` stands",
        "for a key of your own. Scenarios to start from are in `charts/dokuei/ci/`.",
    ]  # fmt: skip
    for name, part in described["properties"].items():
        part = _resolved(part, described)
        lines += ["", f"## {name}", ""]
        if "properties" not in part and "additionalProperties" not in part:
            lines += [*_table([(name, part, defaults.get(name))])]
            continue
        lines += [part.get("description", ""), ""]
        lines += _table(_rows(name, part, defaults.get(name), described))
    return "\n".join(lines) + "\n"


def _rows(path: str, part: Object, default: Any, described: Object) -> Iterator[tuple[str, Object, Any]]:
    """Each value below `part`: its path, schema and default."""
    children = [(f"{path}.{name}", child, _below(default, name)) for name, child in part.get("properties", {}).items()]
    if "propertyNames" in part:
        children.append((f"{path}.<name>", part["additionalProperties"], None))
    for name, child, value in children:
        child = _resolved(child, described)
        if child.get("description") or "properties" not in child:
            yield name, child, value
        yield from _rows(name, child, value, described)
        if _resolved(child.get("items", {}), described).get("properties"):
            yield from _rows(f"{name}[]", _resolved(child["items"], described), None, described)


def _below(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _resolved(part: Object, described: Object) -> Object:
    """The schema with what it refers to; its own words go first."""
    if "$ref" not in part:
        return part
    return described["$defs"][part["$ref"].removeprefix("#/$defs/")] | {k: v for k, v in part.items() if k != "$ref"}


def _table(rows: Any) -> list[str]:
    lines = ["| Value | Default | Meaning |", "| --- | --- | --- |"]
    for path, part, default in rows:
        shown = "" if default is None or (isinstance(default, dict) and default) else f"`{json.dumps(default)}`"
        meaning = part.get("description", "")
        if "enum" in part:
            meaning += f" One of {', '.join(f'`{value}`' for value in part['enum'])}."
        lines.append(f"| `{path}` | {shown} | {meaning.replace('|', chr(92) + '|').strip()} |")
    return lines


def manifests() -> Iterator[tuple[str, str]]:
    """A kustomize base of what all overlays have in common, and overlays of the rest."""
    rendered = {name: render("--values", str(CHART / f"ci/{values}-values.yaml")) for name, values in OVERLAYS.items()}
    first, *others = rendered.values()
    common = [found for found in first if all(found in objects for objects in others)]
    yield from _kustomization("manifests/base", common, [])
    for name, objects in rendered.items():
        rest = [found for found in objects if found not in common]
        yield from _kustomization(f"manifests/overlays/{name}", rest, ["../../base"])


def _kustomization(folder: str, objects: list[Object], bases: list[str]) -> Iterator[tuple[str, str]]:
    head = "# Made from the chart by `make chart`; edit the chart instead.\n"
    listed = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": NAMESPACE}
    resources = {"resources": [*bases, "dokuei.yaml"]}
    yield f"{folder}/kustomization.yaml", head + yaml.safe_dump(listed | resources, sort_keys=False)
    yield f"{folder}/dokuei.yaml", head + yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, width=120)


def generated() -> dict[str, str]:
    """Every generated file, by its path in the repository. The cards and the schema have to be in place to render."""
    return {
        **dict(cards()),
        "charts/dokuei/values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        "docs/values.md": reference(),
    }


def write(files: dict[str, str]) -> None:
    """Write files of the repository."""
    for path, content in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content, encoding="utf-8")
        print(path)


def main() -> None:
    """Write everything that is generated."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    shutil.rmtree(CHART / "files/cards", ignore_errors=True)
    write(generated())
    for folder in ("base", "overlays"):
        shutil.rmtree(ROOT / "manifests" / folder, ignore_errors=True)
    write(dict(manifests()))


if __name__ == "__main__":
    main()
