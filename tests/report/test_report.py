"""What a `Report` makes of the life-cycle events that it hears."""

from __future__ import annotations

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

from typedbus import Bus, Component, Container, State, TransitionFailures
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

BEGINS = Moved(State.STOPPED, State.STARTING)
SUCCEEDS = Moved(State.STARTING, State.STARTED)
TURNS_ROUND = Moved(State.STARTING, State.STOPPING)
ENDS_DOWN = Moved(State.STOPPING, State.STOPPED)


def told(*script: Step) -> Report:
    """Return a report that has heard the events of *script*, on a clock that its numbers bring further."""
    bus, clock = Bus(), FakeClock(now=1000.0)
    report = Report(clock.now)
    bus[LIFECYCLE].subscribe(report.hear)
    for step in script:
        if isinstance(step, (int, float)):
            clock.advance(step, sleepers=0)
        else:
            bus[LIFECYCLE].publish(step)
    return report


def subscribed(path: str, *needs: str) -> Subscribed:
    """Return what is told of a component that is ready to be started."""
    return Subscribed(path, 0.0, needs)


def started(path: str, seconds: float) -> tuple[Step, ...]:
    """Return a start hook that takes *seconds*."""
    return ComponentStarting(path), seconds, ComponentStarted(path, seconds)


def rows_of(table: str, path: str) -> list[str]:
    """Return the lines of *table* that are about the component *path*."""
    return [line for line in table.splitlines() if line.endswith(f" {path}")]


FAILED_START: tuple[Step, ...] = (
    BEGINS,
    Disabled("Shop.mail", "no host is set"),
    *(subscribed(path) for path in ("Shop.database", "Shop.web", "Shop.jobs")),
    *started("Shop.database", 2.0),
    ComponentStarting("Shop.web"),
    0.5,
    Failed("Shop.web", "start", 0.5, OSError("port taken")),
    TURNS_ROUND,
    0.25,
    ComponentStopped("Shop.database", 0.25),
    RolledBack(0.25, None, ("Shop.database",)),
    ENDS_DOWN,
)


def test_each_part_of_a_start_has_its_begin_and_its_length() -> None:
    """Constructor, subscribing and start hooks of a component are spans, counted from the beginning of the start."""
    report = told(
        7.0,
        BEGINS,
        1.0,
        Constructing("Shop.database"),
        2.0,
        Constructed("Shop.database", 2.0),
        0.5,
        Subscribed("Shop.database", 0.5, ("Shop.settings",)),
        *started("Shop.database", 3.0),
        *started("Shop.database", 4.0),
        SUCCEEDS,
        9.0,
    )

    record = report.record()
    (database,) = record.components

    assert (record.outcome, record.seconds) == (Outcome.STARTED, 10.5)
    assert (database.construct, database.subscribe) == (Span(1.0, 2.0), Span(3.0, 0.5))
    assert database.starts == (Span(3.5, 3.0), Span(6.5, 4.0))
    assert (database.start_seconds, database.seconds) == (7.0, 9.5)
    assert database.needs == ("Shop.settings",)


def test_hooks_side_by_side_each_have_their_own_begin() -> None:
    """What is told in between does not belong to the one that began before."""
    report = told(
        BEGINS,
        ComponentStarting("a"),
        1.0,
        ComponentStarting("b"),
        2.0,
        ComponentStarted("a", 3.0),
        1.0,
        ComponentStarted("b", 3.0),
        SUCCEEDS,
    )

    assert [component.starts for component in report.record().components] == [(Span(0.0, 3.0),), (Span(1.0, 3.0),)]


def test_nothing_ends_after_it_was_told_to_be_over() -> None:
    """A begin that was told late is put back, so that no two hooks of one thread seem to overlap."""
    report = told(BEGINS, 1.0, ComponentStarting("a"), 2.0, ComponentStarted("a", 3.0), *started("b", 1.0), SUCCEEDS)

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
    """Who failed, who was stopped again, who never started and who was not to, are told apart."""
    record = told(*FAILED_START).record()
    (component,) = (one for one in record.components if one.path == path)

    assert (component.outcome, component.reason) == (outcome, reason)


def test_a_failed_start_tells_what_failed_and_what_was_undone() -> None:
    """The time of the rollback is not that of the start."""
    record = told(*FAILED_START).record()

    assert (record.outcome, record.seconds) == (Outcome.FAILED, 2.5)
    assert [(one.path, one.hook, one.seconds, one.error) for one in record.failures] == [
        ("Shop.web", "start", 0.5, "OSError: port taken")
    ]
    assert (record.undone, record.rollback) == (("Shop.database",), 0.25)


