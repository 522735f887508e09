"""
The duration of a start: in total, and of each component in it.

A `Report` listens to the life cycle and records each event with its time. The
events are evaluated only when a result is requested, so as not to slow the start.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterable
from typing import Final, Self

import attrs

from typedbus._base.events import Disabled, Failed, LifecycleEvent, ListenerFailed, Moved, RolledBack, Subscribed
from typedbus._base.exports import export
from typedbus._base.run_events import RunBegan, RunEvent, RunReady
from typedbus._base.states import State
from typedbus._bus.builtin import LIFECYCLE, RUNS
from typedbus._bus.bus import Bus
from typedbus.report._records import (
    ComponentRecord,
    CriticalPath,
    FailureRecord,
    Outcome,
    RunStart,
    Span,
    StartRecord,
    TimedEvent,
    record_of,
)

__all__ = ("ComponentRecord", "CriticalPath", "FailureRecord", "Outcome", "Report", "RunStart", "Span", "StartRecord")

FORMAT: Final = 1


@attrs.define(eq=False)
class Report:
    """
    Records the start of a bus, and reports how long each step took.

    It holds the last start, from its beginning; a new start replaces it. It must
    receive every event of `LIFECYCLE`, in order; runs are reported if it receives the
    events of `RUNS` as well. Results may be requested at any time and from any thread.

    Attributes:
        clock: Gives the times of the beginnings, in seconds; durations come from the bus.
        runs: Gives the paths of the runs of the bus, including runs that have not begun.
    """

    clock: Callable[[], float] = time.monotonic
    runs: Callable[[], Iterable[str]] = tuple
    _events: list[TimedEvent] = attrs.field(factory=list, init=False)
    #: Events from earlier starts, by path, of components that are not constructed again.
    _earlier_events: dict[str, Subscribed | Disabled] = attrs.field(factory=dict, init=False)
    _is_recording: bool = attrs.field(default=False, init=False)
    #: When each run was first called, and first ready, since the beginning of the start.
    _begun: dict[str, float] = attrs.field(factory=dict, init=False)
    _ready: dict[str, float] = attrs.field(factory=dict, init=False)

    @classmethod
    @contextlib.contextmanager
    def of(cls, bus: Bus) -> Generator[Self, None, None]:
        """Return a context manager for a report that listens to *bus* and uses its clock."""
        report = cls(bus.clock.now, lambda: bus.runs)
        with bus[LIFECYCLE].subscribe(report.record_event), bus[RUNS].subscribe(report.record_run):
            yield report

    def record_event(self, event: LifecycleEvent, /) -> None:
        """Record *event*; the listener of `LIFECYCLE`."""
        record: LifecycleEvent | FailureRecord = event
        match event:
            case Moved(State.EXITED, State.STARTING):
                self._earlier_events = {}
                self.begin()
            case Moved(_, State.STARTING):
                for _, earlier in self._events:
                    if isinstance(earlier, (Subscribed, Disabled)):
                        self._earlier_events[earlier.path] = earlier
                self.begin()
            case Failed(path, hook, seconds, error):
                # As text: its traceback would keep objects alive.
                record = FailureRecord(path, hook, seconds, _text_of(error))
            case RolledBack(seconds, _, paths):
                record = RolledBack(seconds, None, paths)
            case ListenerFailed():
                return  # a publish is no part of a start
            case _:
                pass
        if self._is_recording:
            self._events.append((self.clock(), record))
        # The events of a rollback may come after the stop.
        if isinstance(event, Moved) and event.after in (State.STARTED, State.EXITING):
            self._is_recording = False

    def record_run(self, event: RunEvent, /) -> None:
        """Record *event*; the listener of `RUNS`. Only the first call of each run counts, even after the start."""
        match event:
            case RunBegan(path):
                self._begun.setdefault(path, self.clock())
            case RunReady(path):
                self._ready.setdefault(path, self.clock())
            case _:
                pass

    def begin(self) -> None:
        """
        Begin the record of a start now.

        Call it only for a report that is created while the bus starts: it has no times of the steps before.
        """
        self._events = []
        self._begun, self._ready = {}, {}
        self._is_recording = True

    def record(self) -> StartRecord:
        """Return the last start as it stands now."""
        events, earlier_events = list(self._events), self._earlier_events
        if not events:
            return StartRecord(Outcome.NOT_STARTED, 0.0, (), (), (), None)
        begun, ready = dict(self._begun), dict(self._ready)
        runs = [(path, begun.get(path), ready.get(path)) for path in dict.fromkeys([*self.runs(), *begun])]
        return record_of(events, earlier_events.values(), runs, self.clock())

    def table(self) -> str:
        """Return the last start as plain text, for a reader: the components, the critical path and the slowest ten."""
        return _table(self.record())

    def json(self) -> str:
        """Return the last start as JSON; docs/how-to/see-a-start.md has the schema."""
        return _json(self.record())

    def trace(self) -> str:
        """
        Return the last start in the Chrome trace event format, for Perfetto or chrome://tracing.

        Overlapping spans are in separate lanes.
        """
        return _trace(self.record())


def _text_of(error: BaseException) -> str:
    import traceback  # only needed for failures

    return "".join(traceback.format_exception_only(error)).strip()


def _ms(seconds: float | None) -> str:
    return f"{'-' if seconds is None else format(seconds * 1000, '.1f'):>10}"


def _table(record: StartRecord) -> str:
    """Numbers come first and paths last, so that long paths do not break the alignment."""
    outcomes = [component.outcome for component in record.components if component.outcome is not Outcome.DISABLED]
    count = outcomes.count(Outcome.STARTED) + outcomes.count(Outcome.ROLLED_BACK)
    head = f"{record.outcome.value} in {record.seconds * 1000:.1f} ms: {count} of {len(outcomes)} had started"
    if record.rollback is not None:
        head += f", {len(record.rolled_back)} stopped again in {record.rollback * 1000:.1f} ms"
    lines = [head]
    for failure in record.failures:
        lines.append(f"failed   {failure.path} in {failure.hook} ({failure.seconds * 1000:.1f} ms)")
        lines.extend(f"         {line}" for line in failure.error.splitlines())
    lines += ["", "  began ms construct subscribe     start  outcome      component"]
    for component in record.components:
        spans = component.spans
        lines.append(
            _ms(spans[0][1].began if spans else None)
            + _ms(None if component.construct is None else component.construct.seconds)
            + _ms(None if component.subscribe is None else component.subscribe.seconds)
            + _ms(component.start_seconds if component.starts else None)
            + f"  {component.outcome.value:<12} {component.path}"
            + (f": {component.reason}" if component.outcome is Outcome.DISABLED else "")
        )
    publishers = [component for component in record.components if component.after]
    lines += ["", "after the listeners of their channels"] if publishers else []
    lines += [f"  {component.path} after {', '.join(component.after)}" for component in publishers]
    listeners = [component for component in record.components if component.functions is not None]
    lines += ["", "functions that listen"] if listeners else []
    lines += [f"  {component.path}: {', '.join(component.functions or ()) or 'none'}" for component in listeners]
    runs = [run for component in record.components for run in component.runs]
    lines += ["", "runs", "  began ms  ready ms  run"] if runs else []
    lines += [f"{_ms(run.began)}{_ms(run.ready)}  {run.path}" for run in runs]
    path = record.critical_path
    lines += ["", f"critical path: {path.seconds * 1000:.1f} ms", "  began ms     start  component"]
    lines += [f"{_ms(link.starts[0].began)}{_ms(link.start_seconds)}  {link.path}" for link in path.links]
    lines += ["", "slowest", "  total ms  component"]
    lines += [f"{_ms(component.seconds)}  {component.path}" for component in record.slowest]
    return "\n".join(lines) + "\n"


def _json(record: StartRecord) -> str:
    def values(span: Span) -> dict[str, float]:
        return {"began": float(span.began), "seconds": float(span.seconds)}

    return json.dumps(
        {
            "format": FORMAT,
            "outcome": record.outcome.value,
            "seconds": float(record.seconds),
            "components": [
                {
                    "path": component.path,
                    "outcome": component.outcome.value,
                    "reason": component.reason,
                    "needs": component.needs,
                    "after": component.after,
                    "functions": component.functions,
                    "construct": None if component.construct is None else values(component.construct),
                    "subscribe": None if component.subscribe is None else values(component.subscribe),
                    "starts": [values(span) for span in component.starts],
                    "seconds": float(component.seconds),
                    "runs": [attrs.asdict(run) for run in component.runs],
                }
                for component in record.components
            ],
            "failures": [attrs.asdict(failure) for failure in record.failures],
            "rollback": None
            if record.rollback is None
            else {"seconds": float(record.rollback), "paths": record.rolled_back},
            "critical_path": {
                "seconds": float(record.critical_path.seconds),
                "paths": [link.path for link in record.critical_path.links],
            },
            "slowest": [component.path for component in record.slowest],
        },
        indent=2,
    )


def _trace(record: StartRecord) -> str:
    spans = [(span, name, component) for component in record.components for name, span in component.spans]
    ends: list[float] = []  # of each lane
    events: list[dict[str, object]] = [
        {
            "name": record.outcome.value,
            "cat": "bus",
            "ph": "X",
            "pid": 1,
            "tid": 0,
            **_micros(Span(0.0, record.seconds)),
        }
    ]
    for span, name, component in sorted(spans, key=lambda item: item[0].began):
        # Sums of the same numbers in another order may differ in the last digit.
        lane = next((index for index, end in enumerate(ends) if end <= span.began + 1e-9), len(ends))
        ends[lane : lane + 1] = [span.ended]
        args = {"outcome": component.outcome.value, "needs": component.needs, "after": component.after}
        events.append(
            {"name": component.path, "cat": name, "ph": "X", "pid": 1, "tid": lane + 1, **_micros(span), "args": args}
        )
    names = ["bus", *(f"lane {number}" for number in range(1, len(ends) + 1))]
    events.extend(
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": name}}
        for number, name in enumerate(names)
    )
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _micros(span: Span) -> dict[str, float]:
    return {"ts": round(span.began * 1e6, 3), "dur": round(span.seconds * 1e6, 3)}


export(globals())
