"""The types of the API's answers. OpenAPI, and from it the portal's types, are generated from here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from handlers.contract.card import Measured, Reliability

from .kserve import Variant
from .study import BurnedIn, Kind

Language = Literal["en", "ja"]
Role = Literal["viewer", "clinician", "operator"]
"""What a user may do: see studies; send, explain, review and delete them, too; see models, rollouts and reviews."""
Source = Literal["dicom", "classifier", "override"]
"""How the modality of a study was found."""


class SpacingMm(BaseModel):
    """Distance in mm between neighbouring rows, columns and slices; null where the files do not say."""

    row: float
    column: float
    slice: float | None


class InputInfo(BaseModel):
    """What was sent."""

    kind: Kind
    images: int = Field(description="Number of images, in series order from 0")
    sha256: str = Field(description="Of the file; of several files: of their sorted digests")
    spacing_mm: SpacingMm | None
    burned_in: BurnedIn = Field(
        default="undeclared", description="What DICOM BurnedInAnnotation says of text in the pixels"
    )


class ModalityInfo(BaseModel):
    """What kind of image it is, and how that was found."""

    label: str
    confidence: float | None = Field(
        description="Probability of this kind by the modality model; null where it did not answer"
    )
    source: Source
    doubtful: bool = Field(
        default=False, description="Whether the image itself does not look like what header or caller say it is"
    )


class ModelInfo(BaseModel):
    """The model that answered."""

    name: str
    version: str
    runtime: str
    variant: Variant


class Heatmap(BaseModel):
    """Where the evidence for the finding lies: Grad-CAM, scaled to its own maximum."""

    method: Literal["Grad-CAM"] = "Grad-CAM"
    label: str = Field(description="The label whose evidence it shows")
    regions: dict[str, float] = Field(description="Share of the heat in each sixth of the image; sides as displayed")


class ClassificationResult(BaseModel):
    """Whether the image shows the finding."""

    task: Literal["classification"] = "classification"
    label: str
    probabilities: dict[str, float]
    threshold: float = Field(description="Least probability of the finding for its label")
    heatmap: Heatmap


class SliceArea(BaseModel):
    """How much of one slice the mask covers."""

    index: int
    area_fraction: float = Field(ge=0, le=1, description="Share of the slice's pixels")


class Extent(BaseModel):
    """The box around the mask; first and last index, both inside."""

    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]


class SegmentationResult(BaseModel):
    """What the mask marks, and how much of it there is."""

    task: Literal["segmentation"] = "segmentation"
    label: str
    threshold: float = Field(description="Least probability of a voxel in the mask")
    volume_ml: float | None = Field(description="Null where the spacing of the voxels is unknown")
    voxels: int
    slices: list[SliceArea]
    extent: Extent | None = Field(description="Null where the mask is empty")


Result = Annotated[ClassificationResult | SegmentationResult, Field(discriminator="task")]


class Explanation(BaseModel):
    """The result in words."""

    text: str
    source: Literal["template", "llm"]
    language: Language
    model: str | None = Field(description="The LLM's name; null for a template")


class ExplanationRequest(BaseModel):
    """An explanation in a language."""

    model_config = ConfigDict(extra="forbid")

    language: Language


Verdict = Literal["agree", "disagree", "unsure"]


class ReviewRequest(BaseModel):
    """What a reader thinks of a result."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    reason: str = Field(
        default="",
        max_length=2000,
        pattern=r"^[^\x00]*$",  # PostgreSQL keeps no NUL in a text.
        description="In words; nothing that identifies the patient",
    )


class PatientQuery(BaseModel):
    """Whose analyses are asked for. In a body and not in an address: those are written into logs."""

    model_config = ConfigDict(extra="forbid")

    patient_id: str = Field(min_length=1, max_length=64, description="DICOM PatientID (0010,0020)")


class Review(ReviewRequest):
    """A reader's verdict on a result, as it is kept."""

    created: datetime


class Analysis(BaseModel):
    """One analysis: input, model, result, explanation, and what a reader thought of it."""

    id: str
    created: datetime
    input: InputInfo
    modality: ModalityInfo
    model: ModelInfo
    result: Result
    explanation: Explanation
    timings_ms: dict[str, float]
    review: Review | None = Field(default=None, description="Null where nobody has reviewed it")


class Me(BaseModel):
    """Who is signed in, and what they may do."""

    name: str
    roles: list[Role]
    departments: list[str] | None = Field(description="Whose studies they see; null where studies belong to nobody")
    signs_in: bool = Field(description="Whether users sign in at all")


