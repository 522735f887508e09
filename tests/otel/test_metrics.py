"""The metrics of buses."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import types
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.doubles import LOCKING, HookRecorder, ThreadCall
from tests.processes import in_child
from tests.runs.shops import Events, Worker

from typedbus import (
    RUN,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    Restart,
    RunState,
    State,
    Stopping,
    TransitionFailures,
    on,
    running,
)
from typedbus._channels.observing.tallies import Totals
from typedbus.events import RunBroke
from typedbus.otel import Telemetry
from typedbus.plugins.health import READY, Check, Health
from typedbus.testing import FakeClock

ORDERED = Channel[[str], None]("ordered")

BOUNDS = tuple(1e-6 * 4**power for power in range(12))


class Measured:
    """A meter provider, and the metrics that it has collected."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def metrics(self) -> dict[str, Any]:
        """Collect, and return the metrics by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        assert [scope.scope.name for scope in scopes] == ["typedbus"]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> dict[tuple[object, ...], Any]:
        """Collect, and return the points of the metric *name* by the values of their attributes, sorted by name."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return {tuple(value for _, value in sorted(point.attributes.items())): point for point in points}

    def values(self, name: str) -> dict[tuple[object, ...], int]:
        """Return the values of the points of *name*."""
        return {key: point.value for key, point in self.points(name).items()}


@pytest.fixture
def measured() -> Measured:
    """Return a provider of meters."""
    return Measured()


def note(item: str) -> None:
    """Listen."""


def fail(item: str) -> None:
    """Fail."""
    raise OSError(item)


class Checked:
    """A component with a check."""

    @on(READY)
    def check(self) -> Check:
        return Check(False, "no disk")


def test_the_names_and_units_are_those_of_the_documentation(measured: Measured) -> None:
    """The unit of durations is seconds; the units of counts are in braces."""

    class Site(Container):
        bus = Component(Bus)
        health = Component(Health, bus.provided)
        telemetry = Component(
            Telemetry, bus.provided, meter_provider=measured.provider, sample=1, listeners="all", health=health.lazy
        )
        checked = Component(Checked)
        notes: Component[list[str]] = Component(list)
        stock = Component(HookRecorder, notes.provided)

    with running(Site) as site:
        bus = site.bus()
        bus[ORDERED].subscribe(fail)
        with pytest.raises(ChannelFailures):
            bus[ORDERED].publish("ink")
        site.health().ready()
        metrics = measured.metrics()

    assert {name: (metric.unit, type(metric.data).__name__) for name, metric in metrics.items()} == {
        "typedbus.publish.count": ("{publish}", "Sum"),
        "typedbus.publish.failures": ("{failure}", "Sum"),
        "typedbus.publish.duration": ("s", "Histogram"),
        "typedbus.listener.duration": ("s", "Histogram"),
        "typedbus.component.start.duration": ("s", "Histogram"),
        "typedbus.bus.state": ("{bus}", "Sum"),
        "typedbus.health.check": ("1", "Gauge"),
    }


def test_publishes_and_failures_are_counted(measured: Measured) -> None:
    """The sample does not matter; a failure has its listener and the class of its error."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].subscribe(note)
    bus[ORDERED].publish("ink")
    bus[ORDERED].subscribe(fail)
    for _ in range(99):
        with pytest.raises(ChannelFailures):
            bus[ORDERED].publish("ink")

    assert measured.values("typedbus.publish.count") == {("ordered",): 100}
    name = bus[ORDERED].name_of(fail)
    assert measured.values("typedbus.publish.failures") == {("OSError", "ordered", name): 99}


def test_a_failure_is_counted_without_what_the_repr_of_the_listener_contains(measured: Measured) -> None:
    """The name of a partial function is its repr, whose arguments may be secrets or differ in each process."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].subscribe(functools.partial(lambda password, item: fail(item), "hunter2"))
    with pytest.raises(ChannelFailures):
        bus[ORDERED].publish("ink")

    assert measured.values("typedbus.publish.failures") == {("OSError", "ordered", "functools.partial"): 1}


