"""
Spans of the restarts of runs, from the events of runs.

A run lasts as long as the bus is started, so it has no span of its own. Each restart has a span, from the failure to
the next call. This span is a root, linked to the span of the start of the component, which may have ended days ago.
"""

from __future__ import annotations

import time

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext

from typedbus._base.run_events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp
from typedbus.otel._failed_spans import record_failure
from typedbus.otel._settings import Settings


class RunSpans:
    """
    Records the restarts of the runs of one bus.

    Args:
        settings: Where to record.
        starts: The spans in which components were started, by path; "" for that of the start of the bus.
    """

    def __init__(self, settings: Settings, starts: dict[str, SpanContext]) -> None:
        self.settings = settings
        self._starts = starts
        #: The restarts under way, by the path of the run.
        self._restarts: dict[str, Span] = {}

    def record(self, event: RunEvent) -> None:
        """Record *event*, in the thread of the run; the listener of `RUNS`."""
        match event:
            case RunBroke(path, _, error, attempt, _):
                span = self._restarts[path] = self._begin(f"restart run {path}", path, time.time_ns())
                span.set_attribute("typedbus.attempt", attempt + 1)
                record_failure(span, error)
            case RunBegan(path):
                self._end(path, "started")
            case RunEnded(path):
                self._end(path, "cancelled")
            case RunGaveUp(path, _, error):
                if path not in self._restarts:
                    self._restarts[path] = self._begin(f"run {path}", path, time.time_ns())
                record_failure(self._restarts[path], error)
                self._end(path, "failed")
            case _:
                pass

    def _begin(self, name: str, path: str, now: int) -> Span:
        start = self._starts.get(path) or self._starts.get(path.rpartition(".")[0]) or self._starts.get("")
        links = [] if start is None else [Link(start)]
        attributes = {"typedbus.component": path}
        # Not the current context: listeners that ran in the thread of the run may have changed it.
        return self.settings.tracer().start_span(name, Context(), attributes=attributes, links=links, start_time=now)

    def _end(self, path: str, outcome: str) -> None:
        span = self._restarts.pop(path, None)
        if span is not None:
            span.set_attribute("typedbus.outcome", outcome)
            span.end()

    def end_all(self) -> None:
        """End the spans of restarts that a stop has cancelled during their pause."""
        for path in list(self._restarts):
            self._end(path, "cancelled")

    def restart_of(self, component: str) -> Span | None:
        """Return the span of the restart under way of a run of *component*; None without a restart."""
        for path, span in list(self._restarts.items()):
            if path == component or path.startswith(f"{component}."):
                return span
        return None
