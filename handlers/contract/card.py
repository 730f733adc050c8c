"""The model card: the one declaration of a model, `model-store/<name>/card.yaml`.

Training, archive, chart, router and portal all read it. The sections follow "Model Cards for Model Reporting"
(Mitchell et al. 2019); the serving facts (input, labels, DICOM rules, digest) stand beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from .errors import CardError

CARD_FILE = "card.yaml"
INPUT = "images"
"""Name of the one tensor that every graph and every server takes; `Input` tells its shape."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]
"""A DNS label, short enough for an InferenceService name with a suffix (RFC 1123)."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Task = Literal["classification", "segmentation", "modality"]
DicomKeyword = Literal["Modality", "BodyPartExamined"]
"""The DICOM keywords (PS3.6) that dispatch may look at: code strings about the acquisition, not the patient."""


class Strict(BaseModel):
    """Base of all card sections: unknown keys and coerced types are errors, and a card never changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LocalisedText(Strict):
    """A sentence for people, in every language of the portal."""

    en: Text
    ja: Text


class DicomRule(Strict):
    """One way to recognise an accepted image by its DICOM header.

    `tags` maps a DICOM keyword to the values that are accepted; all keywords have to agree.
    """

    tags: dict[DicomKeyword, list[Text]] = Field(min_length=1)


class Accepts(Strict):
    """Which images the model is for: its modality label and the DICOM headers that mean the same."""

    modality: Name
    dicom: list[DicomRule] = Field(min_length=1)
    max_images: int | None = Field(default=None, ge=1)
    """How many images one analysis may hold; none: a whole series."""


class Input(Strict):
    """The images a model takes: uint8 [N, height, width, channels], normalised inside the graph.

    `mean` and `std` are per channel, for pixels scaled to 0..1.
    """

    height: int = Field(ge=32, le=4096)
    width: int = Field(ge=32, le=4096)
    channels: Literal[1, 3]
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]

    @model_validator(mode="after")
    def _one_value_a_channel(self) -> Self:
        for field in ("mean", "std"):
            if len(getattr(self, field)) != self.channels:
                raise ValueError(
                    f"{field} needs {self.channels} values, one a channel, and has {len(getattr(self, field))}"
                )
        return self


class Measured(Strict):
    """One measured figure: what, on which images, by which command."""

    metric: Text
    value: float
    dataset: Text
    command: Text


class ReliabilityBin(Strict):
    """Of `images` images to which a probability of the finding in [low, high) was given, the share that had it."""

    low: float = Field(ge=0, lt=1)
    high: float = Field(gt=0, le=1)
    images: int = Field(ge=1)
    share: float = Field(ge=0, le=1)


class Reliability(Strict):
    """What a probability has meant: how often the finding was there, by probability (Niculescu-Mizil 2005, fig. 1)."""

    dataset: Text
    command: Text
    prevalence: float = Field(gt=0, lt=1)
    """Share of all those images that had the finding."""
    bins: list[ReliabilityBin] = Field(min_length=1)


class Member(Strict):
    """A file in the archive; its digest is verified before it is used."""

    sha256: Sha256


class Card(Strict):
    """A model card. `load_card` reads one; nothing else builds them outside tests."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    task: Task
    title: LocalisedText
    accepts: Accepts | None = None
    network: Text
    input: Input
    labels: list[Name] = Field(min_length=1)
    threshold: float = Field(gt=0, lt=1)
    """Classification: least probability of the finding; segmentation: of a voxel; modality: of the accepted label."""
    intended_use: LocalisedText
    not_for: LocalisedText
    limits: LocalisedText
    """Where it is known to be wrong or has not been tried: what a reader has to bear in mind."""
    training_data: Text
    measured: list[Measured]
    reliability: Reliability | None = None
    """Of a classification; None where it has not been measured."""
    licence: Text
    graph: Member | None = None
    """The ONNX graph; absent until the first export has written it."""
    golden: Member | None = None
    """Images and what every server has to answer to them (`handlers.contract.golden`); absent as the graph."""

    @model_validator(mode="after")
    def _fits_its_task(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if self.task == "modality":
            if self.accepts is not None:
                raise ValueError("accepts is not for a modality model: it is asked about every image")
            if "other" not in self.labels:
                raise ValueError("labels of a modality model must hold 'other', what no model accepts")
        elif self.accepts is None:
            raise ValueError(f"accepts is missing: a {self.task} model has to say which images it is for")
        if self.task == "classification" and len(self.labels) != 2:
            raise ValueError("labels of a classification model are two: without the finding, then the finding")
        if self.task == "segmentation" and len(self.labels) != 1:
            raise ValueError("labels of a segmentation model are one: what the mask marks")
        return self

    @property
    def archive_name(self) -> str:
        """File name of the archive; TorchServe serves a model under its archive's name."""
        return f"{self.name}.mar"


def parse_card(text: str, source: str) -> Card:
    """Parse a card's YAML; `source` names the file in errors.

    Raises:
        CardError: not YAML, or a field is unknown, missing or wrong; names `source` and each field.
    """
    try:
        data: Any = yaml.safe_load(text)
    # PyYAML lets pass what Python says of dates that do not exist, numbers of thousands of digits, and endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardError(f"{source}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise CardError(f"{source}: a card is a YAML mapping with fields such as 'name' and 'task'")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}" for e in error.errors()]
        raise CardError("\n".join([f"{source}: the card breaks its schema", *problems])) from error


def load_card(path: Path) -> Card:
    """Read the card in `path`, a model folder or the file itself.

    Raises:
        CardError: as `parse_card`, also where the file is missing or the folder is not named like its model.
    """
    file = path / CARD_FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"{file}: the card cannot be read: {error}") from error
    return parse_card(text, str(file))
