"""
Spans of publishes and of their listeners, inside spans that are recorded.

A publish is a call and not a message: its span has the kind INTERNAL. A publish has a span only if the publisher runs
in a recording span; for any other publish telemetry makes one call, which reads the current context.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs
from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.metrics import Histogram
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from typedbus._base.failures import ChannelFailures
from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.tracing import Decide, PublishTrace, TracedListener
from typedbus.otel._failed_spans import record_failure, record_returned_failures
from typedbus.otel._metrics import Instruments
from typedbus.otel._settings import Settings

_SECOND: Final = 1_000_000_000

#: The key of the current span in a context. `get_current_span` takes three times as long as the rest of a decision.
_SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))

#: The key of the innermost traced publish in a context.
_TRACE: Final = create_key("typedbus-publish")

Clock: TypeAlias = Callable[[], int]


class PublishSpans:
    """
    Decides for each publish of a bus whether it is traced or measured, and how.

    Args:
        settings: What to record, and where.
        instruments: Records the duration of one publish in `Settings.sample`.
        clock: Returns nanoseconds.
    """

    def __init__(self, settings: Settings, instruments: Instruments, clock: Clock = time.perf_counter_ns) -> None:
        self._settings = settings
        self._instruments = instruments
        self._clock = clock
        self._tracer = settings.tracer()

    def decider(self, channel: AnyChannel, /) -> Decide | None:
        """Return the function that decides for each publish on *channel*; None if it is excluded."""
        settings, instruments, clock = self._settings, self._instruments, self._clock
        if channel in settings.exclude:
            return None
        traced = _Traced(channel, self._tracer, clock, int(settings.slow * _SECOND))
        make_trace = {"slow": _SlowListeners, "all": _AllListeners, "none": _PublishSpan}[settings.listeners]
        measures_listeners = settings.listeners == "all"
        sample, next_number = settings.sample, itertools.count().__next__

        def new_timing() -> _Timing:
            return _Timing(channel, instruments, clock, measures_listeners=measures_listeners)

        def decide() -> PublishTrace | None:
            # Called for each publish, so it makes few calls itself.
            context = get_current()
            if context:
                span: Any = context.get(_SPAN)
                if span is not None and span.is_recording():
                    return make_trace(traced, context, None if next_number() % sample else new_timing())
            return None if next_number() % sample else new_timing()

        return decide


@attrs.frozen(eq=False)
class _Traced:
    """A traced channel, its tracer and clock, and the duration in nanoseconds from which a listener is slow."""

    channel: AnyChannel
    tracer: Tracer
    clock: Clock
    slow: int


class _Timing:
    """Records the duration of one publish; with *measures_listeners* also that of each call of a listener."""

    def __init__(
        self, channel: AnyChannel, instruments: Instruments, clock: Clock, *, measures_listeners: bool
    ) -> None:
        self._channel = channel
        self._instruments = instruments
        self._clock = clock
        self._measures_listeners = measures_listeners
        self._began = clock()

    def listener_began(self, listener: TracedListener, /) -> int:
        """Return the time."""
        return self._clock()

    def listener_ended(self, listener: TracedListener, began: Any, error: BaseException | None, /) -> None:
        """Record the duration of the call, if calls of listeners are measured."""
        if self._measures_listeners:
            attributes = {"typedbus.channel": self._channel.name, "typedbus.listener": listener.name}
            self._record(self._instruments.listener_duration, began, attributes)

    def ended(self, error: BaseException | None, /) -> None:
        """Record the duration of the publish."""
        self._record(self._instruments.publish_duration, self._began, {"typedbus.channel": self._channel.name})

    def _record(self, histogram: Histogram, began: int, attributes: dict[str, str]) -> None:
        histogram.record((self._clock() - began) / _SECOND, attributes)


class _PublishSpan:
    """
    The span of a publish, which is current for the listeners; listeners have no spans.

    Attributes:
        channel: The channel.
    """

    #: Whether exceptions are recorded in spans of listeners.
    _has_listener_spans = False

    def __init__(self, traced: _Traced, outer_context: Context, timing: _Timing | None) -> None:
        self.channel: Final = traced.channel
        self._traced = traced
        self._outer_context = outer_context
        self._timing = timing
        self._called = 0
        self._failed = 0
        #: Whether an exception is recorded as an event, here or in the span of a listener.
        self._has_event = False
        name = traced.channel.name
        self._span = traced.tracer.start_span(f"publish {name}", outer_context, attributes={"typedbus.channel": name})
        self._context = set_value(_TRACE, self, set_span_in_context(self._span, outer_context))
        attach(self._context)

    def listener_began(self, listener: TracedListener, /) -> object:
        """Count the listener."""
        self._called += 1
        return None if self._timing is None else self._timing.listener_began(listener)

    def listener_ended(self, listener: TracedListener, began: Any, error: BaseException | None, /) -> None:
        """Count a failure, and record the duration if the publish is in the sample."""
        if error is not None:
            self._listener_failed(error)
        if self._timing is not None:
            self._timing.listener_ended(listener, began, error)

    def ended(self, error: BaseException | None, /) -> None:
        """End the span."""
        attach(self._outer_context)
        span = self._span
        span.set_attribute("typedbus.listeners", self._called)
        if error is not None:
            record_failure(span, error, has_event=not self._has_event)
        failed = len(error.exceptions) if isinstance(error, ChannelFailures) else self._failed
        if failed:
            span.set_attribute("typedbus.failed", failed)
            if error is None:
                record_returned_failures(span, failed)
        span.end()
        if self._timing is not None:
            self._timing.ended(error)

    def _listener_failed(self, error: BaseException) -> None:
        self._failed += isinstance(error, Exception)
        self._has_event = True
        if not self._has_listener_spans:
            self._span.record_exception(error)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Add *attributes* to the span."""
        self._span.set_attributes(attributes)

    def _attributes(self, listener: TracedListener) -> dict[str, str | int]:
        return {
            "typedbus.channel": self.channel.name,
            "typedbus.listener": listener.name,
            "typedbus.priority": listener.priority,
        }


