"""The attribute, the event and the status of a span whose step has failed."""

from __future__ import annotations

from opentelemetry.trace import Span, Status, StatusCode

from typedbus._base.failures import ChannelFailures
from typedbus._base.static import annotated_name


def record_failure(span: Span, error: BaseException, *, has_event: bool = True) -> None:
    """
    Record on *span* that its step ended with *error*.

    Args:
        span: The span.
        error: The exception.
        has_event: Whether to add the exception as an event; False if the span of an inner step has this event.
    """
    if has_event:
        span.record_exception(error)
    _set_failed(span, type(error), f"{type(error).__name__}: {error}")


def record_returned_failures(span: Span, failed: int) -> None:
    """Record on *span* that its publish returned the failures of *failed* listeners, as `attempt` does."""
    _set_failed(span, ChannelFailures, f"{failed} listener(s) failed")


def _set_failed(span: Span, cls: type[BaseException], description: str) -> None:
    # The same name as `exception.type` in the event.
    span.set_attribute("error.type", annotated_name(cls))
    span.set_status(Status(StatusCode.ERROR, description))
