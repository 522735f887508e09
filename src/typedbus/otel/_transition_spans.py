"""Spans of the transitions of a bus and of the components in them, from the events of its life cycle."""

from __future__ import annotations

import functools
import time
import weakref
from typing import Final

from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_current_span, get_tracer_provider

from typedbus._base.events import Constructed, Constructing, LifecycleEvent, Moved
from typedbus._base.failures import traceback_of
from typedbus._base.states import State
from typedbus._bus.builtin import ERROR
from typedbus._bus.bus import Bus, parts_of
from typedbus.otel._run_spans import RunSpans
from typedbus.otel._settings import Settings
from typedbus.otel._transition_trace import KnownComponents, TransitionTrace

#: The time limit of the flush of one provider, in milliseconds.
_FLUSH_MILLIS: Final = 5000


class TransitionSpans:
    """
    Records the spans of one bus.

    Attributes:
        runs: Records the restarts of its runs.
    """

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._settings = settings
        # Weak, since the bus refers to this object by its listeners.
        self._bus = weakref.ref(bus)
        self._trace: TransitionTrace | None = None
        #: Components are added when they are subscribed, and removed at a start after an exit.
        self._known = KnownComponents()
        self.runs = RunSpans(settings, self._known.starts)

    def use(self, settings: Settings) -> None:
        """Record as *settings* describe, from the next transition on."""
        self._settings = self.runs.settings = settings

    def record(self, event: LifecycleEvent) -> None:
        """Record *event*; the listener of `LIFECYCLE`."""
        bus = self._bus()
        if bus is None:
            return
        current, trace = parts_of(bus).machine.current, self._trace
        if current is None or (isinstance(event, (Constructing, Constructed)) and not current.includes_caller()):
            if isinstance(event, Constructed):
                self._record_late_construction(event)
            return
        if trace is None or trace.transition is not current:
            # In a forked child process *trace* may be that of the parent, which is not ended here.
            before = event.before if isinstance(event, Moved) else None
            if before is State.EXITED:
                self._known.forget()
            restart = None if current.restarted is None else self.runs.restart_of(current.restarted.path)
            trace = self._trace = TransitionTrace(current, self._settings, self._known, before, restart)
            current.when_done(functools.partial(self._end, trace))
        if trace.root.is_recording():
            trace.record(event)
        if isinstance(event, Moved) and event.after is State.STOPPED:
            self.runs.end_all()
        if isinstance(event, Moved) and event.after is State.STARTED:
            # An exit that was requested meanwhile continues the transition, but has a trace of its own.
            self._end(trace)

    def _record_late_construction(self, event: Constructed) -> None:
        """Record a component that was constructed outside a transition, if the current span is recording."""
        if not get_current_span().is_recording():
            return
        now = time.time_ns()
        began = now - int(event.seconds * 1e9)
        attributes = {"typedbus.component": event.path, "typedbus.outcome": "constructed"}
        tracer = self._settings.tracer()
        tracer.start_span(f"construct {event.path}", attributes=attributes, start_time=began).end(now)

    def _end(self, trace: TransitionTrace) -> None:
        """End *trace*; the bus may call this twice at the end of its transition."""
        bus = self._bus()
        if self._trace is not trace or bus is None:
            return
        self._trace = None
        try:
            trace.end(bus.state, is_restart=bus.is_restarting)
            if bus.is_restarting and bus.state is State.EXITED:
                # The SDK exports at the end of the interpreter, which a replacement of the process skips.
                self._flush()
        except Exception as error:
            # The failure of a span processor must not fail the transition.
            bus.log(f"telemetry failed at the end of a transition:\n{traceback_of(error)}", ERROR)

    def _flush(self) -> None:
        settings = self._settings
        providers = settings.tracer_provider or get_tracer_provider(), settings.meter_provider or get_meter_provider()
        for provider in providers:
            # The API has no flush; providers of the SDK have one.
            flush = getattr(provider, "force_flush", None)
            if flush is not None:
                flush(_FLUSH_MILLIS)
