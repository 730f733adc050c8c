"""Values that are wrong or contradict one another are refused, each with a sentence."""

from __future__ import annotations

import jsonschema
import pytest
import yaml
from rendering import CHART, Object, named, of_kind, refusal, template, values_of

HPA = ["modelDefaults.autoscaling.kind=hpa", "modelDefaults.autoscaling.maxReplicas=1"]
SCHEMA = yaml.safe_load((CHART / "values.schema.yaml").read_text())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["llm.enabled=true", "llm.baseUrl=https://llm/v1", "llm.model=m"], "say llm.sendImages=true to send original"),
        (["audit.syslog.enabled=true"], "audit.syslog.host is the name of the syslog server"),
        (["llm.enabled=true", "llm.sendImages=false"], "llm.baseUrl and llm.model say where the LLM is"),
        (["router.replicas=2"], "a SQLite file serves one router; set router.replicas=1 or database.kind=postgresql"),
        (["database.kind=postgresql"], "name the secret with the URL in database.postgresql.existingSecret"),
        (["models.modality.gpu.pool=a100"], "models.modality.gpu.pool is a100; gpuPools has none"),
        (["gpuPools.t4.warmNodes=1", "models.modality.gpu.pool=a100"], "gpuPools has t4"),
        (["oidc.enabled=true"], "oidc.issuerUrl, oidc.clientId and oidc.existingSecret"),
        (["ingress.enabled=true"], "ingress.host is the name that users open"),
        (["httpRoute.enabled=true"], "httpRoute.parentRefs the Gateway that serves it"),
        (["ingress.enabled=true", "ingress.host=h"], "ingress.enabled would let whoever opens it see every study"),
        (["models.mine.replicas=1"], "there is no card; give it with --set-file models.mine.card=card.yaml"),
        (["models.mine.card=name: other"], "models.mine.card is the card of other"),
        (
            ["modelDefaults.replicas=2", *HPA],
            "autoscaling.maxReplicas is 1, fewer than replicas, 2",
        ),
        (
            ["deploymentMode=Knative", "modelDefaults.autoscaling.kind=hpa", "modelDefaults.autoscaling.maxReplicas=3"],
            "with deploymentMode Knative, Knative scales; leave autoscaling out",
        ),
        (["models.modality.storageUri=s3://models/modality"], "modelStorage.s3.existingSecret holds the credentials"),
    ],
)  # fmt: skip
def test_values_that_contradict_one_another_are_refused_with_a_sentence(options: list[str], told: str) -> None:
    assert told in refusal(*(word for option in options for word in ("--set", option)))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("models.modality.canary.weight=120", "/models/modality/canary/weight': maximum: got 120, want 100"),
        ("router.replica=2", "additional properties 'replica' not allowed"),
        ("models.modality.runtime=triton", "value must be one of 'torchserve', 'onnx'"),
        ("models.modality.storageUri=/models", "/models/modality/storageUri"),
        ("modelDefaults.trustedKeys=mine", "/modelDefaults/trustedKeys"),
        ("database.kind=mysql", "value must be one of 'sqlite', 'postgresql'"),
        ("router.image.digest=latest", "/router/image/digest"),
        ("networkPolicy.kubernetesApi.ports={0}", "/networkPolicy/kubernetesApi/ports/0"),
        ("modelDefaults.gpu.provider=cuda", "missing property 'pool'"),
        ("llm.baseUrl=llm.example", "/llm/baseUrl"),
        ("oidc.roles.doctors=doctor", "/oidc/roles/doctors': value must be one of 'viewer', 'clinician', 'operator'"),
    ],
)
def test_values_of_the_wrong_kind_are_refused_with_their_place(option: str, told: str) -> None:
    assert told in refusal("--set", option)


def test_a_secret_that_is_not_given_asks_for_nothing() -> None:
    options = ("llm.enabled=true", "llm.baseUrl=https://llm/v1", "llm.model=m", "llm.sendImages=false")
    objects = template(CHART, *(word for option in options for word in ("--set", option)))
    (router,) = of_kind(objects, "Deployment")
    names = {entry["name"] for entry in router["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"DOKUEI_LLM_BASE_URL", "DOKUEI_LLM_SEND_IMAGES"} <= names
    assert "DOKUEI_LLM_API_KEY" not in names


def test_every_value_has_a_meaning_and_every_default_fits_it() -> None:
    def check(part: Object, path: str) -> None:
        for name, child in part.get("properties", {}).items():
            known = SCHEMA["$defs"].get(child.get("$ref", "").removeprefix("#/$defs/"), {}) | child
            if "properties" not in known and f"{path}.{name}" not in (".requests", ".limits"):
                assert known.get("description") or "resources" in path.lower(), f"{path}.{name}"
            check(known, f"{path}.{name}")

    check(SCHEMA, "")
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(defaults)


def test_the_keys_of_those_who_sign_archives_reach_each_model_server() -> None:
    keys = yaml.safe_load((CHART / "ci/everything-values.yaml").read_text())["modelDefaults"]["trustedKeys"]
    runtimes = of_kind(template(CHART, *values_of("everything")), "ServingRuntime")
    assert len(runtimes) > 1
    for runtime in runtimes:
        environment = {each["name"]: each["value"] for each in runtime["spec"]["containers"][0]["env"]}
        assert environment["DOKUEI_TRUSTED_KEYS"] == keys


def test_the_values_reach_the_router_s_settings() -> None:
    """Every variable that the chart sets is one that the router or a model server reads."""
    from router.settings import Settings

    known = {f"DOKUEI_{name.upper()}" for name in Settings.model_fields}
    known |= {"DOKUEI_EXECUTION_PROVIDER", "DOKUEI_THREADS", "DOKUEI_MAX_REQUEST_MB", "DOKUEI_TRUSTED_KEYS"}
    objects = template(CHART, *values_of("everything"))
    containers = [
        *named(objects, "Deployment", "dokuei-router")["spec"]["template"]["spec"]["containers"],
        *(runtime["spec"]["containers"][0] for runtime in of_kind(objects, "ServingRuntime")),
        *(service["spec"]["predictor"]["model"] for service in of_kind(objects, "InferenceService")),
    ]
    used = {entry["name"] for container in containers for entry in container.get("env", [])}
    assert {name for name in used if name.startswith("DOKUEI_")} <= known
    assert "DOKUEI_DATABASE_URL" in used
