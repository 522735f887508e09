"""Runs in the report of a start."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.consumer import Consumer

from typedbus import RUN, RUNS, Bus, Component, Container, State, Stopping, on, running
from typedbus.events import LIFECYCLE, Moved, RunBegan, RunBroke, RunEnded, RunReady
from typedbus.report import Outcome, Report, RunStart
from typedbus.testing import FakeClock, RunRecorder


class Feed:
    """A component with two runs, for one of which the start waits two seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    @on(RUN, awaited=True)
    def follow(self, stopping: Stopping) -> None:
        self.clock.advance(2.0, sleepers=0)
        stopping.ready()
        stopping.wait()

    @on(RUN)
    def count(self, stopping: Stopping) -> None:
        stopping.wait()


@pytest.fixture
def reported() -> Iterator[Report]:
    """Yield the report of a container that runs, whose runs have begun."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        feed = Component(Feed, clock)
        plain = Component(list[int])
        consumer = Component(Consumer)

    site = Site()
    with RunRecorder(site.attach()) as events, Report.of(site.attach()) as report, running(site):
        events.wait(RunBegan, "Site.feed.count")
        events.wait(RunBegan, "Site.consumer")
        yield report


def test_runs_are_listed_with_their_components(reported: Report) -> None:
    """Each run has the time of its first call; a run that the start awaits also has the time until it was ready."""
    record = reported.record()

    assert {component.path: component.runs for component in record.components} == {
        "Site.bus": (),
        "Site.feed": (RunStart("Site.feed.follow", 0.0, 2.0), RunStart("Site.feed.count", 2.0)),
        "Site.plain": (),
        "Site.consumer": (RunStart("Site.consumer", 2.0),),
    }
    assert record.seconds == 2.0


def test_the_wait_for_a_run_is_a_part_of_the_start(reported: Report) -> None:
    """The critical path includes the wait."""
    assert [(link.path, link.start_seconds) for link in reported.record().critical_path.links] == [("Site.feed", 2.0)]


def test_runs_have_a_part_of_the_table_and_of_the_json(reported: Report) -> None:
    """A missing time is a dash in the table, and null in JSON."""
    lines = reported.table().splitlines()
    first = lines.index("runs")
    feed = next(one for one in json.loads(reported.json())["components"] if one["path"] == "Site.feed")

    assert lines[first + 1 : first + 5] == [
        "  began ms  ready ms  run",
        "       0.0    2000.0  Site.feed.follow",
        "    2000.0         -  Site.feed.count",
        "    2000.0         -  Site.consumer",
    ]
    assert feed["runs"] == [
        {"path": "Site.feed.follow", "began": 0.0, "ready": 2.0},
        {"path": "Site.feed.count", "began": 2.0, "ready": None},
    ]


def test_a_run_that_has_not_begun_is_listed_as_well() -> None:
    """A report during the start has such a run, without times."""
    reports: list[Report] = []

    class Database:
        def start(self) -> None:
            reports.append(report)
            runs.extend(run for component in report.record().components for run in component.runs)

    runs: list[RunStart] = []

    class Site(Container):
        bus = Component(Bus)
        consumer = Component(Consumer)
        database = Component(Database)

    site = Site()
    with Report.of(site.attach()) as report, running(site):
        pass

    assert runs == [RunStart("Site.consumer")]


def test_only_the_first_call_of_a_run_counts() -> None:
    """The next start replaces the times."""
    bus, clock = Bus(), FakeClock()
    report = Report(clock.now)
    bus[LIFECYCLE].subscribe(report.record_event)
    bus[RUNS].subscribe(report.record_run)
    runs = []
    for _ in range(2):
        bus[LIFECYCLE].publish(Moved(State.STOPPED, State.STARTING))
        clock.advance(1.0, sleepers=0)
        bus[RUNS].publish(RunBegan("Site.run", 1))
        bus[LIFECYCLE].publish(Moved(State.STARTING, State.STARTED))
        bus[RUNS].publish(RunBroke("Site.run", 0.0, OSError(), 1, 1.0))
        clock.advance(1.0, sleepers=0)
        bus[RUNS].publish(RunBegan("Site.run", 2))
        bus[RUNS].publish(RunReady("Site.run"))
        bus[RUNS].publish(RunEnded("Site.run", 1.0))
        runs.append([(component.path, component.runs) for component in report.record().components])

    assert runs == [[("Site.run", (RunStart("Site.run", 1.0, 1.0),))]] * 2


@pytest.mark.parametrize(
    ("after", "outcome"), [(State.STARTED, Outcome.STARTED), (State.STOPPING, Outcome.NOT_STARTED)]
)
def test_a_run_outside_every_container_is_a_part_of_the_start(after: State, outcome: Outcome) -> None:
    """It has started if the bus has started."""
    report = Report(lambda: 0.0, lambda: ["module.consume"])
    report.record_event(Moved(State.STOPPED, State.STARTING))
    report.record_event(Moved(State.STARTING, after))

    (component,) = report.record().components

    assert (component.path, component.outcome) == ("module.consume", outcome)
    assert component.runs == (RunStart("module.consume"),)