def test_a_rollback_told_after_the_stop_counts_as_well() -> None:
    """The events of the start end with the next transition, not with the state."""
    *before, rolled_back, down = FAILED_START

    assert told(*before, down, rolled_back).record() == told(*before, rolled_back, down).record()


def test_a_start_that_was_broken_off_is_no_failure() -> None:
    """Its outcome is that it was rolled back, and what had not begun has not started."""
    broken_off: tuple[Step, ...] = (
        BEGINS,
        subscribed("a"),
        subscribed("b"),
        *started("a", 1.0),
        TURNS_ROUND,
        RolledBack(0.0, None, ("a",)),
    )

    record = told(*broken_off).record()

    assert record.outcome is Outcome.ROLLED_BACK
    assert [component.outcome for component in record.components] == [Outcome.ROLLED_BACK, Outcome.NOT_STARTED]


@pytest.mark.parametrize("path", ["Shop.broken", "Shop"])
def test_a_failing_constructor_is_told_of_its_component(path: str) -> None:
    """Whether the failure names the component or who builds it."""
    report = told(
        BEGINS,
        Constructing("Shop.a"),
        Constructed("Shop.a", 0.0),
        1.0,
        Constructing("Shop.broken"),
        2.0,
        Failed(path, "assemble", 3.0, OSError("no database")),
        TURNS_ROUND,
    )

    built, broken = report.record().components

    assert (built.outcome, broken.outcome) == (Outcome.NOT_STARTED, Outcome.FAILED)
    assert (broken.construct, broken.reason) == (Span(1.0, 2.0), "OSError: no database")


def test_a_component_without_a_start_hook_has_started_with_the_bus() -> None:
    """Nothing of it was called, and nothing is missing; what is disabled has not."""
    record = told(BEGINS, Disabled("Shop.mail", "off"), subscribed("Shop.settings"), SUCCEEDS).record()

    assert [component.outcome for component in record.components] == [Outcome.DISABLED, Outcome.STARTED]


def test_a_start_under_way_is_told_as_far_as_it_has_come() -> None:
    """A start that hangs can be looked at from another thread."""
    record = told(BEGINS, subscribed("a"), subscribed("b"), *started("a", 1.0), ComponentStarting("b"), 4.0).record()

    assert (record.outcome, record.seconds) == (Outcome.NOT_STARTED, 5.0)
    assert [component.outcome for component in record.components] == [Outcome.STARTED, Outcome.NOT_STARTED]


def test_what_happens_after_the_start_is_no_part_of_it() -> None:
    """Neither a stop that fails nor what is built later changes the report."""
    start: tuple[Step, ...] = (BEGINS, *started("a", 1.0), SUCCEEDS)
    later: tuple[Step, ...] = (
        Constructing("late"),
        Moved(State.STARTED, State.STOPPING),
        Failed("a", "stop", 1.0, OSError("disk full")),
        ENDS_DOWN,
    )

    assert told(*start, *later).record() == told(*start).record()


def test_a_new_start_begins_anew() -> None:
    """Nothing of the times and failures of the one before is left."""
    again = told(*FAILED_START, 5.0, BEGINS, *started("Shop.database", 1.0), *started("Shop.web", 1.0), SUCCEEDS)

    record = again.record()

    assert (record.outcome, record.seconds, record.failures, record.rollback) == (Outcome.STARTED, 2.0, (), None)
    assert sum(component.seconds for component in record.components) == 2.0


def test_a_start_after_a_stop_remembers_who_needs_whom() -> None:
    """Components that are still there are not subscribed again, and what they need holds; those disabled stay so."""
    first: tuple[Step, ...] = (BEGINS, Disabled("c", "off"), subscribed("a"), subscribed("b", "a"), SUCCEEDS)
    then: tuple[Step, ...] = (
        Moved(State.STARTED, State.STOPPING),
        ENDS_DOWN,
        BEGINS,
        *started("a", 1.0),
        *started("b", 1.0),
        SUCCEEDS,
    )

    record = told(*first, *then, *then).record()

    assert [link.path for link in record.critical_path.links] == ["a", "b"]
    assert {one.path: one.reason for one in record.components} == {"a": "", "b": "", "c": "off"}


def test_a_start_after_an_exit_remembers_nothing() -> None:
    """What is built anew tells anew, and what is gone is gone."""
    first: tuple[Step, ...] = (BEGINS, subscribed("a"), subscribed("gone"), SUCCEEDS)
    then: tuple[Step, ...] = (Moved(State.STARTED, State.STOPPING), ENDS_DOWN, Moved(State.STOPPED, State.EXITING))
    again: tuple[Step, ...] = (
        Moved(State.EXITING, State.EXITED),
        Moved(State.EXITED, State.STARTING),
        subscribed("a"),
        SUCCEEDS,
    )

    assert [one.path for one in told(*first, *then, *again).record().components] == ["a"]


