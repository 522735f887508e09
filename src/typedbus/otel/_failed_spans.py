"""The attribute, the event and the status of a span whose step has failed."""

from __future__ import annotations

from opentelemetry.trace import Span, Status, StatusCode


def record_failure(span: Span, error: BaseException, *, has_event: bool = True) -> None:
    """
    Record on *span* that its step ended with *error*.

    Args:
        span: The span.
        error: The exception.
        has_event: Whether the exception becomes an event of the span; if not, the span of an inner step has it.
    """
    cls = type(error)
    # As in an exception event.
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    span.set_attribute("error.type", name)
    if has_event:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{cls.__name__}: {error}"))
