"""The HTTP API under /api. Handlers only translate; `router.analysis` does the work."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any, get_args

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from . import events, evidence, pictures, reviews, telemetry, upload
from .access import Access
from .analysis import Analyser, Order
from .audit.event import CONFIGURED, LOGIN_FAILED, REFUSED, Act, Actor
from .database import now
from .decode.limits import DecodeLimits
from .errors import NotAllowed, NotTheirs, TokenRefused, UnknownModel
from .rates import Rates
from .registry import ServedModel
from .result import (
    Analysis,
    AnalysisList,
    ComparisonList,
    Evidence,
    Explanation,
    ExplanationRequest,
    Language,
    Me,
    ModelCardInfo,
    ModelList,
    PatientQuery,
    ProblemDocument,
    Review,
    ReviewRequest,
    Role,
    RolloutStep,
    Verdict,
    VersionReview,
    VersionReviewList,
)
from .store import Store
from .study import patient_digest
from .user import User

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "model": ProblemDocument,
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {}},
    }
    for status in (400, 401, 403, 404, 413, 422, 429, 502, 503)
}
NO_STORE = {"Cache-Control": "no-store"}
"""Pictures of patients are not left in caches."""

router = APIRouter(prefix="/api", responses=PROBLEMS)
Id = Annotated[str, Path(alias="id", pattern=r"^[0-9A-Za-z-]{1,64}$", description="Of the analysis")]
Number = Annotated[int, Path(alias="n", ge=0, description="Of the image in series order, from 0")]
Since = Annotated[datetime | None, Query(description="Only from this moment on")]


@dataclass(frozen=True)
class Asked:
    """Who asks, and the parts that answer: for them there are no studies but their departments'."""

    actor: Actor
    user: User
    parts: Analyser

    @property
    def store(self) -> Store:
        """Of the parts."""
        return self.parts.store


def _asked_by(*roles: Role, counted: bool = False) -> Any:
    """What a route takes that users of any of these roles may ask.

    Args:
        counted: among the analyses and explanations of its user.
    """

    async def asked(request: Request, _token: Annotated[Any, Security(BEARER)]) -> AsyncIterator[Asked]:
        access: Access = request.app.state.access
        rates: Rates = request.app.state.rates
        parts: Analyser = request.app.state.analyser
        actor = Actor(address=request.client.host if request.client is not None else None)
        route = f"{request.method} {request.scope['route'].path}"
        try:
            user = await access.user(request.headers)
        except TokenRefused as refused:
            await rates.failed_login(actor.address)
            await parts.store.on_behalf_of(actor).record(Act(LOGIN_FAILED, route, refused.detail))
            raise
        if access.signs_in:
            await rates.request(user)
            if counted:
                await rates.analysis(user)
        actor = replace(actor, user=user)
        store = parts.store.on_behalf_of(actor)
        try:
            if not user.roles & set(roles):
                has = f"is {', '.join(sorted(user.roles))}" if user.roles else "has no role here"
                raise NotAllowed(f"this needs the role {' or '.join(roles)}, and your account {has}")
            yield Asked(actor, user, replace(parts, store=store))
        except (NotAllowed, NotTheirs) as refused:
            why = "it is another department's" if isinstance(refused, NotTheirs) else refused.detail
            await store.record(Act(REFUSED, request.path_params.get("id", route), why, {"asked": route}))
            raise

    return Depends(asked)


BEARER = HTTPBearer(auto_error=False, description="A token of the OpenID Connect provider, where users sign in")
Reader = Annotated[Asked, _asked_by("viewer", "clinician")]
Clinician = Annotated[Asked, _asked_by("clinician")]
Sender = Annotated[Asked, _asked_by("clinician", counted=True)]
Reviews = Annotated[Asked, _asked_by("clinician", "operator")]
Operator = Annotated[Asked, _asked_by("operator")]
Anybody = Annotated[Asked, _asked_by(*get_args(Role))]


