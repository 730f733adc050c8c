"""The account of a run: what was shown on which versions, how long it took, and what was measured."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from release import HELM, kubectl

HEAD = """\
# Shown on a real cluster

Written by `make test-cluster PROOF=docs/cluster-proof.md`, on {day}. {sentence}

| | |
|---|---|
{versions}
"""


@dataclass(frozen=True)
class Shown:
    """One test: its module's docstring, its name and outcome, the seconds of its parts, and what it measured."""

    subject: str
    name: str
    outcome: str
    seconds: float
    measured: Sequence[str]

    @property
    def sentence(self) -> str:
        """The test's name as words."""
        name, _, parameters = self.name.partition("[")
        words = name.removeprefix("test_").replace("_", " ")
        return f"{words}: {parameters.removesuffix(']')}" if parameters else words


def versions() -> Mapping[str, str]:
    """What the cluster is made of."""
    told = json.loads(kubectl("version", "--output=json"))
    (node, *_) = json.loads(kubectl("get", "nodes", "--selector=!type", "--output=json"))["items"]
    info = node["status"]["nodeInfo"]
    controllers = "jsonpath={.items[*].spec.template.spec.containers[*].image}"
    images = kubectl("get", "deployments", "--all-namespaces", f"--output={controllers}").split()
    kserve = next(image for image in images if "kserve-controller" in image)
    helm = subprocess.run([HELM, "version", "--short"], check=True, capture_output=True, text=True).stdout
    return {
        "Kubernetes": told["serverVersion"]["gitVersion"],
        "KServe": kserve.rpartition(":")[2],
        "Helm": re.sub(r"\+.*", "", helm.strip()),
        "Container runtime": info["containerRuntimeVersion"],
        "Node": f"{info['operatingSystem']} {platform.release().partition('-')[0]}, "
        f"{node['status']['capacity']['cpu']} processors, {info['osImage']}",
    }


def write(tests: Sequence[Shown], about: Mapping[str, str]) -> str:
    """The account as Markdown."""
    failed = sum(test.outcome != "passed" for test in tests)
    seconds = sum(test.seconds for test in tests)
    sentence = f"{len(tests) - failed} passed and {failed} failed, in {seconds / 60:.1f} minutes."
    table = "\n".join(f"| {name} | {value} |" for name, value in about.items())
    text = HEAD.format(day=date.today().isoformat(), sentence=sentence, versions=table)
    for subject in dict.fromkeys(test.subject for test in tests):
        of_subject = [test for test in tests if test.subject == subject]
        text += f"\n## {subject}\n\n| shown | outcome | seconds |\n|---|---|---|\n"
        text += "".join(f"| {test.sentence} | {test.outcome} | {test.seconds:.0f} |\n" for test in of_subject)
        measured = [line for test in of_subject for line in test.measured]
        text += "".join(f"\n- {line}" if number else f"\nMeasured:\n\n- {line}" for number, line in enumerate(measured))
        text += "\n" if measured else ""
    return text
