"""The report of a start, derived from its life-cycle events."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

import pytest

from typedbus import START, Bus, Channel, Component, Container, Listeners, State, TransitionFailures
from typedbus.events import (
    LIFECYCLE,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus.report import Outcome, Report, Span
from typedbus.testing import FakeClock, running

Step: TypeAlias = LifecycleEvent | float

START_BEGINS = Moved(State.STOPPED, State.STARTING)
START_SUCCEEDS = Moved(State.STARTING, State.STARTED)
ROLLBACK_BEGINS = Moved(State.STARTING, State.STOPPING)
ROLLBACK_ENDS = Moved(State.STOPPING, State.STOPPED)


def report_of(*script: Step) -> Report:
    """Return a report of the events of *script*, on a clock that its numbers advance."""
    bus, clock = Bus(), FakeClock(now=1000.0)
    report = Report(clock.now)
    bus[LIFECYCLE].subscribe(report.record_event)
    for step in script:
        if isinstance(step, (int, float)):
            clock.advance(step, sleepers=0)
        else:
            bus[LIFECYCLE].publish(step)
    return report


def subscribed(path: str, *needs: str) -> Subscribed:
    """Return the event of a component that is ready to start."""
    return Subscribed(path, 0.0, needs)


def started(path: str, seconds: float) -> tuple[Step, ...]:
    """Return the events of a start hook that takes *seconds*."""
    return ComponentStarting(path), seconds, ComponentStarted(path, seconds)


FAILED_START: tuple[Step, ...] = (
    START_BEGINS,
    Disabled("Shop.mail", "no host is set"),
    *(subscribed(path) for path in ("Shop.database", "Shop.web", "Shop.jobs")),
    *started("Shop.database", 2.0),
    ComponentStarting("Shop.web"),
    0.5,
    Failed("Shop.web", "start", 0.5, OSError("port taken")),
    ROLLBACK_BEGINS,
    0.25,
    ComponentStopped("Shop.database", 0.25),
    RolledBack(0.25, None, ("Shop.database",)),
    ROLLBACK_ENDS,
)


def test_each_part_of_a_start_has_its_begin_and_duration() -> None:
    """Constructor, subscribing and start hooks of a component are spans, counted from the beginning of the start."""
    report = report_of(
        7.0,
        START_BEGINS,
        1.0,
        Constructing("Shop.database"),
        2.0,
        Constructed("Shop.database", 2.0),
        0.5,
        Subscribed("Shop.database", 0.5, ("Shop.settings",)),
        *started("Shop.database", 3.0),
        *started("Shop.database", 4.0),
        START_SUCCEEDS,
        9.0,
    )

    record = report.record()
    (database,) = record.components

    assert (record.outcome, record.seconds) == (Outcome.STARTED, 10.5)
    assert (database.construct, database.subscribe) == (Span(1.0, 2.0), Span(3.0, 0.5))
    assert database.starts == (Span(3.5, 3.0), Span(6.5, 4.0))
    assert (database.start_seconds, database.seconds) == (7.0, 9.5)
    assert database.needs == ("Shop.settings",)


def test_concurrent_hooks_have_their_own_begins() -> None:
    """Events in between do not belong to the hook that began first."""
    report = report_of(
        START_BEGINS,
        ComponentStarting("a"),
        1.0,
        ComponentStarting("b"),
        2.0,
        ComponentStarted("a", 3.0),
        1.0,
        ComponentStarted("b", 3.0),
        START_SUCCEEDS,
    )

    assert [component.starts for component in report.record().components] == [(Span(0.0, 3.0),), (Span(1.0, 3.0),)]


def test_a_span_ends_no_later_than_its_event() -> None:
    """A begin that is published late is moved back, so that two hooks of one thread do not seem to overlap."""
    report = report_of(
        START_BEGINS, 1.0, ComponentStarting("a"), 2.0, ComponentStarted("a", 3.0), *started("b", 1.0), START_SUCCEEDS
    )

    first, second = report.record().components

    assert first.starts == (Span(0.0, 3.0),)
    assert second.starts[0].began == first.starts[0].ended


@pytest.mark.parametrize(
    ("path", "outcome", "reason"),
    [
        ("Shop.database", Outcome.ROLLED_BACK, ""),
        ("Shop.web", Outcome.FAILED, "OSError: port taken"),
        ("Shop.jobs", Outcome.NOT_STARTED, ""),
        ("Shop.mail", Outcome.DISABLED, "no host is set"),
    ],
)
def test_each_component_of_a_failed_start_has_its_outcome(path: str, outcome: Outcome, reason: str) -> None:
    """Failed, rolled back, never started and disabled components are distinguished."""
    record = report_of(*FAILED_START).record()
    (component,) = (component for component in record.components if component.path == path)

    assert (component.outcome, component.reason) == (outcome, reason)


def test_a_failed_start_has_its_failures_and_its_rollback() -> None:
    """The time of the rollback is not part of the start."""
    record = report_of(*FAILED_START).record()

    assert (record.outcome, record.seconds) == (Outcome.FAILED, 2.5)
    assert [(failure.path, failure.hook, failure.seconds, failure.error) for failure in record.failures] == [
        ("Shop.web", "start", 0.5, "OSError: port taken")
    ]
    assert (record.rolled_back, record.rollback) == (("Shop.database",), 0.25)


def test_a_rollback_published_after_the_stop_is_part_of_the_start() -> None:
    """The events of a start end with the next transition, not with the state."""
    *before, rolled_back, down = FAILED_START

    assert report_of(*before, down, rolled_back).record() == report_of(*before, rolled_back, down).record()


def test_a_cancelled_start_is_rolled_back_and_not_failed() -> None:
    """Components that had not begun have not started."""
    cancelled: tuple[Step, ...] = (
        START_BEGINS,
        subscribed("a"),
        subscribed("b"),
        *started("a", 1.0),
        ROLLBACK_BEGINS,
        RolledBack(0.0, None, ("a",)),
    )

    record = report_of(*cancelled).record()

    assert record.outcome is Outcome.ROLLED_BACK
    assert [component.outcome for component in record.components] == [Outcome.ROLLED_BACK, Outcome.NOT_STARTED]


@pytest.mark.parametrize("path", ["Shop.broken", "Shop"])
def test_a_failing_constructor_is_a_failure_of_its_component(path: str) -> None:
    """Whether the event names the component or its container."""
    report = report_of(
        START_BEGINS,
        Constructing("Shop.a"),
        Constructed("Shop.a", 0.0),
        1.0,
        Constructing("Shop.broken"),
        2.0,
        Failed(path, "assemble", 3.0, OSError("no database")),
        ROLLBACK_BEGINS,
    )

    built, broken = report.record().components

    assert (built.outcome, broken.outcome) == (Outcome.NOT_STARTED, Outcome.FAILED)
    assert (broken.construct, broken.reason) == (Span(1.0, 2.0), "OSError: no database")


def test_a_component_without_a_start_hook_has_started_with_the_bus() -> None:
    """A disabled component has not."""
    record = report_of(START_BEGINS, Disabled("Shop.mail", "off"), subscribed("Shop.settings"), START_SUCCEEDS).record()

    assert [component.outcome for component in record.components] == [Outcome.DISABLED, Outcome.STARTED]


def test_a_running_start_is_reported_up_to_the_present() -> None:
    """Another thread can look at a start that hangs."""
    record = report_of(
        START_BEGINS, subscribed("a"), subscribed("b"), *started("a", 1.0), ComponentStarting("b"), 4.0
    ).record()

    assert (record.outcome, record.seconds) == (Outcome.NOT_STARTED, 5.0)
    assert [component.outcome for component in record.components] == [Outcome.STARTED, Outcome.NOT_STARTED]


def test_events_after_the_start_are_not_part_of_it() -> None:
    """Neither a failing stop nor a later construction changes the report."""
    start: tuple[Step, ...] = (START_BEGINS, *started("a", 1.0), START_SUCCEEDS)
    later: tuple[Step, ...] = (
        Constructing("late"),
        Moved(State.STARTED, State.STOPPING),
        Failed("a", "stop", 1.0, OSError("disk full")),
        ROLLBACK_ENDS,
    )

    assert report_of(*start, *later).record() == report_of(*start).record()


def test_a_new_start_replaces_the_one_before() -> None:
    """Its times and failures are dropped."""
    report = report_of(
        *FAILED_START, 5.0, START_BEGINS, *started("Shop.database", 1.0), *started("Shop.web", 1.0), START_SUCCEEDS
    )

    record = report.record()

    assert (record.outcome, record.seconds, record.failures, record.rollback) == (Outcome.STARTED, 2.0, (), None)
    assert sum(component.seconds for component in record.components) == 2.0


def test_a_start_after_a_stop_keeps_the_dependencies() -> None:
    """Existing components are not subscribed again; disabled components stay disabled."""
    first: tuple[Step, ...] = (
        START_BEGINS,
        Disabled("c", "off"),
        subscribed("a"),
        subscribed("b", "a"),
        START_SUCCEEDS,
    )
    following: tuple[Step, ...] = (
        Moved(State.STARTED, State.STOPPING),
        ROLLBACK_ENDS,
        START_BEGINS,
        *started("a", 1.0),
        *started("b", 1.0),
        START_SUCCEEDS,
    )

    record = report_of(*first, *following, *following).record()

    assert [link.path for link in record.critical_path.links] == ["a", "b"]
    assert {component.path: component.reason for component in record.components} == {"a": "", "b": "", "c": "off"}


def test_a_start_after_an_exit_keeps_no_components() -> None:
    """All components are constructed and subscribed again."""
    first: tuple[Step, ...] = (START_BEGINS, subscribed("a"), subscribed("gone"), START_SUCCEEDS)
    following: tuple[Step, ...] = (
        Moved(State.STARTED, State.STOPPING),
        ROLLBACK_ENDS,
        Moved(State.STOPPED, State.EXITING),
    )
    again: tuple[Step, ...] = (
        Moved(State.EXITING, State.EXITED),
        Moved(State.EXITED, State.STARTING),
        subscribed("a"),
        START_SUCCEEDS,
    )

    assert [component.path for component in report_of(*first, *following, *again).record().components] == ["a"]


def test_the_critical_path_is_the_longest_chain_of_dependencies() -> None:
    """Not the chain of the last component, which is arbitrary in a sequential start; it passes through components without hooks."""
    report = report_of(
        START_BEGINS,
        subscribed("database"),
        subscribed("cache"),
        subscribed("models", "database", "cache"),
        subscribed("web", "models"),
        subscribed("alone"),
        *started("database", 3.0),
        *started("cache", 1.0),
        *started("web", 2.0),
        *started("alone", 4.0),
        START_SUCCEEDS,
    )

    path = report.record().critical_path

    assert ([link.path for link in path.links], path.seconds) == (["database", "web"], 5.0)


def test_a_chain_of_any_length_has_a_critical_path() -> None:
    """It is followed without recursion."""
    paths = [f"part{number}" for number in range(5000)]
    needs = [subscribed(path, *before) for path, before in zip(paths, [(), *((path,) for path in paths)])]

    record = report_of(
        START_BEGINS, *needs, *itertools.chain(*(started(path, 1.0) for path in paths)), START_SUCCEEDS
    ).record()

    assert record.critical_path.seconds == 5000.0


def test_the_slowest_ten_components_are_sorted_by_their_total_time() -> None:
    """Construction counts as well as start; the eleventh is left out."""
    construction: tuple[Step, ...] = (Constructing("built"), 50.0, Constructed("built", 50.0))
    hooks = itertools.chain(*(started(f"part{number}", float(number)) for number in range(11)))

    slowest = report_of(START_BEGINS, *construction, *hooks, START_SUCCEEDS).record().slowest

    assert [component.path for component in slowest] == ["built", *(f"part{number}" for number in range(10, 1, -1))]


def test_the_construction_within_a_start_is_a_part_of_the_start() -> None:
    """A resource, and a component that needs one, is subscribed first, and built by a step of its start."""
    report = report_of(
        START_BEGINS,
        subscribed("client"),
        subscribed("user", "client"),
        ComponentStarting("client"),
        1.0,
        Constructing("client"),
        2.0,
        Constructed("client", 2.0),
        4.0,
        ComponentStarted("client", 7.0),
        ComponentStarting("user"),
        Constructing("user"),
        8.0,
        Constructed("user", 8.0),
        ComponentStarted("user", 8.0),
        START_SUCCEEDS,
    )

    client, user = report.record().components

    assert (client.construct, client.starts) == (Span(1.0, 2.0), (Span(0.0, 7.0),))
    assert (client.seconds, user.seconds, user.needs) == (7.0, 8.0, ("client",))
    assert report.record().critical_path.seconds == 15.0


def test_a_report_does_not_keep_exceptions_alive() -> None:
    """An exception keeps the frames of its traceback alive."""

    class StartError(Exception):
        pass

    error = StartError("text")
    report = report_of(START_BEGINS, Failed("a", "start", 0.0, error), ROLLBACK_BEGINS)
    reference = weakref.ref(error)

    del error
    gc.collect()

    assert reference() is None
    assert report.record().failures[0].error.endswith("StartError: text")


def test_a_table_has_a_row_for_each_component() -> None:
    """Milliseconds are aligned, and a part that did not take place is a dash."""
    report = report_of(
        START_BEGINS,
        0.001,
        Constructing("Shop.a"),
        1.5,
        Constructed("Shop.a", 1.5),
        Subscribed("Shop.plugins[tea:gauge].gauge", 0.002, ()),
        *started("Shop.a", 0.25),
        START_SUCCEEDS,
    )

    head, _, titles, first, second, *_ = report.table().splitlines()

    assert head == "started in 1751.0 ms: 2 of 2 had started"
    assert titles == "  began ms construct subscribe     start  outcome      component"
    assert first == "       1.0    1500.0         -     250.0  started      Shop.a"
    assert second == "    1499.0         -       2.0         -  started      Shop.plugins[tea:gauge].gauge"


def test_a_table_ends_with_the_critical_path_and_the_slowest_components() -> None:
    """Each with its own times."""
    report = report_of(
        START_BEGINS, subscribed("a"), subscribed("b", "a"), *started("a", 2.0), *started("b", 1.0), START_SUCCEEDS
    )

    assert report.table().splitlines()[-9:] == [
        "critical path: 3000.0 ms",
        "  began ms     start  component",
        "       0.0    2000.0  a",
        "    2000.0    1000.0  b",
        "",
        "slowest",
        "  total ms  component",
        "    2000.0  a",
        "    1000.0  b",
    ]


def test_the_table_of_a_failed_start_begins_with_the_failure() -> None:
    """With its hook and error, and the numbers of components that had started and were stopped."""
    table = report_of(*FAILED_START).table()

    assert table.splitlines()[:3] == [
        "failed in 2500.0 ms: 1 of 3 had started, 1 stopped again in 250.0 ms",
        "failed   Shop.web in start (500.0 ms)",
        "         OSError: port taken",
    ]
    assert "         -         -         -         -  disabled     Shop.mail: no host is set" in table.splitlines()


def test_a_table_fits_into_eighty_columns() -> None:
    """If paths have their usual length."""
    assert max(map(len, report_of(*FAILED_START).table().splitlines())) <= 80


def test_json_has_all_data_in_a_stable_order() -> None:
    """The format has a number, and seconds are floats."""
    data = json.loads(report_of(*FAILED_START).json())
    database = next(component for component in data["components"] if component["path"] == "Shop.database")

    assert list(data) == [
        "format",
        "outcome",
        "seconds",
        "components",
        "failures",
        "rollback",
        "critical_path",
        "slowest",
    ]
    assert (data["format"], data["outcome"], data["seconds"]) == (1, "failed", 2.5)
    assert list(database.items()) == [
        ("path", "Shop.database"),
        ("outcome", "rolled back"),
        ("reason", ""),
        ("needs", []),
        ("after", []),
        ("functions", None),
        ("construct", None),
        ("subscribe", {"began": 0.0, "seconds": 0.0}),
        ("starts", [{"began": 0.0, "seconds": 2.0}]),
        ("seconds", 2.0),
        ("runs", []),
    ]
    assert data["failures"] == [{"path": "Shop.web", "hook": "start", "seconds": 0.5, "error": "OSError: port taken"}]
    assert data["rollback"] == {"seconds": 0.25, "paths": ["Shop.database"]}
    assert data["critical_path"] == {"seconds": 2.0, "paths": ["Shop.database"]}
    assert data["slowest"][:2] == ["Shop.database", "Shop.web"]


def test_overlapping_hooks_have_different_lanes_in_a_trace() -> None:
    """A lane is reused as soon as it is free."""
    trace = json.loads(
        report_of(
            START_BEGINS,
            ComponentStarting("a"),
            1.0,
            ComponentStarting("b"),
            1.0,
            ComponentStarted("a", 2.0),
            ComponentStarting("c"),
            1.0,
            ComponentStarted("b", 2.0),
            ComponentStarted("c", 1.0),
            START_SUCCEEDS,
        ).trace()
    )

    spans = {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}
    lane_names = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}

    assert {name: span["tid"] for name, span in spans.items()} == {"started": 0, "a": 1, "b": 2, "c": 1}
    assert (spans["b"]["ts"], spans["b"]["dur"], spans["b"]["cat"]) == (1e6, 2e6, "start")
    assert lane_names == {0: "bus", 1: "lane 1", 2: "lane 2"}


@pytest.mark.parametrize("render", [Report.table, Report.json, Report.trace], ids=lambda render: render.__name__)
def test_a_report_without_events_can_be_render(render: Callable[[Report], str]) -> None:
    """It reports that the start has not begun."""
    assert "not started" in render(Report())


class Part:
    """A component whose start takes time on a fake clock, and raises *error* if it is given."""

    def __init__(self, clock: FakeClock, seconds: float, *needed: object, error: Exception | None = None) -> None:
        self.clock = clock
        self.seconds = seconds
        self.error = error

    def start(self) -> None:
        self.clock.advance(self.seconds, sleepers=0)
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self.clock.advance(0.5, sleepers=0)


def test_a_report_of_a_container_uses_the_clock_of_its_bus() -> None:
    """`Report.of` listens during its block, and takes the dependencies from the container."""

    class Shop(Container):
        clock = Component(FakeClock)
        bus = Component(Bus, clock=clock.provided)
        web = Component(Part, clock.provided, 2.0)
        jobs = Component(Part, clock.provided, 1.0, web.provided)

    shop = Shop()
    with Report.of(shop.attach()) as report:
        with running(shop):
            pass

    record = report.record()
    starts = {component.path: component.starts for component in record.components if component.starts}

    assert starts == {"Shop.web": (Span(0.0, 2.0),), "Shop.jobs": (Span(2.0, 1.0),)}
    assert [link.path for link in record.critical_path.links] == ["Shop.web", "Shop.jobs"]
    assert not shop.bus()[LIFECYCLE].subscriptions


def test_a_failed_start_of_a_container_is_reported() -> None:
    """With the failed component, the rollback, and the components that were not reached."""

    class Shop(Container):
        clock = Component(FakeClock)
        bus = Component(Bus, clock=clock.provided)
        web = Component(Part, clock.provided, 2.0)
        jobs = Component(Part, clock.provided, 1.0, web.provided, error=OSError("no work"))
        late = Component(Part, clock.provided, 1.0, jobs.provided)

    shop = Shop()
    with Report.of(shop.attach()) as report, pytest.raises(TransitionFailures):
        shop.bus().start()

    record = report.record()
    outcomes = {component.path: component.outcome for component in record.components}

    assert (record.outcome, record.seconds, record.rollback) == (Outcome.FAILED, 3.0, 0.5)
    assert outcomes["Shop.web"] is Outcome.ROLLED_BACK
    assert outcomes["Shop.jobs"] is Outcome.FAILED
    assert outcomes["Shop.late"] is Outcome.NOT_STARTED


def test_components_that_start_concurrently_have_different_lanes() -> None:
    """The trace of a start with workers shows the overlap."""
    both = threading.Barrier(2, timeout=10)

    class Concurrent:
        def start(self) -> None:
            both.wait()

    class Shop(Container):
        bus = Component(Bus, workers=2)
        first = Component(Concurrent)
        second = Component(Concurrent)

    shop = Shop()
    with Report.of(shop.attach()) as report, running(shop):
        trace = json.loads(report.trace())

    lanes = [event["tid"] for event in trace["traceEvents"] if event.get("cat") == "start"]

    assert len(set(lanes)) == 2


def test_a_report_makes_a_few_calls_for_each_event_of_a_start() -> None:
    """The record is computed when it is requested."""
    bus = Bus()
    report = Report()
    events: list[LifecycleEvent] = [START_BEGINS]
    for number in range(1000):
        path = f"Shop.part{number}"
        events += [
            Constructing(path),
            Constructed(path, 0.0),
            Subscribed(path, 0.0, ()),
            ComponentStarting(path),
            ComponentStarted(path, 0.0),
        ]
    events.append(START_SUCCEEDS)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    bus[LIFECYCLE].subscribe(report.record_event)
    sys.setprofile(count)
    try:
        for event in events:
            bus[LIFECYCLE].publish(event)
    finally:
        sys.setprofile(None)

    assert len(report.record().components) == 1000
    assert calls / len(events) < 10


def test_the_hooks_of_a_mixed_container_are_reported_alike() -> None:
    """Durations, the failure and the rollback, whichever hooks are async."""
    clock = FakeClock()
    report = Report(clock.now)

    class Database:
        async def start(self) -> None:
            await asyncio.sleep(0)
            clock.advance(2, sleepers=0)

        async def stop(self) -> None:
            await asyncio.sleep(0)

    class Web:
        def __init__(self, database: Database) -> None:
            self.database = database

        def start(self) -> None:
            clock.advance(3, sleepers=0)

        def stop(self) -> None:
            clock.advance(1, sleepers=0)

    class Mail:
        def __init__(self, web: Web) -> None:
            self.web = web

        async def start(self) -> None:
            await asyncio.sleep(0)
            clock.advance(4, sleepers=0)
            raise OSError("no host")

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        database = Component(Database)
        web = Component(Web, database.provided)
        mail = Component(Mail, web.provided)

    bus = Shop().attach()
    bus[LIFECYCLE].subscribe(report.record_event)
    with pytest.raises(TransitionFailures):
        bus.start()
    record = report.record()
    bus.exit()

    assert record.outcome is Outcome.FAILED
    seconds = {component.path: component.start_seconds for component in record.components}
    assert (seconds["Shop.database"], seconds["Shop.web"]) == (2.0, 3.0)
    [failure] = record.failures
    assert (failure.path, failure.seconds) == ("Shop.mail", 4.0)
    assert record.rolled_back == ("Shop.web", "Shop.database")
    assert record.rollback == 1.0


def test_a_report_lists_the_functions_of_listeners() -> None:
    """Each function is listed with its channel in every start; a component without functions is shown as such."""
    placed = Channel[[str]]("placed")
    listeners, empty = Listeners(), Listeners()

    @listeners.on(placed)
    def record(order: str, /) -> None: ...

    @listeners.on(START)
    def connect() -> None: ...

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)
        again = Component(listeners)
        mail = Component(empty)

    shop = Shop()
    bus = shop.attach()
    with Report.of(bus) as report, running(shop):
        bus.stop()
        bus.start()
        functions = {component.path: component.functions for component in report.record().components}
        table = report.table()

    assert functions == {
        "Shop.bus": None,
        "Shop.analytics": ("record on placed", "connect on start"),
        "Shop.again": None,
        "Shop.mail": (),
    }
    assert "functions that listen\n  Shop.analytics: record on placed, connect on start\n  Shop.mail: none\n" in table


def test_a_report_that_is_created_during_a_start_can_begin_there() -> None:
    """It has no times of the steps before."""
    bus = Bus()
    reports: list[Report] = []

    class Early:
        def start(self) -> None:
            report = Report(runs=lambda: bus.runs)
            report.begin()
            bus[LIFECYCLE].subscribe(report.record_event)
            reports.append(report)

    class Late:
        def __init__(self, early: Early) -> None:
            pass

        def start(self) -> None:
            pass

    class Shop(Container):
        bus = Component(Bus)
        early = Component(Early)
        late = Component(Late, early.provided)

    shop = Shop()
    shop.attach(bus)
    bus.start()
    record = reports[0].record()

    assert record.outcome is Outcome.STARTED
    assert [part.path for part in record.components] == ["Shop.early", "Shop.late"]
    assert record.components[1].starts
    bus.exit()


def test_a_report_keeps_no_exception() -> None:
    """Neither that of a failed hook, nor that of a listener that failed during the start."""

    class Payload:
        pass

    bus = Bus()
    channel = Channel[[Payload], None]("channel")
    kept: list[weakref.ref[Payload]] = []

    @bus[channel].subscribe()
    def fail(payload: Payload) -> None:
        raise ValueError

    @bus[START].subscribe()
    def start() -> None:
        payload = Payload()
        kept.append(weakref.ref(payload))
        with contextlib.suppress(ExceptionGroup):
            bus[channel].publish(payload)
        raise OSError("no database")

    report = Report()
    with bus[LIFECYCLE].subscribe(report.record_event), contextlib.suppress(TransitionFailures):
        bus.start()
    gc.collect()

    assert kept[0]() is None
    assert [failure.error.splitlines()[0] for failure in report.record().failures] == ["OSError: no database"]
    assert report.record().rollback is not None