def test_the_critical_path_is_the_longest_chain_of_needs() -> None:
    """Not what finished last, which in a start one after the other is chance; hookless components carry it on."""
    report = told(
        BEGINS,
        subscribed("database"),
        subscribed("cache"),
        subscribed("models", "database", "cache"),
        subscribed("web", "models"),
        subscribed("alone"),
        *started("database", 3.0),
        *started("cache", 1.0),
        *started("web", 2.0),
        *started("alone", 4.0),
        SUCCEEDS,
    )

    path = report.record().critical_path

    assert ([link.path for link in path.links], path.seconds) == (["database", "web"], 5.0)


def test_a_chain_of_any_length_has_a_critical_path() -> None:
    """It is followed without recursion."""
    paths = [f"part{number}" for number in range(5000)]
    needs = [subscribed(path, *before) for path, before in zip(paths, [(), *((path,) for path in paths)])]

    record = told(BEGINS, *needs, *itertools.chain(*(started(path, 1.0) for path in paths)), SUCCEEDS).record()

    assert record.critical_path.seconds == 5000.0


def test_the_slowest_ten_are_sorted_by_all_that_they_took() -> None:
    """Construction counts as well as start; the eleventh is left out."""
    built: tuple[Step, ...] = (Constructing("built"), 50.0, Constructed("built", 50.0))
    hooks = itertools.chain(*(started(f"part{number}", float(number)) for number in range(11)))

    slowest = told(BEGINS, *built, *hooks, SUCCEEDS).record().slowest

    assert [one.path for one in slowest] == ["built", *(f"part{number}" for number in range(10, 1, -1))]


def test_a_report_holds_no_error() -> None:
    """An error holds the frames that it came through, which are to go away with it."""

    class Held(Exception):
        pass

    error = Held("text")
    report = told(BEGINS, Failed("a", "start", 0.0, error), TURNS_ROUND)
    alive = weakref.ref(error)

    del error
    gc.collect()

    assert alive() is None
    assert report.record().failures[0].error.endswith("Held: text")


def test_a_table_has_a_row_for_each_component() -> None:
    """Milliseconds stand below each other, and what did not take place is a dash."""
    report = told(
        BEGINS,
        0.001,
        Constructing("Shop.a"),
        1.5,
        Constructed("Shop.a", 1.5),
        Subscribed("Shop.plugins[tea:gauge].gauge", 0.002, ()),
        *started("Shop.a", 0.25),
        SUCCEEDS,
    )

    head, _, titles, first, second, *_ = report.table().splitlines()

    assert head == "started in 1751.0 ms: 2 of 2 had started"
    assert titles == "  began ms construct subscribe     start  outcome      component"
    assert first == "       1.0    1500.0         -     250.0  started      Shop.a"
    assert second == "    1499.0         -       2.0         -  started      Shop.plugins[tea:gauge].gauge"


def test_a_table_ends_with_the_critical_path_and_the_slowest() -> None:
    """Each with its own times."""
    report = told(BEGINS, subscribed("a"), subscribed("b", "a"), *started("a", 2.0), *started("b", 1.0), SUCCEEDS)

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


def test_the_table_of_a_failed_start_begins_with_what_failed() -> None:
    """With hook and error, and how many had started and were stopped again."""
    table = told(*FAILED_START).table()

    assert table.splitlines()[:3] == [
        "failed in 2500.0 ms: 1 of 3 had started, 1 stopped again in 250.0 ms",
        "failed   Shop.web in start (500.0 ms)",
        "         OSError: port taken",
    ]
    assert "         -         -         -         -  disabled     Shop.mail: no host is set" in table.splitlines()


def test_a_table_fits_into_eighty_columns() -> None:
    """Where paths are no longer than they usually are."""
    assert max(map(len, told(*FAILED_START).table().splitlines())) <= 80