class AnalysisList(BaseModel):
    """Analyses, the newest first."""

    items: list[Analysis]


class ModelCardInfo(BaseModel):
    """A served model, as the portal shows it."""

    name: str
    version: str
    task: str
    runtime: str
    variant: Variant
    ready: bool = Field(description="Whether its server was last heard to be well")
    modality: str | None
    labels: list[str]
    threshold: float
    title: dict[str, str]
    intended_use: dict[str, str]
    not_for: dict[str, str]
    limits: dict[str, str]
    training_data: str
    measured: list[Measured]
    reliability: Reliability | None = Field(description="How often the finding was there, by its probability")
    licence: str


class ModelList(BaseModel):
    """The served models, and the LLM that puts their results into words."""

    items: list[ModelCardInfo]
    llm: str | None = Field(description="The LLM that explains; null where the template does")


Outcome = Literal["ok", "failed", "unavailable"]
"""How a request to a model server ended."""


class Agreement(BaseModel):
    """How far two versions of a model say the same of one study."""

    flipped: bool = Field(description="Whether one tells the finding and the other does not")
    drift: float | None = Field(default=None, description="Absolute difference of the finding's probability")
    heat_correlation: float | None = Field(
        default=None, description="Pearson's correlation of the heat maps; null where one has no heat, or none differs"
    )
    dice: float | None = Field(
        default=None, description="Dice coefficient of the masks of all slices; 1 where both are empty"
    )


MEASURES = [measure for measure in Agreement.model_fields if measure != "flipped"]
"""Of an agreement, what has a value and not only a yes or no."""


class Comparison(BaseModel):
    """What two versions of a model made of one study."""

    model: str
    version: str = Field(description="Of the candidate")
    stable: str = Field(description="Version of the other")
    created: datetime
    shown: Variant = Field(description="Whose answer was given")
    outcome: Outcome = Field(description="How the candidate's request ended")
    agreement: Agreement | None = Field(description="Null where one of them did not answer")
    stable_ms: float | None = Field(description="From the decoded study to the result; null where it did not answer")
    candidate_ms: float | None


class Spread(BaseModel):
    """How values are spread: mean, and the values that 5, 50 and 95 % are at most."""

    mean: float
    p5: float
    p50: float
    p95: float


class ComparisonList(BaseModel):
    """Comparisons, the oldest first."""

    items: list[Comparison]


class VersionReview(BaseModel):
    """What a reader thought of a result of one of the two versions. It names no study and no analysis."""

    variant: Variant = Field(description="Of the version that gave the result")
    verdict: Verdict
    created: datetime


class VersionReviewList(BaseModel):
    """Reviews of both versions, the oldest first."""

    items: list[VersionReview]


Verdicts = Literal["passed", "failed", "undecided"]
"""What gates say of a candidate; undecided ones need more requests."""


class Gate(BaseModel):
    """One share of bad requests, or of a candidate's reviews, and what a sequential test says of it."""

    verdict: Verdicts
    bad: int = Field(description="Bad requests up to the verdict")
    requests: int = Field(description="Requests up to the verdict")
    means: str = Field(description="Which requests are bad")
    acceptable: float = Field(description="A share; of `reviews`: times the stable version's")
    unacceptable: float


class Evidence(BaseModel):
    """What is known of a candidate: who reads what, and how far both versions agree on what both have read."""

    model: str
    stable: str = Field(description="Version that is compared with")
    candidate: str = Field(description="Version of the candidate")
    ready: bool
    weight: float = Field(description="Percentage of studies that the candidate reads")
    shadow: float = Field(description="Percentage of studies that both are asked about")
    refused: list[str] = Field(description="Fields of its card that keep it from reading anything")
    outcomes: dict[Outcome, int] = Field(description="How the candidate's requests ended")
    flips: int = Field(description="Of the studies that both read, of how many they told the opposite")
    agreement: dict[str, Spread] = Field(description="drift, heat_correlation and dice, where the task has them")
    stable_ms: Spread | None
    candidate_ms: Spread | None
    gates: dict[str, Gate]
    verdict: Verdicts = Field(description="Failed where one gate is, passed where all but `reviews` are")


class RolloutStep(BaseModel):
    """What is about to be done to a model's candidate."""

    model_config = ConfigDict(extra="forbid")

    what: str = Field(min_length=1, max_length=1000, description="For people", examples=["the candidate is at 5 %"])


class ProblemDocument(BaseModel):
    """An error (RFC 9457), sent as application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