@router.post(
    "/analyses",
    status_code=201,
    response_model=Analysis,
    openapi_extra=upload.OPENAPI,
    summary="Analyse one image or one series",
    description="With `Accept: text/event-stream` it streams events: `progress` {step}, `result` (the analysis, with "
    "the template's explanation), `words` {text} where an LLM writes, `explanation`, and `error` (a problem) where it "
    "fails.",
)
async def create_analysis(request: Request, asked: Sender) -> Response:
    """Receive, analyse, store, answer."""
    analyser = asked.parts
    called = await analyser.room.wait()
    async with AsyncExitStack() as held:
        received = held.enter_context(await upload.receive(request, DecodeLimits(), asked.user.department))
        await held.enter_async_context(analyser.room.place(called))
        order = received.order
        if _wants_events(request):
            return events.stream(partial(_analyse, analyser, order, held.pop_all()), NO_STORE)
        analysis = await analyser.analyse(order, lambda _: None)
    explanation = await analyser.explain(analysis, order.language)
    analysis = analysis.model_copy(update={"explanation": explanation})
    return JSONResponse(
        analysis.model_dump(mode="json"),
        status_code=201,
        headers={**NO_STORE, "Location": f"/api/analyses/{analysis.id}"},
    )


def _wants_events(request: Request) -> bool:
    return events.TYPE in request.headers.get("accept", "")


async def _analyse(analyser: Analyser, order: Order, held: AsyncExitStack, send: events.Send) -> None:
    """Analyse an upload, and send each step, the result, and the words of an explanation that follows.

    Args:
        held: what is let go once it is analysed.
    """

    def progress(step: str) -> None:
        send("progress", json.dumps({"step": step}))

    async with held:
        progress("received")
        analysis = await analyser.analyse(order, progress)
    send("result", analysis.model_dump_json())
    if analyser.explainer.llm is not None:
        progress("explaining")
    await _explain(analyser, analysis, order.language, send)


async def _explain(analyser: Analyser, analysis: Analysis, language: Language, send: events.Send) -> None:
    """Explain an analysis, and send the words as they come, then the explanation."""
    said = await analyser.explain(analysis, language, lambda words: send("words", json.dumps({"text": words})))
    send("explanation", said.model_dump_json())


@router.get("/analyses", response_model=AnalysisList, summary="List analyses, the newest first")
async def list_analyses(
    asked: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[datetime | None, Query(description="Only analyses created before this moment")] = None,
) -> AnalysisList:
    """A page of analyses."""
    return AnalysisList(items=await asked.store.newest(limit, before))


@router.post(
    "/analyses/search",
    response_model=AnalysisList,
    summary="All analyses of one patient, the oldest first",
    description="To hand a patient their data over, or to delete it. Known is whose studies those are that came as "
    "DICOM with a patient id while the deployment had keys for pictures.",
)
async def search_analyses(asked: Reader, query: PatientQuery) -> AnalysisList:
    """Of the user's departments."""
    return AnalysisList(items=await asked.store.of_patient(patient_digest(query.patient_id)))


@router.get("/analyses/{id}", response_model=Analysis, summary="One analysis")
async def get_analysis(asked: Reader, analysis_id: Id) -> Analysis:
    """The stored analysis."""
    return await asked.store.get(analysis_id)


@router.delete("/analyses/{id}", status_code=204, summary="Delete an analysis with its images")
async def delete_analysis(asked: Clinician, analysis_id: Id) -> Response:
    """Delete it for good."""
    await asked.store.delete(analysis_id)
    return Response(status_code=204)


