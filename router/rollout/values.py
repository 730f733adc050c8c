"""The values of a Helm release around a rollout: each function gives a changed copy, and leaves all else alone."""

from __future__ import annotations

import copy
from typing import Any

Values = dict[str, Any]
OF_THE_ROLLOUT = ("weight", "shadow")
"""What a candidate has and a model has not."""


def candidate_of(values: Values, model: str) -> Values | None:
    """The candidate of a model, where there is one."""
    given = values.get("models", {}).get(model) or {}
    found: Values | None = given.get("canary")
    return found


def with_candidate(values: Values, model: str, candidate: Values) -> Values:
    """With a candidate beside a model, in the place of an earlier one."""
    changed, given = _model(values, model)
    given["canary"] = candidate
    return changed


def with_split(values: Values, model: str, weight: int, shadow: int) -> Values:
    """With other shares of studies that the candidate reads, and that both versions are asked about."""
    changed, given = _model(values, model)
    given["canary"] |= {"weight": weight, "shadow": shadow}
    return changed


def promoted(values: Values, model: str) -> Values:
    """With the candidate's card, archive and server as the model's; the candidate itself stays, and goes on reading."""
    changed, given = _model(values, model)
    given.pop("storageUri", None)  # That of the old version; without one, the card's version names the image.
    given |= {key: value for key, value in given["canary"].items() if key not in OF_THE_ROLLOUT}
    return changed


def is_promoted(values: Values, model: str) -> bool:
    """Whether the model is what its candidate is: a promotion has begun."""
    given, candidate = values.get("models", {}).get(model) or {}, candidate_of(values, model)
    return candidate is not None and all(
        given.get(key) == value for key, value in candidate.items() if key not in OF_THE_ROLLOUT
    )


def with_model_of(values: Values, earlier: Values, model: str) -> Values:
    """With the model as it was, its candidate too."""
    changed, _ = _model(values, model)
    changed["models"][model] = _model(earlier, model)[1]
    return changed


def without_candidate(values: Values, model: str) -> Values:
    """Without the candidate."""
    changed, given = _model(values, model)
    given.pop("canary", None)
    return changed


def _model(values: Values, model: str) -> tuple[Values, Values]:
    changed = copy.deepcopy(values)
    models = changed.setdefault("models", {})
    models[model] = models.get(model) or {}
    return changed, models[model]
