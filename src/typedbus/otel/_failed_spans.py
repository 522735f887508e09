"""The attributes, the event and the status of a span whose step has failed."""

from __future__ import annotations

from opentelemetry.trace import Span, Status, StatusCode


def record_failure(
    span: Span, error: BaseException, *, is_cancelled: bool = False, outcome: str = "failed", has_event: bool = True
) -> None:
    """
    Record on *span* that its step ended with *error*.

    Args:
        span: The span.
        error: The exception.
        is_cancelled: Whether the step was called off, so that *error* is no failure.
        outcome: The outcome of the step.
        has_event: Whether the exception becomes an event of the span; if not, the span of an inner step has it.
    """
    if is_cancelled:
        span.set_attribute("typedbus.outcome", "cancelled")
        return
    span.set_attribute("typedbus.outcome", outcome)
    span.set_attribute("error.type", error_type(error))
    if has_event:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def error_type(error: BaseException) -> str:
    """Return the class of *error* with its module, as in an exception event."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
