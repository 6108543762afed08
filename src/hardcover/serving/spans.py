"""Spans for OpenTelemetry: of a share of the requests, made after the answer, and never with inputs in them.

Who sends ``traceparent`` (https://www.w3.org/TR/trace-context/) has decided already whether a request is sampled. Names and attributes are
those of the semantic conventions for HTTP and RPC (https://opentelemetry.io/docs/specs/semconv/). Where spans go to is for the variables of the OTLP
exporter to say, ``OTEL_EXPORTER_OTLP_ENDPOINT`` and others.
"""

import importlib.util
import random
import threading
import time
from typing import Any

from hardcover.errors import HardcoverError
from hardcover.serving.exchange import VERSION, Answer, Call, Request

# Seconds that the last spans may take to leave at the end.
FAREWELL = 2.0
_SAMPLED = 1


def check() -> None:
    """Look whether spans can be made.

    Raises
    ------
    HardcoverError
        When OpenTelemetry is not installed.
    """
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        fix = "Install it: pip install 'hardcover[trace]'"
        raise HardcoverError("spans need OpenTelemetry's SDK and OTLP exporter", "--span-share", fix)


def is_sampled(request: Request, share: float) -> bool:
    """Whether a request has a span: as its ``traceparent`` says, else a share of them at random."""
    parent = request.headers.get(b"traceparent")
    if parent is None:
        return random.random() < share
    try:
        return bool(int(parent.split(b"-")[3][:2], 16) & _SAMPLED)
    except (IndexError, ValueError):
        return random.random() < share


class Spans:
    """The spans of one worker, of a ``share`` of the requests that bring no decision; sent in batches by a thread of the SDK."""

    def __init__(self, share: float):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        facts = {"service.name": "hardcover", "service.version": VERSION}
        # What the environment says counts more.
        resource = Resource.create(facts).merge(OTELResourceDetector().detect())
        self.share = share
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hardcover.serving", VERSION)

    def note(self, request: Request, answer: Answer, waited: int, took: int) -> None:
        """Make the span of a request that is answered now, after it ``waited`` and ``took`` so many nanoseconds."""
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        end = time.time_ns()
        parents = {
            name: request.headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in request.headers
        }
        name, facts = _described(request, answer)
        span = self._tracer.start_span(
            name,
            context=TraceContextTextMapPropagator().extract(parents),
            kind=SpanKind.SERVER,
            attributes={**facts, "hardcover.waited": waited / 1e9, "hardcover.answered": took / 1e9},
            start_time=end - waited - took,
        )
        if answer.status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def close(self) -> None:
        """Send what is left, as far as that is possible at once."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(FAREWELL)


def _described(request: Request, answer: Answer) -> tuple[str, dict[str, Any]]:
    path = request.path.decode("ascii", "replace")
    facts: dict[str, Any] = {"hardcover.request.size": len(request.body)}
    for line in answer.lines.split(b"\r\n"):
        key, _, value = line.partition(b": ")
        if key == b"hardcover-release":
            facts["hardcover.release"] = value.decode("ascii", "replace")
    if isinstance(request, Call):
        service, _, method = path.strip("/").rpartition("/")
        return path.strip("/"), {**facts, "rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    method = request.method.decode("ascii", "replace")
    facts |= {
        "http.request.method": method,
        "http.response.status_code": answer.status,
        "url.scheme": "http",
        "url.path": path,
    }
    # There is one route to a path; a path that is none names no span.
    if answer.status in (404, 405, 501):
        return method, facts
    return f"{method} {path}", facts | {"http.route": path}
