"""What the router tells about itself: logs, metrics and traces. None of them holds what a file says or is called.

The metrics are described in docs/monitoring.md. A label has few values, none of which a caller can make up.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import structlog
from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram

from .errors import Problem
from .registry import ServedModel
from .result import MEASURES, Analysis, Comparison, Outcome, Review, Verdict

MODEL = ("model", "version", "variant")
SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

ANALYSES = Counter("dokuei_analyses_total", "Analyses that were stored", [*MODEL, "modality"])
REFUSALS = Counter("dokuei_problems_total", "Requests that ended in a problem", ["problem"])
EXPLANATIONS = Counter("dokuei_explanations_total", "Explanations by who wrote them", ["source"])
LLM_REJECTIONS = Counter("dokuei_llm_rejections_total", "LLM replies that were not shown, by reason", ["reason"])
MODEL_RETRIES = Counter("dokuei_model_retries_total", "Second tries of inference requests", ["model"])
REVIEWS = Counter("dokuei_reviews_total", "Verdicts of readers, new or changed", ["verdict", *MODEL])
HTTP_REQUESTS = Counter("dokuei_http_requests_total", "HTTP requests that were answered", ["method", "route", "status"])
STAGE_SECONDS = Histogram("dokuei_stage_seconds", "Time of each stage of an analysis", ["stage"], buckets=SECONDS)
ANALYSIS_SECONDS = Histogram("dokuei_analysis_seconds", "From decoding to storing an analysis", MODEL, buckets=SECONDS)
MODEL_REQUEST_SECONDS = Histogram(
    "dokuei_model_request_seconds",
    "Time of requests to model servers, with a second try, by how they ended",
    [*MODEL, "outcome"],
    buckets=SECONDS,
)
CANARY_FALLBACKS = Counter(
    "dokuei_canary_fallbacks_total",
    "Requests that a candidate failed and the stable version answered",
    ["model", "version"],
)
SHADOW_REQUESTS = Counter(
    "dokuei_shadow_requests_total",
    "Requests that were mirrored to a candidate, by how they ended",
    [*MODEL[:2], "outcome"],
)
SHADOW_FLIPS = Counter(
    "dokuei_shadow_flips_total",
    "Mirrored requests where the candidate told the opposite of the stable version",
    MODEL[:2],
)
SHADOW_AGREEMENT = Histogram(
    "dokuei_shadow_agreement",
    "Mirrored requests by how far both versions agreed",
    [*MODEL[:2], "measure"],
    buckets=[0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1],
)
SERVED_MODELS = Gauge(
    "dokuei_served_models", "Models of this deployment: 1 where the server is ready, else 0", [*MODEL, "runtime"]
)
PURGED = Counter("dokuei_purged_studies_total", "Studies that were deleted because of their age")
AUDIT_WAITING = Gauge(
    "dokuei_audit_waiting_seconds", "Age of the oldest event of the audit log that the syslog server has not taken"
)

DROPPED = "dropped"

# Prometheus sees no increase in a counter that it first meets at 1, so each begins at 0 where its labels are known.
_problems: list[type[Problem]] = [Problem, *Problem.__subclasses__()]
for _problem in _problems:
    REFUSALS.labels(_problem.slug)
for _source in ("template", "llm"):
    EXPLANATIONS.labels(_source)

log: structlog.stdlib.BoundLogger = structlog.get_logger("dokuei")
_tracer = trace.get_tracer("dokuei")


class Timings:
    """Milliseconds of each stage of one analysis, which also go to the metrics and, where on, to traces."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = time.perf_counter()
        with _tracer.start_as_current_span(f"analysis.{name}"):
            yield
        seconds = time.perf_counter() - started
        STAGE_SECONDS.labels(name).observe(seconds)
        self.milliseconds[name] = round(seconds * 1000, 2)


def analysed(analysis: Analysis, seconds: float) -> None:
    """Count and log a stored analysis."""
    model = analysis.model
    log.info("analysed", model=model.name, version=model.version, variant=model.variant, ms=round(seconds * 1000, 1))
    ANALYSES.labels(*_labels(analysis), analysis.modality.label).inc()
    ANALYSIS_SECONDS.labels(*_labels(analysis)).observe(seconds)


def compared(comparison: Comparison) -> None:
    """Count a mirrored request."""
    candidate = (comparison.model, comparison.version)
    SHADOW_REQUESTS.labels(*candidate, comparison.outcome).inc()
    if comparison.agreement is not None:
        SHADOW_FLIPS.labels(*candidate).inc(comparison.agreement.flipped)
        for measure in MEASURES:
            if (value := getattr(comparison.agreement, measure)) is not None:
                SHADOW_AGREEMENT.labels(*candidate, measure).observe(value)


def left_out(candidate: ServedModel) -> None:
    """Count a request that was not mirrored, because those before it were still waiting."""
    SHADOW_REQUESTS.labels(candidate.card.name, candidate.card.version, DROPPED).inc()


def fell_back(candidate: ServedModel, error: Problem) -> None:
    """Count and log a request that a candidate failed."""
    CANARY_FALLBACKS.labels(candidate.card.name, candidate.card.version).inc()
    log.warning(
        "a candidate failed", model=candidate.card.name, version=candidate.card.version, error=type(error).__name__
    )


def reviewed(analysis: Analysis, earlier: Review | None) -> None:
    """Count a verdict, unless the reader has only changed its reason."""
    assert analysis.review is not None
    if earlier is None or earlier.verdict != analysis.review.verdict:
        REVIEWS.labels(analysis.review.verdict, *_labels(analysis)).inc()


def answered(method: str, route: str, status: int) -> None:
    """Count an answer to an HTTP request."""
    HTTP_REQUESTS.labels(method if method in METHODS else "other", route, status).inc()


def served(models: Sequence[ServedModel]) -> None:
    """Tell which models there are, and begin at 0 what is counted of them."""
    SERVED_MODELS.clear()
    for model in models:
        labels = (model.card.name, model.card.version, model.variant)
        SERVED_MODELS.labels(*labels, model.runtime).set(model.ready)
        MODEL_RETRIES.labels(model.card.name)
        if model.variant == "canary":
            candidate = labels[:2]
            CANARY_FALLBACKS.labels(*candidate)
            SHADOW_FLIPS.labels(*candidate)
            for outcome in (*get_args(Outcome), DROPPED):
                SHADOW_REQUESTS.labels(*candidate, outcome)
        for outcome in get_args(Outcome):
            MODEL_REQUEST_SECONDS.labels(*labels, outcome)
        if model.card.accepts is not None:
            ANALYSES.labels(*labels, model.card.accepts.modality)
            for verdict in get_args(Verdict):
                REVIEWS.labels(verdict, *labels)


def _labels(analysis: Analysis) -> tuple[str, str, str]:
    return analysis.model.name, analysis.model.version, analysis.model.variant


def configure_logging() -> None:
    """One JSON object a line on standard output, for our logs and the libraries' alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace_id,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # Their lines name URLs and files of requests; ours say what is needed.
    for noisy in ("httpx", "httpx2", "httpcore", "openai", "uvicorn.access", "alembic", "python_multipart"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def configure_tracing() -> None:
    """Send traces by OTLP where OTEL_EXPORTER_OTLP_ENDPOINT says where to; else only pass `traceparent` on."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "dokuei-router"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _trace_id(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event
