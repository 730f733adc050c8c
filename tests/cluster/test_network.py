"""Who reaches whom: each edge that the NetworkPolicies allow, and those that they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import yaml
from outside import ADDRESS, PORT, outside_server
from release import Release, eventually, is_ready, kubectl, objects

PROBE = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("reached")
"""
BLOCKED = {"TimeoutError", "ConnectionRefusedError"}
"""Some plugins drop what no policy allows, others answer that nobody listens."""
Reach = Callable[[str, int], str]

pytestmark = pytest.mark.usefixtures("node")


def reaching(namespace: str, pod: str, container: str) -> Reach:
    """Tells from inside a pod whether an address is `reached`, or the error."""

    def reach(address: str, port: int) -> str:
        command = ("exec", pod, "--container", container, "--", "python", "-c", PROBE, address, str(port))
        return kubectl("--namespace", namespace, *command).strip()

    return reach


@pytest.fixture(scope="module", autouse=True)
def _outside() -> Iterator[None]:
    with outside_server():
        yield


@pytest.fixture(scope="module")
def stranger() -> Iterator[Reach]:
    """A pod of another namespace."""
    namespace = "strangers"
    kubectl("create", "namespace", namespace)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "python",
                    "image": "docker.io/dokuei/router:0.1.0",
                    "command": ["python", "-c", "import signal; signal.pause()"],
                }
            ],
        },
    }
    kubectl("apply", "--filename=-", text=yaml.safe_dump(pod))
    eventually(lambda: all(map(is_ready, objects("pods", namespace))) and objects("pods", namespace), "the stranger")
    yield reaching(namespace, "stranger", "python")
    kubectl("delete", "namespace", namespace)


def pod_of(release: Release, component: str) -> tuple[str, str]:
    """Name and address of a pod that is not going."""
    pod = release.pods(None if component == "router" else component)[0]
    return pod["metadata"]["name"], pod["status"]["podIP"]


def test_a_stranger_reaches_the_router_and_no_model(dokuei: Release, stranger: Reach) -> None:
    assert stranger(pod_of(dokuei, "router")[1], 8000) == "reached"
    assert stranger(pod_of(dokuei, "modality")[1], 8080) in BLOCKED
    assert stranger(ADDRESS, PORT) == "reached", "no policy holds a stranger back, so the address is there"


def test_the_router_reaches_models_and_the_api_and_nothing_outside(dokuei: Release) -> None:
    router = reaching(dokuei.namespace, pod_of(dokuei, "router")[0], "router")
    assert router(pod_of(dokuei, "modality")[1], 8080) == "reached"
    assert router("kubernetes.default.svc", 443) == "reached"
    assert router(ADDRESS, PORT) in BLOCKED


def test_a_model_reaches_nothing(dokuei: Release) -> None:
    model = reaching(dokuei.namespace, pod_of(dokuei, "modality")[0], "kserve-container")
    assert model(ADDRESS, PORT) in BLOCKED
    assert model(pod_of(dokuei, "router")[1], 8000) in BLOCKED
    assert model("10.96.0.1", 443) in BLOCKED


def test_only_a_router_with_an_llm_reaches_it(dokuei: Release) -> None:
    before = dokuei.settings
    address = (f"--set=llm.to[0].ipBlock.cidr={ADDRESS}/32", f"--set=llm.port={PORT}")
    told = ("--set=llm.enabled=true", f"--set=llm.baseUrl=http://{ADDRESS}:{PORT}/v1", "--set=llm.model=fake")
    dokuei.upgrade(*before, *told, *address, "--set=llm.sendImages=false")
    try:
        router = reaching(dokuei.namespace, pod_of(dokuei, "router")[0], "router")
        assert eventually(lambda: router(ADDRESS, PORT) == "reached", "the policy for the LLM", 20)
        model = reaching(dokuei.namespace, pod_of(dokuei, "modality")[0], "kserve-container")
        assert model(ADDRESS, PORT) in BLOCKED
    finally:
        dokuei.upgrade(*before)