def test_json_says_everything_in_a_stable_order() -> None:
    """Programs find the schema by its number, and seconds as floats."""
    said = json.loads(told(*FAILED_START).json())
    database = next(one for one in said["components"] if one["path"] == "Shop.database")

    assert list(said) == [
        "format",
        "outcome",
        "seconds",
        "components",
        "failures",
        "rollback",
        "critical_path",
        "slowest",
    ]
    assert (said["format"], said["outcome"], said["seconds"]) == (1, "failed", 2.5)
    assert list(database.items()) == [
        ("path", "Shop.database"),
        ("outcome", "rolled back"),
        ("reason", ""),
        ("needs", []),
        ("after", []),
        ("construct", None),
        ("subscribe", {"began": 0.0, "seconds": 0.0}),
        ("starts", [{"began": 0.0, "seconds": 2.0}]),
        ("seconds", 2.0),
    ]
    assert said["failures"] == [{"path": "Shop.web", "hook": "start", "seconds": 0.5, "error": "OSError: port taken"}]
    assert said["rollback"] == {"seconds": 0.25, "paths": ["Shop.database"]}
    assert said["critical_path"] == {"seconds": 2.0, "paths": ["Shop.database"]}
    assert said["slowest"][:2] == ["Shop.database", "Shop.web"]


def test_a_trace_has_a_lane_for_each_of_those_that_overlap() -> None:
    """A lane is used again as soon as it is free, and never by two at once."""
    trace = json.loads(
        told(
            BEGINS,
            ComponentStarting("a"),
            1.0,
            ComponentStarting("b"),
            1.0,
            ComponentStarted("a", 2.0),
            ComponentStarting("c"),
            1.0,
            ComponentStarted("b", 2.0),
            ComponentStarted("c", 1.0),
            SUCCEEDS,
        ).trace()
    )

    spans = {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}
    named = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}

    assert {name: span["tid"] for name, span in spans.items()} == {"started": 0, "a": 1, "b": 2, "c": 1}
    assert (spans["b"]["ts"], spans["b"]["dur"], spans["b"]["cat"]) == (1e6, 2e6, "start")
    assert named == {0: "bus", 1: "lane 1", 2: "lane 2"}


@pytest.mark.parametrize("shown", [Report.table, Report.json, Report.trace], ids=lambda shown: shown.__name__)
def test_a_report_that_has_heard_nothing_can_be_asked(shown: Callable[[Report], str]) -> None:
    """It says that nothing has started."""
    assert "not started" in shown(Report())


class Part:
    """Counts on the bus's clock, and fails if it is told to."""

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


def test_a_container_is_reported_with_the_clock_of_its_bus() -> None:
    """`Report.of` hears a start for the length of its block, and what components need is known from the graph."""

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
    starts = {one.path: one.starts for one in record.components if one.starts}

    assert starts == {"Shop.web": (Span(0.0, 2.0),), "Shop.jobs": (Span(2.0, 1.0),)}
    assert [link.path for link in record.critical_path.links] == ["Shop.web", "Shop.jobs"]
    assert not shop.bus()[LIFECYCLE].subscriptions


def test_a_container_that_does_not_start_is_reported() -> None:
    """Who failed, what was undone, and what never came to its turn."""

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
    outcomes = {one.path: one.outcome for one in record.components}

    assert (record.outcome, record.seconds, record.rollback) == (Outcome.FAILED, 3.0, 0.5)
    assert outcomes["Shop.web"] is Outcome.ROLLED_BACK
    assert outcomes["Shop.jobs"] is Outcome.FAILED
    assert outcomes["Shop.late"] is Outcome.NOT_STARTED


def test_components_that_start_side_by_side_have_lanes_of_their_own() -> None:
    """The trace of a start with workers shows what overlapped."""
    both = threading.Barrier(2, timeout=10)

    class Meeting:
        def start(self) -> None:
            both.wait()

    class Shop(Container):
        bus = Component(Bus, workers=2)
        one = Component(Meeting)
        other = Component(Meeting)

    shop = Shop()
    with Report.of(shop.attach()) as report, running(shop):
        trace = json.loads(report.trace())

    lanes = [event["tid"] for event in trace["traceEvents"] if event.get("cat") == "start"]

    assert len(set(lanes)) == 2


def test_a_report_costs_a_start_a_few_calls_for_each_event() -> None:
    """It works out the record when it is asked for it."""
    bus = Bus()
    report = Report()
    events: list[LifecycleEvent] = [BEGINS]
    for number in range(1000):
        path = f"Shop.part{number}"
        events += [
            Constructing(path),
            Constructed(path, 0.0),
            Subscribed(path, 0.0, ()),
            ComponentStarting(path),
            ComponentStarted(path, 0.0),
        ]
    events.append(SUCCEEDS)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    bus[LIFECYCLE].subscribe(report.hear)
    sys.setprofile(count)
    try:
        for event in events:
            bus[LIFECYCLE].publish(event)
    finally:
        sys.setprofile(None)

    assert len(report.record().components) == 1000
    assert calls / len(events) < 10