class _SlowListeners(_PublishSpan):
    """The span of a publish, and a span for each listener that is slow or fails, which is created after the call."""

    _has_listener_spans = True

    def __init__(self, traced: _Traced, outer_context: Context, timing: _Timing | None) -> None:
        super().__init__(traced, outer_context, timing)
        #: The difference between the time of day and the clock, in nanoseconds.
        self._offset = time.time_ns() - traced.clock()

    def listener_began(self, listener: TracedListener, /) -> int:
        self._called += 1
        return self._traced.clock()

    def listener_ended(self, listener: TracedListener, began: int, error: BaseException | None, /) -> None:
        ended = self._traced.clock()
        if error is None and ended - began < self._traced.slow:
            return
        span = self._traced.tracer.start_span(
            f"{self.channel.name} {listener.name}",
            self._context,
            attributes=self._attributes(listener),
            start_time=self._offset + began,
        )
        if error is not None:
            self._listener_failed(error)
            record_failure(span, error)
        span.end(self._offset + ended)


@attrs.frozen(eq=False)
class _ListenerCall:
    """A call of a listener under way: its span, the context around it, and the result of the base class."""

    span: Span
    outer_context: Context
    timing: object


class _AllListeners(_PublishSpan):
    """The span of a publish, and a span for each listener, which is current while the listener runs."""

    _has_listener_spans = True

    def listener_began(self, listener: TracedListener, /) -> _ListenerCall:
        outer_context, timing = get_current(), super().listener_began(listener)
        name = f"{self.channel.name} {listener.name}"
        span = self._traced.tracer.start_span(name, outer_context, attributes=self._attributes(listener))
        attach(set_span_in_context(span, outer_context))
        return _ListenerCall(span, outer_context, timing)

    def listener_ended(self, listener: TracedListener, call: _ListenerCall, error: BaseException | None, /) -> None:
        attach(call.outer_context)
        if error is not None:
            record_failure(call.span, error)
        call.span.end()
        super().listener_ended(listener, call.timing, error)


def attributes_watcher(
    channel: AnyChannel, attributes_of: Callable[..., Mapping[str, AttributeValue]]
) -> Callable[..., None]:
    """Return a watcher of *channel* that adds the result of *attributes_of* to the span of the publish, if it has one."""

    def add_attributes(*args: Any, **kwargs: Any) -> None:
        trace = get_value(_TRACE)
        if isinstance(trace, _PublishSpan) and trace.channel is channel:
            trace.set_attributes(attributes_of(*args, **kwargs))

    return add_attributes
