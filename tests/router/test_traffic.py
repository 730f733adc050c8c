"""Two versions of a model: which of them reads a study, and what happens where the candidate fails."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from paths import STORE
from prometheus_client.parser import text_string_to_metric_families
from scipy.stats import binom
from serving import router_settings, serving

from handlers.contract.card import Card, load_card
from router.app import create_app
from router.local import model_servers
from router.registry import ServedModel
from router.result import Agreement
from router.results import TASKS, Reading
from router.study import Study
from router.traffic import split
from training.archive import members, write_archive

NAME = "chest-xray-pneumonia"
CARD = load_card(STORE / NAME)
STABLE = ServedModel(CARD, "http://stable", "light")
MODALITY = ServedModel(load_card(STORE / "modality"), "http://modality", "light")
NOBODY = "http://127.0.0.1:9"
MODEL_TIMEOUT_SECONDS = 10
STUDY = Study("png", [np.zeros((8, 8), np.uint8)] * 2, {}, None, "0" * 64, "0" * 64, "not-dicom")

keys = st.text("0123456789abcdef", min_size=64, max_size=64)


def candidate(weight: float, version: str = "9.9.9", **changes: Any) -> ServedModel:
    card = CARD.model_copy(update={"version": version, **changes})
    return ServedModel(card, "http://candidate", "light", "canary", weight=weight)


def reads(models: Sequence[ServedModel], key: str) -> ServedModel:
    (chosen,) = [model for model in split(models, key) if model.card.name == NAME]
    return chosen


@given(keys, st.floats(0, 100), st.floats(0, 100))
def test_raising_the_weight_only_moves_studies_towards_the_candidate(key: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if reads([STABLE, candidate(low)], key).variant == "canary":
        assert reads([STABLE, candidate(high)], key).variant == "canary"


@given(keys)
def test_a_study_sees_one_version_wherever_its_models_stand_in_the_list(key: str) -> None:
    models = [MODALITY, STABLE, candidate(50)]
    chosen = split(models, key)
    assert [model.card.name for model in chosen] == ["modality", NAME]
    assert chosen == split(models, key)
    assert reads(models, key) == reads(models[::-1], key)


@given(keys)
def test_none_and_all_are_exact(key: str) -> None:
    assert reads([STABLE, candidate(0)], key).variant == "stable"
    assert reads([STABLE, candidate(100)], key).variant == "canary"


def chosen_of(count: int, weight: float, version: str = "9.9.9") -> set[int]:
    models = [STABLE, candidate(weight, version)]
    return {number for number in range(count) if reads(models, f"{number:064x}").variant == "canary"}


@pytest.mark.parametrize("weight", [1, 5, 25, 50, 99])
def test_the_candidate_reads_its_share_of_studies(weight: float) -> None:
    low, high = binom.interval(0.99, 10_000, weight / 100)
    assert low <= len(chosen_of(10_000, weight)) <= high


def test_another_candidate_reads_other_studies() -> None:
    one, other = chosen_of(4000, 25), chosen_of(4000, 25, version="9.9.10")
    low, high = binom.interval(0.999, 4000, 0.25**2)
    assert low <= len(one & other) <= high


@pytest.mark.parametrize(
    "beside",
    [
        replace(candidate(100), ready=False),
        candidate(100, labels=[*CARD.labels[::-1]]),
        candidate(100, task="segmentation"),
        candidate(100, accepts=None),
    ],
    ids=["not Ready", "other labels", "another task", "other images"],
)
def test_a_candidate_that_cannot_stand_in_reads_nothing(beside: ServedModel) -> None:
    assert reads([STABLE, beside], "0" * 64) == STABLE


def test_a_candidate_alone_is_not_the_model() -> None:
    assert split([candidate(100)], "0" * 64) == []


class Fixed:
    """A registry of given models."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.served = models

    async def start(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to stop."""

    def models(self) -> Sequence[ServedModel]:
        return self.served


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Card, str]]:
    """Another version of the chest model, served: its card, and where it answers."""
    store = tmp_path_factory.mktemp("next")
    folder = store / NAME
    folder.mkdir()
    document = yaml.safe_load((STORE / NAME / "card.yaml").read_text()) | {"version": "9.9.9"}
    (folder / "card.yaml").write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    with members(STORE / NAME) as (graph, golden):
        write_archive(folder, graph, golden)
    with model_servers(store, "light", store.with_suffix(".log")) as endpoints:
        yield load_card(folder), endpoints[NAME]
    shutil.rmtree(store)


@pytest.fixture
def router(light_servers: dict[str, str], tmp_path: Path, samples: Path) -> Iterator[tuple[httpx.Client, Fixed]]:
    """A router, and the registry that says what it serves."""
    settings = router_settings(tmp_path, light_servers, samples, model_timeout_seconds=MODEL_TIMEOUT_SECONDS)
    app = create_app(settings)
    registry = Fixed(app.state.analyser.registry.models())
    app.state.analyser = replace(app.state.analyser, registry=registry)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client, registry


def fallbacks(client: httpx.Client, model: str) -> float:
    found = {
        sample.labels["model"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "dokuei_canary_fallbacks_total"
    }
    return found[model]


def rollout(client: httpx.Client, mirrored: int) -> dict[str, Any]:
    """What is known of the candidate, once so many requests were mirrored to it."""
    deadline = time.monotonic() + 30
    while True:
        known: dict[str, Any] = client.get(f"/api/rollouts/{NAME}").raise_for_status().json()
        if sum(known["outcomes"].values()) >= mirrored:
            return known
        assert time.monotonic() < deadline, known
        time.sleep(0.05)


def send(client: httpx.Client, file: bytes) -> dict[str, Any]:
    response = client.post("/api/analyses", files={"files": file})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_an_answer_tells_the_version_that_read_the_study(
    router: tuple[httpx.Client, Fixed], next_version: tuple[Card, str], samples: Path
) -> None:
    client, registry = router
    card, url = next_version
    served = list(registry.served)
    registry.served = [*served, ServedModel(card, url, "light", "canary", weight=100)]
    xray = (samples / "chest-xray.dcm").read_bytes()
    by_candidate = send(client, xray)
    assert (by_candidate["model"]["version"], by_candidate["model"]["variant"]) == ("9.9.9", "canary")
    registry.served = [*served, ServedModel(card, url, "light", "canary", weight=0)]
    by_stable = send(client, xray)
    assert (by_stable["model"]["version"], by_stable["model"]["variant"]) == (CARD.version, "stable")
    assert by_candidate["result"] == by_stable["result"], "the same graph"
    assert fallbacks(client, NAME) == 0


@pytest.mark.parametrize("failing", [NAME, "modality"])
def test_a_request_that_the_candidate_fails_is_answered_by_the_stable_version_and_counted(
    router: tuple[httpx.Client, Fixed], samples: Path, failing: str
) -> None:
    client, registry = router
    read = send(client, (samples / "chest-xray.dcm").read_bytes())
    untagged = client.get(f"/api/analyses/{read['id']}/images/0.png").content  # The modality model has to be asked.
    served = list(registry.served)
    (stable,) = [model for model in served if model.card.name == failing]
    card = stable.card.model_copy(update={"version": "9.9.9"})
    registry.served = [*served, ServedModel(card, NOBODY, "light", "canary", weight=100, shadow=100)]
    before = fallbacks(client, failing)
    answer = send(client, untagged)
    assert answer["modality"]["source"] == "classifier"
    assert (answer["model"]["version"], answer["model"]["variant"]) == (CARD.version, "stable")
    assert fallbacks(client, failing) == before + 1
    if failing == NAME:
        known = rollout(client, mirrored=1)
        assert known["outcomes"] == {"ok": 0, "failed": 0, "unavailable": 1}


@pytest.mark.parametrize("shown", ["stable", "canary"])
def test_the_version_that_does_not_answer_is_asked_too_and_seen_by_nobody(
    router: tuple[httpx.Client, Fixed], next_version: tuple[Card, str], samples: Path, shown: str
) -> None:
    client, registry = router
    card, url = next_version
    weight = 100 if shown == "canary" else 0
    registry.served = [*registry.served, ServedModel(card, url, "light", "canary", weight=weight, shadow=100)]
    answers = [send(client, (samples / name).read_bytes()) for name in ("chest-xray.dcm", "chest-xray-opacity.dcm")]
    assert {answer["model"]["variant"] for answer in answers} == {shown}
    known = rollout(client, mirrored=2)
    assert (known["stable"], known["candidate"], known["refused"]) == (CARD.version, "9.9.9", [])
    assert known["outcomes"] == {"ok": 2, "failed": 0, "unavailable": 0}
    assert known["flips"] == 0
    assert known["agreement"]["drift"]["p95"] == 0, "the same graph"
    assert known["agreement"]["heat_correlation"]["p5"] == 1
    assert min(known["stable_ms"]["p5"], known["candidate_ms"]["p5"]) > 0
    two = {"errors", "flips", "drift", "heat_maps", "reviews"}
    assert set(known["gates"]) == two, "two requests say nothing of the latency"
    listed = client.get("/api/analyses").json()["items"]
    assert len(listed) == 2, "no analysis of the other version's"


def test_what_readers_think_of_both_versions_is_told_without_their_studies(
    router: tuple[httpx.Client, Fixed], next_version: tuple[Card, str], samples: Path
) -> None:
    client, registry = router
    card, url = next_version
    served = list(registry.served)
    for weight, verdict in ((0, "agree"), (100, "disagree")):
        registry.served = [*served, ServedModel(card, url, "light", "canary", weight=weight)]
        read = send(client, (samples / "chest-xray.dcm").read_bytes())
        client.put(f"/api/analyses/{read['id']}/review", json={"verdict": verdict, "reason": "r"}).raise_for_status()
    items = client.get(f"/api/rollouts/{NAME}/reviews").raise_for_status().json()["items"]
    assert [(each["variant"], each["verdict"]) for each in items] == [("stable", "agree"), ("canary", "disagree")]
    assert set(items[0]) == {"variant", "verdict", "created"}
    later = client.get(f"/api/rollouts/{NAME}/reviews", params={"since": items[1]["created"]}).json()["items"]
    assert later == items[1:]
    gate = client.get(f"/api/rollouts/{NAME}").json()["gates"]["reviews"]
    assert (gate["verdict"], gate["bad"], gate["requests"]) == ("undecided", 1, 1)


def test_a_candidate_that_does_not_answer_delays_nobody_and_is_counted(
    router: tuple[httpx.Client, Fixed], samples: Path
) -> None:
    client, registry = router
    card = CARD.model_copy(update={"version": "9.9.9"})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # It takes connections and never answers.
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        registry.served = [*registry.served, ServedModel(card, url, "light", "canary", shadow=100)]
        for _ in range(8):
            started = time.monotonic()
            send(client, (samples / "chest-xray.dcm").read_bytes())
            assert time.monotonic() - started < MODEL_TIMEOUT_SECONDS
        known = rollout(client, mirrored=1)
    assert known["outcomes"]["unavailable"] >= 1
    assert known["verdict"] == "undecided"
    assert known["stable_ms"] is None
    dropped = 'dokuei_shadow_requests_total{model="chest-xray-pneumonia",outcome="dropped",version="9.9.9"}'
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith(dropped)]
    assert float(line.split()[-1]) >= 1, "the queue is short"


def test_a_model_without_a_candidate_has_no_rollout(router: tuple[httpx.Client, Fixed]) -> None:
    client, _ = router
    problem = client.get(f"/api/rollouts/{NAME}")
    assert problem.status_code == 404
    assert "candidates are of no model" in problem.json()["detail"]


def test_readings_are_compared_by_what_they_tell() -> None:
    def xray(probability: float, heat: NDArray[np.float32]) -> Reading:
        outputs = {"probabilities": np.array([[1 - probability, probability]], np.float32), "heatmap": heat[None]}
        return TASKS["classification"].interpret(STUDY, outputs, CARD)

    ramp = np.linspace(0, 1, 36, dtype=np.float32).reshape(6, 6)
    compare = TASKS["classification"].compare
    opposite = compare(xray(0.9, ramp), xray(0.1, 1 - ramp))
    assert opposite.flipped
    assert opposite.drift == pytest.approx(0.8)
    assert opposite.heat_correlation == pytest.approx(-1)
    finer = compare(xray(0.9, ramp), xray(0.8, np.kron(ramp, np.ones((2, 2), np.float32))))
    assert (finer.flipped, finer.heat_correlation) == (False, pytest.approx(1))
    assert compare(xray(0.9, ramp), xray(0.9, np.zeros_like(ramp))).heat_correlation is None


def test_masks_are_compared_over_all_slices() -> None:
    def mri(*counts: int) -> Reading:
        masks = np.zeros((len(counts), 8, 8), np.uint8)
        for mask, count in zip(masks, counts, strict=True):
            mask.flat[:count] = 1
        return TASKS["segmentation"].interpret(STUDY, {"mask": masks}, load_card(STORE / "brain-mri-tumour"))

    compare = TASKS["segmentation"].compare
    assert compare(mri(4, 0), mri(2, 0)).dice == pytest.approx(2 * 2 / 6)
    assert compare(mri(0, 0), mri(0, 0)) == Agreement(flipped=False, dice=1)
    assert compare(mri(0, 3), mri(0, 0)) == Agreement(flipped=True, dice=0)
