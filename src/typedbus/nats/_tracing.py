"""
The trace context in the headers of messages, and the spans of sending and handling them.

It uses OpenTelemetry only if the program has configured it, and so needs no other package: spans go to the provider with
which `typedbus.otel` instruments the bus, otherwise to the global one. The propagator is the global one, by
default the one of W3C: ``traceparent``, ``tracestate`` and ``baggage``.

The spans follow the conventions for messaging of OpenTelemetry 1.30.0, which are not stable yet:

- PRODUCER, ``publish <subject>``: an event or a signal. For an event it ends with the acknowledgement.
- CONSUMER, ``process <subject>``: a delivery of an event or a signal to the listeners. Its parent is the span of the
  sender, which the conventions allow for a single message, and it has the link to it that they demand.
- CLIENT, ``ask <subject>`` and ``gather <subject>``: a question, until its outcome. The conventions have no operation
  for questions; the type of this one is "send".
- SERVER, ``answer <subject>``: the calls of the listeners for a question, as a child of the span of the question.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from typedbus._base.static import annotated_name
from typedbus._bus.bus import Bus
from typedbus._telemetry import TRACER_PROVIDERS

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"
_PARENT: Final = "traceparent"

#: The kind of the span of each operation, and the type of the operation in the conventions.
_SENT: Final = {"publish": "PRODUCER", "ask": "CLIENT", "gather": "CLIENT"}
_HANDLED: Final = {"process": "CONSUMER", "answer": "SERVER"}

AnyFuture: TypeAlias = asyncio.Future[Any] | concurrent.futures.Future[Any]

#: Ends a span, with the exception that the listeners raised.
EndSpan: TypeAlias = Callable[[BaseException | None], None]


@attrs.frozen(eq=False)
class Tracing:
    """
    Begins and ends the spans of messages. The methods may be called in any thread.

    Args:
        tracer: Makes the spans.
        origin: The name of this process.
    """

    tracer: Tracer
    origin: str

    def sending(
        self,
        operation: Literal["publish", "ask", "gather"],
        subject: str,
        headers: dict[str, str],
        future: AnyFuture | None,
        message_id: str = "",
    ) -> None:
        """
        Begin the span of a message, and add its context to *headers*.

        Its parent is the context in *headers* if they have one, otherwise the current span.

        Args:
            operation: The name of the operation.
            subject: The subject of the message.
            headers: The headers of the message, which must not be shared with others.
            future: Ends the span: with an error if its exception, or its result, is one. Without it the span ends now.
            message_id: The id of the message, if it has one.
        """
        from opentelemetry import propagate, trace  # the program has imported it

        context = propagate.extract(headers) if _PARENT in headers else None
        kind = trace.SpanKind[_SENT[operation]]
        attributes = self._attributes("send", operation, subject, message_id)
        span = self.tracer.start_span(f"{operation} {subject}", context, kind, attributes)
        propagate.inject(headers, trace.set_span_in_context(span, context))
        if future is None or not span.is_recording():
            span.end()
        else:
            future.add_done_callback(functools.partial(_ended, span))

    def handling(
        self,
        operation: Literal["process", "answer"],
        subject: str,
        headers: Mapping[str, str],
        group: str,
        message_id: str = "",
    ) -> EndSpan:
        """
        Begin the span of the calls of listeners for a message, and make it current in this context.

        Args:
            operation: The name of the operation.
            subject: The subject of the message.
            headers: The headers of the message.
            group: The processes that share the messages.
            message_id: The id of the message, if it has one.

        Returns:
            A function that ends the span, with the exception that the listeners raised, and restores the current span; it
            must be called in the same context.
        """
        from opentelemetry import propagate, trace  # the program has imported it
        from opentelemetry.context import Context, attach, detach

        # Not the current context: it is that in which the consumer was started.
        context = propagate.extract(headers, Context())
        sender = trace.get_current_span(context).get_span_context()
        attributes = self._attributes("process", operation, subject, message_id)
        if group:
            attributes["messaging.consumer.group.name"] = group
        span = self.tracer.start_span(
            f"{operation} {subject}",
            context,
            trace.SpanKind[_HANDLED[operation]],
            attributes,
            [trace.Link(sender)] if operation == "process" and sender.is_valid else None,
        )
        token = attach(trace.set_span_in_context(span, context))

        def end(error: BaseException | None) -> None:
            detach(token)
            _end(span, error)

        return end

    def _attributes(self, kind: str, operation: str, subject: str, message_id: str) -> dict[str, str]:
        attributes = {
            "messaging.system": "nats",
            "messaging.operation.type": kind,
            "messaging.operation.name": operation,
            "messaging.destination.name": subject,
            "messaging.client.id": self.origin,
        }
        if message_id:
            attributes["messaging.message.id"] = message_id
        return attributes


def tracing_of(bus: Bus, origin: str) -> Tracing | None:
    """Return the tracing of the messages of *bus*; None if the program has not configured OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import ProxyTracerProvider, get_tracer, get_tracer_provider  # as above

    provider = TRACER_PROVIDERS.get(bus) or get_tracer_provider()
    # Frameworks import the API, and no span of it would be recorded.
    if isinstance(provider, ProxyTracerProvider):
        return None
    try:
        own: str | None = version("typedbus")
    except PackageNotFoundError:  # it runs from a folder
        own = None
    return Tracing(get_tracer("typedbus.nats", own, provider, _SCHEMA), origin)


def handling(
    tracing: Tracing | None,
    operation: Literal["process", "answer"],
    subject: str,
    headers: Mapping[str, str],
    group: str,
) -> EndSpan:
    """Begin a span as `Tracing.handling` does, if there is a tracing."""
    return untraced if tracing is None else tracing.handling(operation, subject, headers, group)


def untraced(_error: BaseException | None) -> None:
    """End no span."""


def carry(headers: dict[str, str]) -> None:
    """Add the current context to the *headers* of a message that is sent later."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate  # as above

        propagate.inject(headers)


def _ended(span: Span, future: AnyFuture) -> None:
    if future.cancelled():
        span.end()
        return
    error = future.exception()
    result = None if error is not None else future.result()
    # A question returns its failure.
    _end(span, result if isinstance(result, BaseException) else error)


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None and span.is_recording():
        from opentelemetry.trace import Status, StatusCode  # as above

        span.record_exception(error)
        span.set_attribute("error.type", annotated_name(type(error)))
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
    span.end()
