"""
The spans of one transition.

The span of the transition is a root: a start, a stop or an exit is not a part of the request in which it happens to be
called, and is linked to the span of that request instead. The span of a hook is current while the hook runs: the bus
copies the context of the thread of the transition for worker threads and for tasks right after it has published the
beginning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)

from typedbus._base.errors import StartCancelled
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Failed,
    LifecycleEvent,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus._base.failures import TransitionFailures
from typedbus._base.states import State
from typedbus.otel._failed_spans import record_failure
from typedbus.otel._settings import Settings

if TYPE_CHECKING:
    from typedbus._bus.transition import Transition

#: The name of a transition to each goal.
_GOALS: Final = {State.STARTED: "start", State.STOPPED: "stop", State.EXITED: "exit"}
#: The verb in the name of the span of a failed step, by the channel of its hook.
_VERBS: Final = {"start": "start", "stop": "stop", "exit": "exit", "assemble": "construct"}


@attrs.frozen(eq=False)
class _Step:
    """A step of a component under way: its span, when it began, and the context around it."""

    span: Span
    began: int
    outer_context: Context


@attrs.frozen(eq=False)
class KnownComponents:
    """
    The dependencies and starts of the components of a bus, for the spans of later transitions.

    Attributes:
        needs: The dependencies of each component, by path.
        starts: The span of the last start of each component, by path; "" for that of the bus.
    """

    needs: dict[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    starts: dict[str, SpanContext] = attrs.field(factory=dict[str, SpanContext])

    def forget(self) -> None:
        """Forget the components, which are constructed again."""
        self.needs.clear()
        self.starts.clear()


class TransitionTrace:
    """
    The spans of one transition.

    Args:
        transition: The transition.
        settings: Where to record.
        known: The dependencies and starts of the components.
        before: The state of the bus before it; None if telemetry began during the transition.
        restart: The span of the restart of a run of which the transition is a part; None for any other transition.

    Attributes:
        transition: The transition.
        root: Its span.
    """

    def __init__(
        self,
        transition: Transition,
        settings: Settings,
        known: KnownComponents,
        before: State | None,
        restart: Span | None = None,
    ) -> None:
        self.transition = transition
        self._is_start = transition.asked is State.STARTED and before is not State.STARTED
        name = f"typedbus {_GOALS[transition.asked if self._is_start else transition.goal]}"
        attributes = {} if before is None else {"typedbus.state.from": before.name}
        if transition.restarted is not None:
            path = transition.restarted.path
            name, attributes = f"restart {path}", {"typedbus.component": path}
        self._tracer = settings.tracer()
        self._known = known
        self._outer_context = get_current()
        caller = get_current_span(self._outer_context).get_span_context()
        self.root: Span = self._tracer.start_span(
            name,
            # Baggage of the caller is kept.
            set_span_in_context(restart or INVALID_SPAN, self._outer_context),
            attributes=attributes,
            links=[Link(caller)] if caller.is_valid else [],
        )
        if self._is_start and not transition.is_partial:
            known.starts[""] = self.root.get_span_context()
        self._context = set_span_in_context(self.root, self._outer_context)
        self._rollback: Span | None = None
        #: The steps under way, by verb and path.
        self._steps: dict[tuple[str, str], _Step] = {}
        #: The spans of constructed components, with the times of their ends; ended when the dependencies are known.
        self._constructed: dict[str, tuple[Span, int]] = {}
        self._paths: set[str] = set()
        attach(self._context)

    def record(self, event: LifecycleEvent) -> None:
        """Record *event*, in the thread that published it."""
        match event:
            case Moved(State.STARTING, State.STOPPING):
                self._rollback = self._tracer.start_span("rollback", self._context)
            case RolledBack():
                self._end_rollback()
            case Constructing(path):
                # The context is that of the assembly, or that of the hook of a resource, in any thread.
                self._begin("construct", path, get_current())
            case Constructed(path, seconds):
                step = self._steps.pop(("construct", path), None)
                if step is not None:
                    attach(step.outer_context)
                    self._constructed[path] = step.span, _end_of(step, seconds)
                    if path in self._known.needs:
                        # A resource, or a component that needs one, is subscribed before its construction.
                        self._end_construction(path)
            case Subscribed(path, _, needs):
                self._known.needs[path] = needs
                self._end_construction(path)
            case ComponentStarting(path):
                self._begin("start", path, self._context)
            case ComponentStopping(path):
                outer = self._rollback or self.root
                self._begin("stop", path, set_span_in_context(outer, self._context))
            case ComponentExiting(path):
                self._begin("exit", path, self._context)
            case ComponentStarted(path, seconds):
                self._returned("start", path, seconds, "started")
            case ComponentStopped(path, seconds):
                self._returned("stop", path, seconds, "stopped")
            case ComponentExited(path, seconds):
                self._returned("exit", path, seconds, "exited")
            case Failed(path, hook, seconds, error):
                self._failed(_VERBS.get(hook, hook), path, seconds, error)
            case _:
                pass

    def _begin(self, verb: str, path: str, outer_context: Context) -> None:
        """Begin the span of a step, and make it current; *outer_context* is current again at its end."""
        began = time.time_ns()
        self._paths.add(path)
        attributes: dict[str, str | tuple[str, ...]] = {"typedbus.component": path}
        if needs := self._known.needs.get(path):
            attributes["typedbus.needs"] = needs
        span = self._tracer.start_span(f"{verb} {path}", outer_context, attributes=attributes, start_time=began)
        self._steps[verb, path] = _Step(span, began, outer_context)
        if verb == "start":
            self._known.starts[path] = span.get_span_context()
        attach(set_span_in_context(span, outer_context))

    def _returned(self, verb: str, path: str, seconds: float, outcome: str) -> None:
        step = self._steps.pop((verb, path), None)
        if step is not None:
            attach(step.outer_context)
            step.span.set_attribute("typedbus.outcome", outcome)
            step.span.end(_end_of(step, seconds))

    def _failed(self, verb: str, path: str, seconds: float, error: BaseException) -> None:
        is_cancelled = isinstance(error, StartCancelled) and self.transition.goal is not State.STARTED
        # A constructor may have failed: in the assembly, whose path may be that of the container, or in a start hook.
        constructing = [key for key in self._steps if key[0] == "construct" and (verb == "construct" or key[1] == path)]
        steps = [self._steps.pop(key) for key in (*constructing[-1:], (verb, path)) if key in self._steps]
        if not steps and verb == "construct":
            record_failure(self.root, error)
            return
        if not steps:
            # The hook was not called, since the hooks before it had used up the time.
            self._begin(verb, path, self._context)
            steps = [self._steps.pop((verb, path))]
        for step in steps:
            attach(step.outer_context)
            step.span.set_attribute("typedbus.outcome", "cancelled" if is_cancelled else "failed")
            if not is_cancelled:
                record_failure(step.span, error)
            step.span.end(_end_of(step, seconds))

    def _end_construction(self, path: str) -> None:
        if path in self._constructed:
            span, ended = self._constructed.pop(path)
            if needs := self._known.needs.get(path):
                span.set_attribute("typedbus.needs", needs)
            span.set_attribute("typedbus.outcome", "constructed")
            span.end(ended)

    def _end_rollback(self) -> None:
        if self._rollback is not None:
            self._rollback.end()
            self._rollback = None

    def _end_open_spans(self) -> None:
        """End the spans of components that were constructed but not subscribed, and of interrupted steps."""
        for path in list(self._constructed):
            self._end_construction(path)
        self._end_rollback()
        for step in self._steps.values():
            step.span.end()

    def end(self, reached: State, *, is_restart: bool) -> None:
        """End the span of the transition, which has ended in the state *reached*, and the spans that are left."""
        transition, root = self.transition, self.root
        attach(self._outer_context)  # first, since a span processor may fail
        self._end_open_spans()
        if transition.is_partial:
            self._end_partial()
            return
        if not self._is_start and reached in _GOALS:
            # A stop may have continued to the exit.
            name = "restart" if is_restart and reached is State.EXITED else _GOALS[reached]
            root.update_name(f"typedbus {name}")
        root.set_attribute("typedbus.state.to", reached.name)
        root.set_attribute("typedbus.components", len(self._paths))
        error, outcome = transition.outcome, reached.name.lower()
        if isinstance(error, StartCancelled):
            outcome, error = "cancelled", error.__cause__
        elif error is not None:
            outcome = "failed"
        root.set_attribute("typedbus.outcome", outcome)
        if error is not None:
            # The events for the failures are in the spans of the steps.
            record_failure(root, error, has_event=not isinstance(error, TransitionFailures))
        root.end()

    def _end_partial(self) -> None:
        """End the span of a restart of a component and its users."""
        outcome = "started" if self.transition.goal is State.STARTED else "cancelled"
        if self.transition.has_failed:
            outcome = "failed"
            self.root.set_status(Status(StatusCode.ERROR))
        self.root.set_attribute("typedbus.components", len(self._paths))
        self.root.set_attribute("typedbus.outcome", outcome)
        self.root.end()


def _end_of(step: _Step, seconds: float) -> int:
    """Return when *step*, which took *seconds* by the clock of the bus, ended; at most now."""
    return min(step.began + max(0, int(seconds * 1e9)), time.time_ns())
