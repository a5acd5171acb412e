"""Spans to a collector, by OpenTelemetry's SDK and its exporter of OTLP over HTTP: the extra `otel`.

They are sent where the environment variables of OpenTelemetry name an endpoint, and nowhere else. TRACEPARENT, where a
pipeline sets it, is what they belong to (W3C Trace Context).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attest.core.delivery.traces import Span
from attest.errors import ServiceFailed, UsageError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SECONDS: Final = 10.0
"""For all of them: nobody waits longer for a collector."""


def configured() -> bool:
    """Whether the environment asks for spans."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in _ENDPOINTS)


def send(spans: Sequence[Span], *, version: str) -> None:
    """Send spans, and wait until the collector has them.

    Raises:
        UsageError: the extra is not installed.
        ServiceFailed: the collector did not take them.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError as error:
        hint = "pip install 'attest-gate[otel]', or unset the endpoint"
        raise UsageError(f"spans are asked for, and the extra otel is not installed: {error}", hint=hint) from error
    quiet = logging.getLogger("opentelemetry")  # what it has to say, we say; its own lines may hold foreign text
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    made = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "attest", "service.version": version}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(made))
    carrier = {name: os.environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    parent = TraceContextTextMapPropagator().extract(carrier)
    tracer = provider.get_tracer("attest", version)
    for span in spans:
        _make(tracer, span, parent)
    provider.shutdown()
    exporter = OTLPSpanExporter(timeout=_SECONDS)
    try:
        taken = exporter.export(made.get_finished_spans()) is SpanExportResult.SUCCESS
    except Exception as error:
        raise ServiceFailed(f"the collector did not take the spans: {error}") from error
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK has types for a part of itself
    if not taken:
        raise ServiceFailed("the collector did not take the spans", hint="what was delivered is delivered all the same")


def _make(tracer: Tracer, span: Span, parent: Context) -> None:
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    attributes: dict[str, Any] = dict(span.attributes)
    one = tracer.start_span(span.name, context=parent, start_time=_nanoseconds(span.start), attributes=attributes)
    for below in span.below:
        _make(tracer, below, set_span_in_context(one, parent))
    if span.problem is not None:
        one.set_status(Status(StatusCode.ERROR, span.problem))
    one.end(end_time=_nanoseconds(span.end))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
