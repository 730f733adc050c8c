"""Every scenario renders into objects that a cluster takes, and what is generated from the chart is up to date."""

from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path

import pytest
import yaml
from paths import ROOT, STORE
from rendering import CHART, Object, helm, named, of_kind, refusal, template, values_of
from schemas import fault

from handlers.contract.card import load_card, parse_card
from router.kubernetes import Split, splits
from router.room import PATIENCE_SECONDS


def test_every_object_fits_the_schemas_of_its_cluster(rendered: list[Object]) -> None:
    assert [told for found in rendered if (told := fault(found))] == []


@pytest.mark.parametrize(
    ("kind", "break_it"),
    [
        ("Deployment", lambda found: found["spec"]["template"]["spec"].update(securityContex={})),
        ("InferenceService", lambda found: found["spec"]["predictor"].update(minReplica=1)),
        ("InferenceService", lambda found: found["spec"]["predictor"].update(minReplicas="one")),
        ("ServingRuntime", lambda found: found["spec"].update(protocolVersion=["v2"])),
        ("HTTPRoute", lambda found: found["spec"].update(hostname="x")),
        ("ScaledObject", lambda found: found["spec"].update(triggers="cpu")),
        ("LocalModelCache", lambda found: found["spec"].pop("modelSize")),
        ("NetworkPolicy", lambda found: found["spec"].update(policyTypes="Ingress")),
    ],
)
def test_the_schemas_would_refuse_a_slip(everything: list[Object], kind: str, break_it) -> None:
    broken = copy.deepcopy(of_kind(everything, kind)[0])
    assert fault(broken) is None
    break_it(broken)
    assert fault(broken) is not None


def test_helm_lints_every_scenario(scenario: str) -> None:
    done = helm("lint", CHART, "--strict", *values_of(scenario))
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_objects_have_one_name(rendered: list[Object]) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in rendered]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_every_object_says_what_it_belongs_to(rendered: list[Object]) -> None:
    for found in rendered:
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "dokuei", found
        assert labels["app.kubernetes.io/instance"] == "dokuei"
        assert labels["app.kubernetes.io/component"]


def test_each_card_of_the_model_store_is_stamped_on_a_service_of_its_name(rendered: list[Object]) -> None:
    services = {found["metadata"]["name"]: found for found in of_kind(rendered, "InferenceService")}
    for file in STORE.glob("*/card.yaml"):
        annotations = services[file.parent.name]["metadata"]["annotations"]
        card = parse_card(annotations["dokuei.io/card"], "annotation")
        if annotations["dokuei.io/variant"] == "stable":
            assert card == load_card(file.parent)


def test_the_router_s_selector_finds_the_services(rendered: list[Object]) -> None:
    from router.kserve import CARD_ANNOTATION, SELECTOR, VARIANT_ANNOTATION

    key, _, value = SELECTOR.partition("=")
    for service in of_kind(rendered, "InferenceService"):
        assert service["metadata"]["labels"][key] == value
        assert {CARD_ANNOTATION, VARIANT_ANNOTATION} <= set(service["metadata"]["annotations"])


def test_a_model_of_one_s_own_needs_a_card_and_nothing_else(tmp_path: Path) -> None:
    card = (STORE / "chest-xray-pneumonia/card.yaml").read_text()
    (tmp_path / "card.yaml").write_text(card.replace("name: chest-xray-pneumonia", "name: adult-xray", 1))
    objects = template(CHART, "--set-file", f"models.adult-xray.card={tmp_path / 'card.yaml'}")
    service = named(objects, "InferenceService", "adult-xray")
    version = load_card(STORE / "chest-xray-pneumonia").version
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"oci://dokuei/model-adult-xray:{version}"


def test_a_model_that_is_disabled_is_not_served() -> None:
    objects = template(CHART, "--set", "models.brain-mri-tumour.enabled=false")
    names = {found["metadata"]["name"] for found in of_kind(objects, "InferenceService")}
    assert names == {"chest-xray-pneumonia", "modality"}


def test_a_canary_is_a_service_beside_the_stable_one(everything: list[Object]) -> None:
    stable = named(everything, "InferenceService", "chest-xray-pneumonia")
    canary = named(everything, "InferenceService", "chest-xray-pneumonia-canary")
    assert (stable["metadata"]["annotations"]["dokuei.io/variant"]) == "stable"
    assert canary["metadata"]["annotations"]["dokuei.io/variant"] == "canary"
    traffic = named(everything, "ConfigMap", "dokuei-traffic")
    assert splits(traffic) == {"chest-xray-pneumonia": Split(weight=10, shadow=50)}
    assert canary["spec"]["predictor"]["model"]["storageUri"].endswith(":9.9.9")
    assert not stable["spec"]["predictor"]["model"]["storageUri"].endswith(":9.9.9")


def another_version(folder: Path, **changes: str) -> Path:
    """A card of the chest model's next version, with a field changed."""
    card = yaml.safe_load((STORE / "chest-xray-pneumonia/card.yaml").read_text())
    file = folder / "next.yaml"
    file.write_text(yaml.safe_dump(card | {"version": "9.9.9"} | changes, allow_unicode=True))
    return file


