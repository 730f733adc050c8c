"""The FastAPI application: its parts, its problems, its health, and the portal's files."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from . import api, events, telemetry
from .access import Access
from .analysis import Analyser
from .audit.syslog import Forwarder
from .database import Database
from .decode.decoder import Decoder
from .errors import CrossSite, ModelUnavailable, NotFound, Problem
from .explanation import Explainer, LlmSettings
from .inference import InferenceClient
from .rates import Rates
from .registry import Registry, StaticRegistry
from .retention import Retention
from .room import Room
from .settings import LOOPBACK, Settings
from .shadow import Shadow
from .store import Store

PORTAL = Path(__file__).parent.parent / "portal" / "dist"
INDEX = PORTAL / "index.html"
PROBLEM_TYPE = "application/problem+json"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OWN_SITE = ("same-origin", "none")
"""Values of Sec-Fetch-Site: asked by a page of the portal, or by the user."""
DESCRIPTION = "Medical-image diagnosis support. Research use only; it supports a reader, it does not diagnose."


class _Part(Protocol):
    """What starts and ends with the application."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


def make_registry(settings: Settings) -> Registry:
    """The registry that the settings ask for."""
    if settings.registry == "kubernetes":
        from .kubernetes import KubernetesRegistry

        return KubernetesRegistry(settings.namespace, settings.traffic)
    return StaticRegistry(settings.model_store, settings.model_endpoints, settings.model_runtime)


def make_explainer(settings: Settings) -> Explainer:
    """The explainer that the settings ask for."""
    if settings.llm_base_url is None or settings.llm_model is None:
        return Explainer(None)
    return Explainer(
        LlmSettings(
            base_url=settings.llm_base_url,
            model=settings.llm_model,
            api_key=settings.llm_api_key.get_secret_value(),
            send_images=bool(settings.llm_send_images),
            timeout_seconds=settings.llm_timeout_seconds,
        )
    )


def create_app(settings: Settings) -> FastAPI:
    """Build the application; its parts start and end with its lifespan."""
    access = Access(settings)
    database = Database(settings.database_url)
    inference, store = InferenceClient(settings.model_timeout_seconds), Store(database, settings.sealer)
    analyser = Analyser(
        room=Room(settings.decode_workers),
        decoder=Decoder(workers=settings.decode_workers),
        registry=make_registry(settings),
        inference=inference,
        explainer=make_explainer(settings),
        store=store,
        shadow=Shadow(inference.infer, store),
    )

    parts: list[_Part] = [database, analyser.decoder, analyser.registry, analyser.shadow]
    if settings.syslog_address is not None:
        parts.append(Forwarder(database, settings.syslog_address, settings.audit_syslog_tls))

    if settings.retention_days is not None:
        parts.append(Retention(store, settings.retention_days))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for part in parts:
            await part.start()
        yield
        for part in reversed(parts):
            await part.close()
        for client in (analyser.inference, analyser.explainer, access):
            await client.close()

    app = FastAPI(
        title="Dokuei", description=DESCRIPTION, version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.analyser, app.state.access, app.state.database = analyser, access, database
    app.state.rates = Rates(settings)
    if settings.for_this_machine_only:
        # A page of another site, whose name leads to this machine, is not a page of the portal (DNS rebinding).
        names = [f"[{host}]" if ":" in host else host for host in LOOPBACK]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names)
    app.middleware("http")(_same_site)
    app.middleware("http")(_answered)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    app.include_router(api.router)
    _add_health(app)
    _add_portal(app, settings.samples)
    # Without a tracer provider this and its twin in `inference` only hand `traceparent` on to the model servers.
    FastAPIInstrumentor.instrument_app(app, excluded_urls="healthz,readyz,metrics", exclude_spans=["receive", "send"])
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", summary="Whether the router runs", tags=["health"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether the router can take requests", responses=api.PROBLEMS, tags=["health"])
    async def readyz(request: Request) -> dict[str, str]:
        # Models that are not ready do not count: they may be for a moment only, and studies are read without them.
        analyser: Analyser = request.app.state.analyser
        await request.app.state.database.ping()
        if not analyser.registry.models():
            raise ModelUnavailable("no model is known yet")
        return {"status": "ok"}

    @app.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
        tags=["health"],
    )
    async def metrics(request: Request) -> Response:
        telemetry.served(request.app.state.analyser.registry.models())
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class _Hashed(StaticFiles):
    """Files whose names hold a digest of their content, so that a browser need never ask for them again."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _add_portal(app: FastAPI, samples: Path | None) -> None:
    @app.get("/", include_in_schema=False)
    @app.get("/studies/{_id}", include_in_schema=False)
    async def page() -> FileResponse:
        if not INDEX.is_file():
            raise NotFound("the portal is not built; `make portal` builds it, and the API works without it")
        return FileResponse(INDEX, headers={"Cache-Control": "no-cache"})

    for path, files in (("/static/assets", _Hashed), ("/static", StaticFiles)):
        folder = PORTAL / path.removeprefix("/static").lstrip("/")
        app.mount(path, GZipMiddleware(files(directory=folder, check_dir=False)), name=path)
    if samples is not None:
        app.mount("/samples", StaticFiles(directory=samples), name="samples")


async def _same_site(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what a page of another site asks to be changed (Fetch Metadata; browsers send it, and pages cannot)."""
    if request.method not in SAFE_METHODS and request.headers.get("sec-fetch-site", "same-origin") not in OWN_SITE:
        return _problem(CrossSite("a page of another site asked for this; open the portal and do it there"))
    return await call_next(request)


async def _answered(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add the security headers; count and log the route (never the URL) with status and time."""
    started = time.perf_counter()
    status = 500  # What `_on_bug`, outside of this, makes of an exception.
    try:
        response = await call_next(request)
        status = response.status_code
    finally:
        route = getattr(request.scope.get("route"), "path", "none")
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        telemetry.answered(request.method, route, status)
        telemetry.log.info("request", method=request.method, route=route, status=status, ms=milliseconds)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _problem(problem: Problem) -> JSONResponse:
    telemetry.REFUSALS.labels(problem.slug).inc()
    wait = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return JSONResponse(problem.document(), problem.status, {**problem.headers, **wait}, media_type=PROBLEM_TYPE)


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _problem(error)


async def _on_invalid(_: Request, error: Exception) -> Response:
    """A parameter of the wrong type or range; its value is not repeated."""
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    document = {"type": "/problems/invalid-parameter", "title": "A parameter is wrong", "status": 422, "detail": faults}
    return JSONResponse(document, 422, media_type=PROBLEM_TYPE)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _problem(NotFound("there is nothing at this address; /openapi.json lists what there is"))
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code, "detail": error.detail}
    return JSONResponse(document, error.status_code, error.headers, media_type=PROBLEM_TYPE)


async def _on_bug(_: Request, error: Exception) -> Response:
    telemetry.log.error("request failed", exc_info=error)
    return _problem(Problem(events.INTERNAL))
