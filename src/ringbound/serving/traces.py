"""Traces of requests for a collector of OpenTelemetry, where one is named; sent as OTLP's JSON, which takes no library.

A request that comes with a `traceparent` (w3.org/TR/trace-context) is a span of that trace, else it begins one.
"""

import json
import logging
import time
import urllib.request
from collections.abc import Iterable, Sequence
from http.client import HTTPException
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PATH = "/v1/traces"
SEND_S = 5
"""How long a collector may take."""
EVERY_MS = 1000
LOG = logging.getLogger(__name__)


class Traces:
    """Sends a span for each request to the collector at `url`, in batches, off the answer's path."""

    def __init__(self, url: str, about: dict[str, str]):
        self._provider = TracerProvider(resource=Resource({"service.name": "ringbound", **about}))
        exporter = _Exporter(url.rstrip("/") + PATH)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MS))
        self._tracer = self._provider.get_tracer("ringbound")
        self._parents = TraceContextTextMapPropagator()

    def note(
        self, method: str, route: str, status: int, seconds: float, name: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Take a request that was answered just now, after so many seconds; `name` is its id."""
        end = time.time_ns()
        given = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers if key == b"traceparent"}
        span = self._tracer.start_span(
            f"{method} {route}",
            self._parents.extract(given) if given else None,
            SpanKind.SERVER,
            {
                "http.route": route,
                "http.request.method": method,
                "http.response.status_code": status,
                "request.id": name,
            },
            start_time=end - round(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def stop(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


class _Exporter(SpanExporter):
    """Sends spans as JSON; what cannot be sent is given up, and said."""

    def __init__(self, url: str):
        self._url = url

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans of one service."""
        try:
            body = json.dumps(_told(spans)).encode()
            request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=SEND_S):
                return SpanExportResult.SUCCESS
        except (OSError, ValueError, HTTPException) as error:
            LOG.warning("traces: %d spans are given up: %s", len(spans), error)
            return SpanExportResult.FAILURE


def _told(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    told = []
    for span in spans:
        about: Any = span.get_span_context()
        told.append(
            {
                "traceId": f"{about.trace_id:032x}",
                "spanId": f"{about.span_id:016x}",
                **({"parentSpanId": f"{span.parent.span_id:016x}"} if span.parent else {}),
                "name": span.name,
                "kind": 2,  # of OTLP's numbers: a server's
                "startTimeUnixNano": str(span.start_time),
                "endTimeUnixNano": str(span.end_time),
                "attributes": _attributes(span.attributes or {}),
                "status": {"code": 2} if span.status.status_code is StatusCode.ERROR else {},
            }
        )
    resource = {"attributes": _attributes(spans[0].resource.attributes)}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "ringbound"}, "spans": told}]}]}


def _attributes(given: Any) -> list[dict[str, Any]]:
    kind = lambda value: {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}  # noqa: E731
    return [{"key": name, "value": kind(value)} for name, value in given.items()]
