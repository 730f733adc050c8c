"""The plan of a rollout: its steps, and what its gates let pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from router.gates import ERROR, RULES, Rule

from .errors import RolloutError

Percentage = Annotated[int, Field(ge=0, le=100)]
Part = Annotated[float, Field(gt=0, lt=1)]
GateName = Literal["errors", "latency", "flips", "drift", "heat_maps", "masks"]


@dataclass(frozen=True)
class Step:
    """Shares, in percent: of studies that the candidate reads, and of those that both versions are asked about."""

    weight: int
    shadow: int = 100

    def __str__(self) -> str:
        return f"{self.weight} %" if self.weight else "the shadow"


class Shares(BaseModel):
    """Shares of bad requests that a good candidate may have, and from which one has to be found out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    acceptable: Part
    unacceptable: Part

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.acceptable >= self.unacceptable:
            raise ValueError(f"acceptable is {self.acceptable}, and has to be below unacceptable, {self.unacceptable}")
        return self


class Plan(BaseModel):
    """What `--plan` may say; without one, the defaults.

    Attributes:
        steps: percentages of studies that the candidate reads, one after the other; 0 is the shadow.
        error: chance of each of the two wrong verdicts of a gate. A larger one needs fewer studies.
        gates: shares of gates that are not to have the usual ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[Percentage] = Field(default=[0, 5, 25, 50, 100], min_length=1)
    error: Annotated[float, Field(gt=0, lt=0.5)] = ERROR
    gates: dict[GateName, Shares] = {}

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.steps != sorted(set(self.steps)):
            raise ValueError(f"steps are {self.steps}; they have to rise")
        return self

    @classmethod
    def load(cls, file: Path | None) -> Self:
        """Read a plan.

        Raises:
            RolloutError: names file and field, and what would be right.
        """
        if file is None:
            return cls()
        try:
            return cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RolloutError(f"{file}: the plan cannot be read: {error}") from error
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise RolloutError(f"{file}: {'; '.join(faults)}") from error

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rule of each gate."""
        return RULES | {name: replace(RULES[name], **shares.model_dump()) for name, shares in self.gates.items()}

    def left(self, now: Step) -> list[Step]:
        """The steps from where a rollout is now; all of them where it is at none."""
        steps = [Step(weight) for weight in self.steps]
        return steps[steps.index(now) :] if now in steps else steps