CANARY = "models.chest-xray-pneumonia.canary"


def environment(container: Object) -> dict[str, str]:
    """Its variables; empty where the value is elsewhere, as of a secret."""
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_a_change_of_the_weight_changes_no_pod_and_no_model(tmp_path: Path) -> None:
    def rendered(weight: int) -> list[Object]:
        card = another_version(tmp_path)
        return template(CHART, "--set-file", f"{CANARY}.card={card}", "--set", f"{CANARY}.weight={weight}")

    few, many = rendered(5), rendered(50)
    assert [found["metadata"]["name"] for found in many if found not in few] == ["dokuei-traffic"]
    (router,) = of_kind(many, "Deployment")
    assert environment(router["spec"]["template"]["spec"]["containers"][0])["DOKUEI_TRAFFIC"] == "dokuei-traffic"
    rules = named(many, "Role", "dokuei-router")["rules"]
    assert [rule["resourceNames"] for rule in rules if rule["resources"] == ["configmaps"]] == [["dokuei-traffic"]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": load_card(STORE / "chest-xray-pneumonia").version}, "a candidate has a version of its own"),
        ({"labels": ["clear", "pneumonia"]}, "labels is not as in the stable model's"),
        ({"task": "segmentation"}, "task is not as in the stable model's"),
    ],
)
def test_a_candidate_that_cannot_stand_in_for_the_model_is_refused(
    tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    card = another_version(tmp_path, **changes)
    assert told in refusal("--set-file", f"{CANARY}.card={card}", "--set", f"{CANARY}.weight=5")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("deploymentMode=Knative",), "the router does not see the candidate"),
        ((), "only models that read images are compared"),
    ],
)
def test_a_shadow_that_nobody_could_compare_is_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    model = "chest-xray-pneumonia" if options else "modality"
    card = yaml.safe_load((STORE / model / "card.yaml").read_text()) | {"version": "9.9.9"}
    (tmp_path / "next.yaml").write_text(yaml.safe_dump(card, allow_unicode=True))
    canary = f"models.{model}.canary"
    settings = (*options, f"{canary}.shadow=50")
    words = (word for setting in settings for word in ("--set", setting))
    assert told in refusal(*words, "--set-file", f"{canary}.card={tmp_path / 'next.yaml'}")


