"""Spans reach a collector as OTLP over HTTP, where the environment asks for them, and only there."""

from __future__ import annotations

import gzip
import http.server
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from attest.adapters import spans
from attest.core.delivery.fold import fold
from attest.core.delivery.timeline import timeline
from attest.core.delivery.traces import Span, traces
from attest.errors import ServiceFailed, UsageError
from tests.core.make_delivery import ENVIRONMENT
from tests.core.make_story import Story, of
from tests.parts.process import free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"


def made() -> list[Span]:
    """A delivery that succeeded, and one that failed."""
    book = Story()
    book.again(of(1))
    book.again(of(2), "failed")
    return list(traces(ENVIRONMENT, timeline(fold(book), ENVIRONMENT).courses))


class Collector:
    """A real HTTP server that takes what OTLP is, and keeps it."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.status = 200
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        """All spans that it was sent."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    running = Collector()
    with running.server as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running
        server.shutdown()


def test_spans_arrive(collector: Collector) -> None:
    """Each with its name, times, attributes and status, below its delivery; each delivery is a trace of its own."""
    assert spans.configured()
    sent = made()
    spans.send(sent, version="1.0")
    found = collector.spans()
    assert len(found) == len(sent) + sum(len(one.below) for one in sent)
    roots = [span for span in found if not span.parent_span_id]
    assert [span.name for span in roots] == ["deploy staging"] * 2
    assert len({span.trace_id for span in roots}) == 2
    for root, one in zip(roots, sent, strict=True):
        below = [span for span in found if span.parent_span_id == root.span_id]
        assert [span.name for span in below] == ["verify", "prepare", "apply", "probe"]
        assert root.start_time_unix_nano == one.start.timestamp() * 10**9
        assert root.end_time_unix_nano == one.end.timestamp() * 10**9
        attributes = {item.key: item.value for item in root.attributes}
        assert set(attributes) == set(one.attributes)
        assert attributes["deployment.environment.name"].string_value == "staging"
        images = [value.string_value for value in attributes["container.image.repo_digests"].array_value.values]
        assert tuple(images) == one.attributes["container.image.repo_digests"]
    assert [(span.status.code, span.status.message) for span in roots] == [(0, ""), (2, "unhealthy")]
    (resource,) = {request.resource_spans[0].resource.attributes[0].key for request in collector.requests}
    assert resource


def test_a_pipeline_is_what_they_belong_to(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACEPARENT names trace and parent."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-b7ad6b7169203331-01")
    spans.send(made(), version="1.0")
    assert {span.trace_id.hex() for span in collector.spans()} == {TRACE}
    assert sum(span.parent_span_id.hex() == "b7ad6b7169203331" for span in collector.spans()) == 2


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_only_an_endpoint_asks_for_spans(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], asked: bool
) -> None:
    """Without one nothing is sent, nor where OpenTelemetry's own switches say no."""
    for name in (*spans._ENDPOINTS, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert spans.configured() is asked


def test_a_collector_that_refuses_is_said(collector: Collector) -> None:
    """With an error of ours."""
    collector.status = 400
    with pytest.raises(ServiceFailed, match="did not take the spans"):
        spans.send(made(), version="1.0")


def test_without_the_extra_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UsageError, match="extra otel is not installed") as caught:
        spans.send(made(), version="1.0")
    assert caught.value.hint is not None