def test_channels_of_one_name_are_counted_together(measured: Measured) -> None:
    """Names need not be unique on a bus."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].publish("ink")
    bus[Channel[[str], None](ORDERED.name)].publish("ink")

    assert measured.values("typedbus.publish.count") == {("ordered",): 2}


def test_publishes_are_counted_exactly_in_threads(measured: Measured) -> None:
    """Four threads publish on one channel."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].subscribe(note)

    def publish() -> None:
        for _ in range(1000):
            bus[ORDERED].publish("ink")

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert measured.values("typedbus.publish.count") == {("ordered",): 4000}


def test_the_duration_of_one_publish_in_a_sample_is_recorded(measured: Measured) -> None:
    """By default the first publish and then one in 1024; the buckets begin at a microsecond."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].subscribe(note)
    for _ in range(2048):
        bus[ORDERED].publish("ink")

    (point,) = measured.points("typedbus.publish.duration").values()
    assert dict(point.attributes) == {"typedbus.channel": "ordered"}
    assert point.count == 2
    assert 0 < point.sum < 600
    assert point.explicit_bounds == pytest.approx(BOUNDS)
    assert "typedbus.listener.duration" not in measured.metrics()


def test_with_spans_of_all_listeners_their_durations_are_recorded(measured: Measured) -> None:
    """One publish in the sample has a duration for each listener."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider, listeners="all", sample=2)
    bus[ORDERED].subscribe(note)
    for _ in range(10):
        bus[ORDERED].publish("ink")

    (point,) = measured.points("typedbus.listener.duration").values()
    assert dict(point.attributes) == {"typedbus.channel": "ordered", "typedbus.listener": bus[ORDERED].name_of(note)}
    assert point.count == 5


def test_the_state_of_the_bus_is_1_for_its_state(measured: Measured) -> None:
    """It is 0 for the other states, so that a chart shows the change."""
    bus = Bus()
    Telemetry(bus, meter_provider=measured.provider)
    bus.start()

    states = measured.values("typedbus.bus.state")
    assert states == {(state.name,): int(state is State.STARTED) for state in State}


def test_the_durations_of_start_hooks_are_recorded_with_their_outcome(measured: Measured) -> None:
    """The duration of a failed hook is recorded as well."""

    class Site(Container):
        bus = Component(Bus)
        telemetry = Component(Telemetry, bus.provided, meter_provider=measured.provider)
        notes: Component[list[str]] = Component(list)
        first = Component(HookRecorder, notes.provided, "first")
        second = Component(HookRecorder, notes.provided, "second", first, start=OSError("no second"))

    with pytest.raises(TransitionFailures), running(Site):
        pass

    points = measured.points("typedbus.component.start.duration")
    assert {key: point.count for key, point in points.items()} == {
        ("Site.telemetry", "started"): 1,
        ("Site.first", "started"): 1,
        ("Site.second", "failed"): 1,
    }
    assert points["Site.first", "started"].explicit_bounds == (0.001, 0.004, 0.016, 0.064, 0.256, 1, 4, 16, 60)


class Consumer(Worker):
    """A component with a run."""

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        self.work(stopping)