@router.post(
    "/analyses/{id}/explanation",
    response_model=Explanation,
    summary="Explain a stored analysis again",
    description="In another language, or by the LLM after it has not answered. Where it does not, by the template. "
    "With `Accept: text/event-stream` it streams events: `words` {text} as they come, then `explanation`.",
)
async def create_explanation(request: Request, asked: Sender, analysis_id: Id, wanted: ExplanationRequest) -> Response:
    """The new explanation, in the place of the earlier one."""
    analyser = asked.parts
    analysis = await asked.store.get(analysis_id)
    if _wants_events(request):
        return events.stream(partial(_explain, analyser, analysis, wanted.language), NO_STORE)
    explanation = await analyser.explain(analysis, wanted.language)
    return JSONResponse(explanation.model_dump(mode="json"), headers=NO_STORE)


@router.put("/analyses/{id}/review", response_model=Analysis, summary="Say what a reader thinks of a result")
async def put_review(asked: Clinician, analysis_id: Id, said: ReviewRequest) -> Analysis:
    """Keep the verdict, in the place of an earlier one."""
    earlier = (await asked.store.get(analysis_id)).review
    analysis = await asked.store.review(analysis_id, Review(**said.model_dump(), created=now()))
    telemetry.reviewed(analysis, earlier)
    return analysis


@router.delete("/analyses/{id}/review", status_code=204, summary="Take a review back")
async def delete_review(asked: Clinician, analysis_id: Id) -> Response:
    """Nothing happens where there is none."""
    await asked.store.take_back(analysis_id)
    return Response(status_code=204)


