"""The traces of the shop, on stderr."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus import Bus

if TYPE_CHECKING:
    from typedbus.otel import Telemetry  # a shop without traces does not need OpenTelemetry


def console_telemetry(bus: Bus) -> "Telemetry":
    """
    Return telemetry of *bus* that writes each span to stderr as soon as it has ended.

    Raises:
        SystemExit: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

        from typedbus.otel import Telemetry
    except ImportError as missing:
        text = 'error: shop.traces needs OpenTelemetry: pip install "typedbus[otel]" opentelemetry-sdk'
        raise SystemExit(text) from missing
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
    return Telemetry(bus, tracer_provider=provider)


class TracedFront:
    """A WSGI application that has a span for each request, if there is telemetry."""

    def __init__(self, front: WSGIApplication, telemetry: "Telemetry | None") -> None:
        provider = None if telemetry is None else telemetry.tracer_provider
        self._front = front
        self._tracer = None if provider is None else provider.get_tracer("examples.shop")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; the spans of its publishes are children of the span of the request."""
        if self._tracer is None:
            return self._front(environ, start_response)
        with self._tracer.start_as_current_span(f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"):
            return self._front(environ, start_response)