def test_the_restarts_and_the_state_of_a_run_are_those_of_its_path(measured: Measured) -> None:
    """A restart counts when the run is called again."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        telemetry = Component(Telemetry, bus.provided, meter_provider=measured.provider)
        consumer = Component(Consumer).supervised(Restart(most=1, first=1.0, jitter=0))

    def states() -> set[object]:
        values = measured.values("typedbus.run.state")
        assert len(values) == len(RunState)
        return {key for key, value in values.items() if value}

    with running(Site) as site:
        events, consumer = Events(site.bus()), site.consumer()
        consumer.until_called()
        assert states() == {("Site.consumer", "RUNNING")}
        consumer.fail(OSError("broker gone"))
        events.until(RunBroke)
        assert states() == {("Site.consumer", "WAITING")}
        assert measured.values("typedbus.run.restarts") == {}
        clock.advance(1.0)
        consumer.until_called()
        metrics = measured.metrics()
        assert metrics["typedbus.run.restarts"].unit == "{restart}"
        assert metrics["typedbus.run.state"].unit == "{run}"
        assert measured.values("typedbus.run.restarts") == {("Site.consumer",): 1}
        consumer.end()


def test_the_checks_are_those_of_the_last_probe(measured: Measured) -> None:
    """A collection calls no check."""
    calls: list[None] = []

    class Counted:
        @on(READY)
        def check(self) -> Check:
            calls.append(None)
            return Check(len(calls) > 1)

    class Site(Container):
        bus = Component(Bus)
        health = Component(Health, bus.provided)
        telemetry = Component(Telemetry, bus.provided, meter_provider=measured.provider, health=health.lazy)
        counted = Component(Counted)

    with running(Site) as site:
        assert measured.values("typedbus.health.check") == {}
        for expected in (0, 1):
            site.health().ready()
            assert measured.values("typedbus.health.check") == {("ready", "Site.counted.check"): expected}
            assert measured.values("typedbus.health.check") == {("ready", "Site.counted.check"): expected}
    assert len(calls) == 2
    assert measured.values("typedbus.health.check") == {}


def test_health_that_is_not_enabled_has_no_checks(measured: Measured, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK would log the failure of a collection."""

    class Site(Container):
        bus = Component(Bus)
        health = Component(Health, bus.provided).enabled(False, reason="health = false")
        telemetry = Component(Telemetry, bus.provided, meter_provider=measured.provider, health=health.lazy)

    with running(Site):
        assert measured.values("typedbus.health.check") == {}
    assert caplog.records == []


def test_a_bus_may_end_while_another_is_collected(measured: Measured) -> None:
    """The garbage collector may find the bus in a thread for which the collection waits."""
    buses = [Bus(), Bus()]
    for bus in buses:
        Telemetry(bus, meter_provider=measured.provider)
        bus[ORDERED].publish("ink")
    collecting: list[ThreadCall] = []

    def end(frame: types.FrameType, event: str, _: object) -> None:
        if not collecting and event == "call" and frame.f_code is Totals.copy.__code__:
            collecting.append(ThreadCall(lambda: measured.values("typedbus.publish.count")).waiting(LOCKING))
            buses.pop()
            gc.collect()

    def read() -> None:
        with buses[0].observe(ORDERED) as observation:
            buses[0][ORDERED].publish("ink")  # of an idle channel there is nothing to add up
            sys.setprofile(end)
            try:
                observation.stats()
            finally:
                sys.setprofile(None)

    del bus
    reading = ThreadCall(read).finished()

    assert reading.error is None
    assert collecting[0].finished().result == {("ordered",): 3}


def test_the_counts_of_several_buses_are_summed_and_never_decrease(measured: Measured) -> None:
    """The counts of a bus that no longer exists, or whose telemetry has ended, are kept."""
    buses = [Bus(), Bus(), Bus()]
    telemetry = [Telemetry(bus, meter_provider=measured.provider) for bus in buses]
    for bus in buses:
        bus[ORDERED].publish("ink")
    telemetry[0].exit()
    buses[0][ORDERED].publish("not counted")
    del buses[1], telemetry[1], bus
    gc.collect()

    assert measured.values("typedbus.publish.count") == {("ordered",): 3}
    assert measured.values("typedbus.bus.state") == {(state.name,): int(state is State.STOPPED) for state in State}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_does_not_report_the_counts_of_its_parent(measured: Measured) -> None:
    """The counts of the parent would be counted twice."""
    ended, bus = Bus(), Bus()
    Telemetry(ended, meter_provider=measured.provider).exit()
    Telemetry(bus, meter_provider=measured.provider)
    bus[ORDERED].publish("ink")

    def check() -> None:
        bus[ORDERED].publish("pen")
        values = measured.values("typedbus.publish.count")
        assert values == {("ordered",): 1}, values

    in_child(check)
    assert measured.values("typedbus.publish.count") == {("ordered",): 1}