@router.get(
    "/reviews.csv",
    summary="The reviews as a table, the newest first",
    description="For those who train models: what readers disagreed with, by model and version. UTF-8 with a byte "
    "order mark, as spreadsheets want it.",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
async def get_reviews(asked: Reviews, verdict: Verdict | None = None) -> Response:
    """One row a review."""
    store = asked.store
    if "operator" in asked.user.roles:
        store = store.on_behalf_of(replace(asked.actor, user=replace(asked.user, departments=None)))
    table = reviews.table(await store.reviewed(verdict))
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="dokuei-reviews.csv"'}
    return Response(table.encode("utf-8-sig"), media_type="text/csv", headers=headers)


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png", headers=NO_STORE)


_PNG: dict[str, Any] = {"response_class": Response, "responses": {200: {"content": {"image/png": {}}}}}


@router.get("/analyses/{id}/images/{n}.png", summary="One image as it was read", **_PNG)
async def get_image(asked: Reader, analysis_id: Id, number: Number) -> Response:
    """The image at its full size."""
    return _png((await asked.store.images(analysis_id, "image", number))[0])


@router.get("/analyses/{id}/masks/{n}.png", summary="The mask of one image, 0 or 255", **_PNG)
async def get_mask(asked: Reader, analysis_id: Id, number: Number) -> Response:
    """The mask at the size of its image."""
    return _png((await asked.store.images(analysis_id, "mask", number))[0])


@router.get("/analyses/{id}/heatmap.png", summary="The Grad-CAM heat map, 8-bit grey at the size of the image", **_PNG)
async def get_heatmap(asked: Reader, analysis_id: Id) -> Response:
    """0 where there is no evidence, 255 where there is most."""
    image, heat = await _image_and_heat(asked.store, analysis_id)
    return _png(await run_sync(lambda: pictures.png(pictures.heatmap(heat, *image.shape[:2]))))


@router.get("/analyses/{id}/overlay.png", summary="The heat map in colours over the image", **_PNG)
async def get_overlay(asked: Reader, analysis_id: Id) -> Response:
    """Blue for little evidence, red for most."""
    image, heat = await _image_and_heat(asked.store, analysis_id)
    return _png(await run_sync(lambda: pictures.png(pictures.overlay(image, heat))))


async def _image_and_heat(store: Store, analysis_id: str) -> tuple[Any, Any]:
    [heat] = await store.images(analysis_id, "heat", 0)
    [image] = await store.images(analysis_id, "image", 0)
    return pictures.read_png(image), pictures.heat_from_bytes(heat)


@router.get(
    "/analyses/{id}/points.bin",
    summary="The 3-D point cloud of a segmentation",
    description=pictures.points.__doc__,
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_points(asked: Reader, analysis_id: Id) -> Response:
    """Brain and tumour as points."""
    store = asked.store
    masks = await store.images(analysis_id, "mask")
    images = await store.images(analysis_id, "image")
    spacing = (await store.get(analysis_id)).input.spacing_mm

    def make() -> bytes:
        read = [[np.asarray(pictures.read_png(png)) for png in part] for part in (images, masks)]
        return pictures.points(read[0], read[1], spacing)

    return Response(await run_sync(make), media_type="application/octet-stream", headers=NO_STORE)


@router.get("/me", response_model=Me, summary="Who is signed in, and what they may do")
async def get_me(request: Request, asked: Anybody) -> Me:
    """The user that the request's token names."""
    user, access = asked.user, request.app.state.access
    departments = None if user.departments is None else list(user.departments)
    return Me(name=user.name, roles=sorted(user.roles), departments=departments, signs_in=access.signs_in)


@router.get("/models", response_model=ModelList, summary="The served models")
async def list_models(asked: Anybody) -> ModelList:
    """The cards of the models of this deployment."""
    parts = asked.parts
    return ModelList(items=[_model_info(model) for model in parts.registry.models()], llm=parts.explainer.llm)


@router.get("/rollouts/{model}", response_model=Evidence, summary="What is known of a model's candidate")
async def get_rollout(asked: Operator, model: str) -> Evidence:
    """How the candidate's requests ended, how far both versions agree, and what the gates say of it."""
    parts = asked.parts
    stable, candidate = evidence.versions(parts.registry.models(), model)
    comparisons = await parts.store.comparisons(model, candidate.card.version, None)
    return evidence.of(stable, candidate, comparisons, await _version_reviews(parts, stable, candidate, None))


@router.post("/rollouts/{model}/steps", status_code=204, summary="Write a step of a rollout down, before it is taken")
async def create_step(asked: Operator, model: str, step: RolloutStep) -> Response:
    """Into the audit log; nothing else happens."""
    names = {served.card.name for served in asked.parts.registry.models()}
    if model not in names:
        raise UnknownModel(f"no model {model!r} is served; there is {', '.join(sorted(names)) or 'none'}")
    await asked.store.record(Act(CONFIGURED, model, details={"rollout": step.what}))
    return Response(status_code=204)


@router.get("/rollouts/{model}/comparisons", response_model=ComparisonList, summary="What was compared, oldest first")
async def get_comparisons(asked: Operator, model: str, since: Since = None) -> ComparisonList:
    """What both versions made of each study, for those who judge by rules of their own."""
    parts = asked.parts
    _, candidate = evidence.versions(parts.registry.models(), model)
    return ComparisonList(items=await parts.store.comparisons(model, candidate.card.version, since))


@router.get(
    "/rollouts/{model}/reviews",
    response_model=VersionReviewList,
    summary="What readers thought of results of both versions, oldest first",
)
async def get_version_reviews(asked: Operator, model: str, since: Since = None) -> VersionReviewList:
    """Verdicts alone, without the analyses they are of."""
    parts = asked.parts
    stable, candidate = evidence.versions(parts.registry.models(), model)
    return VersionReviewList(items=await _version_reviews(parts, stable, candidate, since))


async def _version_reviews(
    parts: Analyser, stable: ServedModel, candidate: ServedModel, since: datetime | None
) -> list[VersionReview]:
    versions = {each.variant: each.card.version for each in (stable, candidate)}
    return await parts.store.version_reviews(stable.card.name, versions, since)


def _model_info(model: ServedModel) -> ModelCardInfo:
    card = model.card
    return ModelCardInfo(
        runtime=model.runtime,
        variant=model.variant,
        ready=model.ready,
        modality=card.accepts.modality if card.accepts is not None else None,
        **card.model_dump(exclude={"accepts", "network", "input", "graph"}),
    )