def test_with_knative_the_canary_is_a_share_of_the_one_service(tmp_path: Path) -> None:
    card = another_version(tmp_path)
    objects = template(
        CHART, *values_of("knative"), "--set", f"{CANARY}.weight=10", "--set-file", f"{CANARY}.card={card}"
    )
    assert splits(named(objects, "ConfigMap", "dokuei-traffic")) == {}, "Knative moves the traffic itself"
    service = named(objects, "InferenceService", "chest-xray-pneumonia")
    assert service["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert len(of_kind(objects, "InferenceService")) == len(list(STORE.glob("*/card.yaml")))


def test_gpu_models_are_placed_on_their_pool_and_give_their_gpu_up_before_a_new_pod_starts() -> None:
    for service in of_kind(template(CHART, *values_of("gpu")), "InferenceService"):
        predictor = service["spec"]["predictor"]
        assert predictor["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
        assert predictor["tolerations"][0]["key"] == "nvidia.com/gpu"
        assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert predictor["model"]["runtime"] == "dokuei-torchserve-gpu"
        assert predictor["model"]["env"] == [{"name": "DOKUEI_EXECUTION_PROVIDER", "value": "cuda"}]
        assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_a_placeholder_holds_a_gpu_and_gives_way(everything: list[Object]) -> None:
    placeholder = named(everything, "Deployment", "dokuei-warm-a100")["spec"]["template"]["spec"]
    priorities = {found["metadata"]["name"]: found for found in of_kind(everything, "PriorityClass")}
    model = named(everything, "InferenceService", "brain-mri-tumour")["spec"]["predictor"]
    low, high = priorities[placeholder["priorityClassName"]], priorities[model["priorityClassName"]]
    assert low["value"] < 0 < high["value"]
    assert low["preemptionPolicy"] == "Never"
    assert placeholder["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 1
    for member in ("nodeSelector", "tolerations"):
        assert placeholder[member] == model[member]


def test_every_image_of_a_pool_s_models_is_pulled_before_it_is_needed(everything: list[Object]) -> None:
    pulled = named(everything, "DaemonSet", "dokuei-pull-a100")["spec"]["template"]["spec"]["initContainers"]
    assert {container["image"] for container in pulled} == {
        "registry.hospital.example/dokuei/torchserve-gpu:0.1.0",
        "registry.hospital.example/dokuei/model-brain-mri-tumour:3.0.1",
    }


def test_images_come_from_the_registry_and_by_the_digest_that_are_given() -> None:
    objects = template(CHART, *values_of("airgap"))
    router = named(objects, "Deployment", "dokuei-router")["spec"]["template"]["spec"]
    assert router["containers"][0]["image"].startswith("registry.hospital.example/dokuei/router@sha256:")
    assert router["imagePullSecrets"] == [{"name": "registry"}]
    assert all(
        container["image"].startswith("registry.hospital.example/")
        for runtime in of_kind(objects, "ServingRuntime")
        for container in runtime["spec"]["containers"]
    )


def test_a_second_router_comes_before_the_first_goes_but_not_on_sqlite(everything: list[Object]) -> None:
    sqlite = named(template(CHART), "Deployment", "dokuei-router")["spec"]
    assert (sqlite["replicas"], sqlite["strategy"]) == (1, {"type": "Recreate"})
    postgresql = named(everything, "Deployment", "dokuei-router")["spec"]
    assert postgresql["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert of_kind(everything, "PersistentVolumeClaim") == []


def test_what_takes_requests_goes_on_until_every_node_has_heard_of_its_end(everything: list[Object]) -> None:
    (router,) = [found for found in of_kind(everything, "Deployment") if found["metadata"]["name"] == "dokuei-router"]
    pods = [router["spec"]["template"]["spec"], *(found["spec"] for found in of_kind(everything, "ServingRuntime"))]
    serving = [container for pod in pods for container in pod["containers"]]
    assert {container["name"] for container in serving} == {"router", "oidc", "kserve-container"}
    assert all(container["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5 for container in serving)


def test_where_users_sign_in_the_router_verifies_their_tokens_and_no_other_pod_reaches_it() -> None:
    def containers(*values: str | Path) -> dict[str, Object]:
        router = named(template(CHART, *values), "Deployment", "dokuei-router")
        return {container["name"]: container for container in router["spec"]["template"]["spec"]["containers"]}

    signed_in = containers(*values_of("everything"))
    said = environment(signed_in["router"])
    assert said["DOKUEI_OIDC_ISSUER"] == "https://login.hospital.example/realms/hospital"
    assert said["DOKUEI_OIDC_AUDIENCE"] == "dokuei"
    roles = {"radiology": "clinician", "referrers": "viewer", "mlops": "operator"}
    assert json.loads(said["DOKUEI_OIDC_ROLES"]) == roles
    assert "DOKUEI_ALLOW_ANYONE" not in said
    assert signed_in["router"]["args"][:2] == ["--host", "127.0.0.1"]
    assert {"--pass-authorization-header=true", "--code-challenge-method=S256"} <= set(signed_in["oidc"]["args"])
    (patience,) = [each for each in signed_in["oidc"]["args"] if each.startswith("--upstream-timeout=")]
    longest = float(environment(signed_in["router"])["DOKUEI_MODEL_TIMEOUT_SECONDS"]) + PATIENCE_SECONDS
    assert float(patience.partition("=")[2].removesuffix("s")) > longest, (
        "the proxy waits longer than an answer may take"
    )
    trial = environment(containers()["router"])
    assert trial["DOKUEI_ALLOW_ANYONE"] == "true"
    assert not [name for name in trial if name.startswith("DOKUEI_OIDC")]


def test_an_upgrade_changes_no_member_that_cannot_be_changed(rendered: list[Object], scenario: str) -> None:
    """Selectors and claims are immutable, and must not depend on versions."""
    newer = template(CHART, *values_of(scenario), "--set-string", "router.image.tag=99", "--is-upgrade")
    for kind in ("Deployment", "DaemonSet"):
        for found in of_kind(rendered, kind):
            other = named(newer, kind, found["metadata"]["name"])
            assert found["spec"]["selector"] == other["spec"]["selector"]
            assert not [key for key in found["spec"]["selector"]["matchLabels"] if "version" in key or "chart" in key]
    for found in of_kind(rendered, "PersistentVolumeClaim"):
        assert named(newer, "PersistentVolumeClaim", found["metadata"]["name"])["spec"] == found["spec"]


def test_what_is_generated_is_up_to_date() -> None:
    generate = runpy.run_path(str(ROOT / "charts/generate.py"))
    expected = generate["generated"]() | dict(generate["manifests"]())
    stale = [path for path, content in expected.items() if (ROOT / path).read_text(encoding="utf-8") != content]
    assert stale == [], "run `make chart`"
    known = {ROOT / path for path in expected}
    assert {file for file in (ROOT / "manifests").glob("*/**/*.yaml") if "node-pools" not in file.parts} <= known
    assert set((CHART / "files/cards").iterdir()) <= known


def test_base_and_overlay_together_are_the_rendered_chart() -> None:
    for overlay, values in {"cpu": "minimal", "gpu": "gpu", "knative": "knative"}.items():
        objects: list[Object] = []
        for folder in (ROOT / "manifests/base", ROOT / "manifests/overlays" / overlay):
            listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
            assert listed["namespace"] == "dokuei"
            objects += list(yaml.safe_load_all((folder / "dokuei.yaml").read_text()))
        rendered = [
            found for found in template(CHART, *values_of(values))
            if "helm.sh/hook" not in found["metadata"].get("annotations", {})
        ]  # fmt: skip
        order = lambda found: (found["kind"], found["metadata"]["name"])  # noqa: E731
        assert sorted(objects, key=order) == sorted(rendered, key=order)
