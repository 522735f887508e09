"""The metrics of publishes and listeners, as Prometheus reads them."""

from __future__ import annotations

import functools
import gc
import itertools
import math
import sys
import weakref
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.doubles import ThreadCall
from tests.processes import in_child

from typedbus import Bus, Channel, ChannelFailures
from typedbus.observe import BUCKETS, Level, ObserveError
from typedbus.plugins.health import READY, Check, Health
from typedbus.prometheus import Metrics
from typedbus.testing import FakeClock

order_placed = Channel[[int], None]("order_placed")
stock_low = Channel[[str], None]("stock_low")
same_name = Channel[[str], None]("stock_low")


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus with a clock that a test advances; it exits at the end."""
    bus = Bus(clock=FakeClock())
    yield bus
    bus.exit()


def started(bus: Bus, level: Level) -> Metrics:
    """Return metrics of *bus* that have started."""
    metrics = Metrics(bus, level=level)
    metrics.start()
    return metrics


def exposition(metrics: Metrics, *names: str) -> list[str]:
    """Return the lines of the text format that contain one of *names*."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if any(name in line for name in names)]


def book(number: int, /) -> None:
    """Do nothing."""


def fail(number: int, /) -> None:
    raise KeyError(number)


def test_a_publish_is_counted(bus: Bus) -> None:
    """A channel without a publish has the count 0."""
    bus[order_placed].subscribe(book)
    metrics = started(bus, "count")
    bus[order_placed].publish(1)
    bus[order_placed].publish(2)
    bus[stock_low]  # noqa: B018  # the bus has the channel from here on

    assert exposition(metrics, "typedbus_publish") == [
        "# HELP typedbus_publish_total Publishes that have ended.",
        "# TYPE typedbus_publish_total counter",
        'typedbus_publish_total{channel="order_placed"} 2.0',
        'typedbus_publish_total{channel="stock_low"} 0.0',
        "# HELP typedbus_publish_failures_total Exceptions that listeners raised in publishes.",
        "# TYPE typedbus_publish_failures_total counter",
        "# HELP typedbus_publish_duration_seconds How long publishes took.",
        "# TYPE typedbus_publish_duration_seconds histogram",
    ]


def test_a_failing_listener_is_counted_by_the_type_of_its_error(bus: Bus) -> None:
    """The publish is counted as well; a listener without failures has no series."""
    bus[order_placed].subscribe(book)
    bus[order_placed].subscribe(fail)
    metrics = started(bus, "count")
    for number in range(3):
        with pytest.raises(ChannelFailures):
            bus[order_placed].publish(number)

    assert exposition(metrics, "typedbus_publish_total{", "typedbus_publish_failures_total{") == [
        'typedbus_publish_total{channel="order_placed"} 3.0',
        f'typedbus_publish_failures_total{{channel="order_placed",error_type="KeyError",listener="{__name__}.fail"}} 3.0',
    ]


def test_the_buckets_of_a_publish_are_cumulative(bus: Bus) -> None:
    """Each bucket includes its bound, the last equals the count, and the sum is in seconds."""
    clock = bus.clock
    assert isinstance(clock, FakeClock)
    seconds = [0.0, 0.000001, 0.002, 0.3, 9.0]
    times = iter(seconds)
    bus[order_placed].subscribe(lambda number: clock.advance(next(times), sleepers=0))
    metrics = started(bus, "time")
    for number in range(len(seconds)):
        bus[order_placed].publish(number)

    name, labels = "typedbus_publish_duration_seconds", 'channel="order_placed"'
    bounds = ["1e-06", "4e-06", "1.6e-05", "6.4e-05", "0.000256", "0.001024", "0.004096", "0.016384"]
    bounds += ["0.065536", "0.262144", "1.048576", "4.194304", "+Inf"]
    counts = [2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5]
    assert exposition(metrics, f"{name}_") == [
        *(f'{name}_bucket{{{labels},le="{le}"}} {count:.1f}' for le, count in zip(bounds, counts, strict=True)),
        f"{name}_count{{{labels}}} 5.0",
        f"{name}_sum{{{labels}}} {sum(seconds)}",
    ]


def test_the_histograms_are_those_of_the_observation(bus: Bus) -> None:
    """Buckets, count and sum of publishes and of listeners are equal to those of an observation."""
    bus[order_placed].subscribe(book)
    bus[order_placed].subscribe(fail)
    metrics = started(bus, "each")
    with bus.observe(level="each") as observation:
        for number in range(5):
            with pytest.raises(ChannelFailures):
                bus[order_placed].publish(number)
    text = generate_latest(metrics.registry).decode()

    stats = observation.stats()[order_placed]
    expected = {("typedbus_publish_duration_seconds", ""): stats.durations}
    for name, listener in stats.listeners.items():
        expected["typedbus_listener_duration_seconds", name] = listener.durations
    assert len(expected) == 3
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for (name, label), durations in expected.items():
        samples = [one for one in families[name].samples if one.labels.get("listener", "") == label]
        assert durations is not None
        buckets = {float(one.labels["le"]): one.value for one in samples if one.name == f"{name}_bucket"}
        assert buckets == dict(zip((*BUCKETS, math.inf), itertools.accumulate(durations.buckets), strict=True))
        rest = {one.name.removeprefix(name): one.value for one in samples if "le" not in one.labels}
        assert rest == {"_count": durations.count, "_sum": pytest.approx(durations.seconds)}


def test_levels_leave_out_what_they_do_not_measure(bus: Bus) -> None:
    """Durations have no samples below the level that measures them."""
    bus[order_placed].subscribe(book)
    found = {}
    for level in ("count", "time", "each"):
        metrics = started(bus, level)
        bus[order_placed].publish(1)
        found[level] = [
            bool(exposition(metrics, f"{kind}_duration_seconds_count{{")) for kind in ("publish", "listener")
        ]
        metrics.stop()

    assert found == {"count": [False, False], "time": [True, False], "each": [True, True]}


def test_channels_of_one_name_are_counted_together(bus: Bus) -> None:
    """Prometheus refuses a scrape with a series that occurs twice."""
    metrics = started(bus, "each")
    for channel, times in ((stock_low, 2), (same_name, 3)):
        bus[channel].subscribe(print_nothing)
        for _ in range(times):
            bus[channel].publish("TEA")

    lines = exposition(metrics, "typedbus_publish_total{", "_count{", 'le="+Inf"')

    assert lines == [
        'typedbus_publish_total{channel="stock_low"} 5.0',
        'typedbus_publish_duration_seconds_bucket{channel="stock_low",le="+Inf"} 5.0',
        'typedbus_publish_duration_seconds_count{channel="stock_low"} 5.0',
        *(
            f'typedbus_listener_duration_seconds_{kind},listener="{__name__}.print_nothing"}} 5.0'
            for kind in ('bucket{channel="stock_low",le="+Inf"', 'count{channel="stock_low"')
        ),
    ]


def print_nothing(sku: str, /) -> None:
    """Do nothing."""


def test_a_label_has_no_argument_and_no_address(bus: Bus) -> None:
    """The repr of a partial function contains both; without them the labels are few and contain no secrets."""

    class Writer:
        def __call__(self, number: int, /) -> None:
            """Do nothing."""

    bus[order_placed].subscribe(functools.partial(print, "secret", end=""))
    bus[order_placed].subscribe(Writer())
    bus[order_placed].subscribe(Writer())
    metrics = started(bus, "each")
    bus[order_placed].publish(1)

    names = {
        line.partition('listener="')[2] for line in exposition(metrics, "typedbus_listener_duration_seconds_count{")
    }

    assert names == {
        'functools.partial"} 1.0',
        f'{__name__}.test_a_label_has_no_argument_and_no_address.<locals>.Writer"}} 2.0',
    }


def test_a_stop_ends_the_observation(bus: Bus) -> None:
    """A publish between a stop and the next start is not counted, and the next start counts from 0."""
    bus[order_placed].subscribe(book)
    metrics = started(bus, "count")
    bus[order_placed].publish(1)
    assert metrics._observation is not None
    observation = weakref.ref(metrics._observation)
    metrics.stop()
    gc.collect()
    assert observation() is None
    bus[order_placed].publish(2)
    stopped = exposition(metrics, "typedbus")
    metrics.start()
    bus[order_placed].publish(3)

    assert stopped == []
    assert exposition(metrics, "typedbus_publish_total{") == ['typedbus_publish_total{channel="order_placed"} 1.0']


def test_a_scrape_during_publishes_is_consistent(bus: Bus) -> None:
    """Four threads publish: no count decreases between scrapes, and the last scrape has all publishes."""
    bus[order_placed].subscribe(book)
    metrics = started(bus, "each")

    def publish() -> None:
        for number in range(2_000):
            bus[order_placed].publish(number)

    threads = [ThreadCall(publish) for _ in range(4)]
    before = 0.0
    while any(thread.is_alive() for thread in threads):
        for line in exposition(metrics, "typedbus_publish_total{"):
            now = float(line.rpartition(" ")[2])
            assert now >= before
            before = now
    for thread in threads:
        assert thread.finished().error is None

    lines = exposition(metrics, "typedbus_publish_total{", "_count{")
    assert [line.rpartition(" ")[2] for line in lines] == ["8000.0"] * 3


def test_checks_are_no_publishes(bus: Bus) -> None:
    """`Health` calls the listeners of its channels without a publish."""
    bus[READY].subscribe(lambda: Check(is_ok=True))
    metrics = started(bus, "each")
    Health(bus).ready()

    assert exposition(metrics, 'channel="ready"') == []


def test_an_unknown_level_fails_the_start(bus: Bus) -> None:
    """Nothing remains registered."""
    metrics = Metrics(bus, level="all")  # type: ignore[arg-type]  # checked at run time

    with pytest.raises(ObserveError):
        metrics.start()

    assert exposition(metrics, "typedbus") == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_forked_child_does_not_count_the_publishes_of_its_parent(bus: Bus) -> None:
    """This holds for a bus that has started, and for a bus that has not."""
    bus[order_placed].subscribe(book)
    metrics = started(bus, "time")
    bus[order_placed].publish(1)

    def check() -> None:
        lines = exposition(metrics, "typedbus_publish_total{")
        assert all(line.endswith(" 0.0") for line in lines), lines

    in_child(check)
    bus.start()
    in_child(check)

    assert exposition(metrics, "typedbus_publish_total{") == ['typedbus_publish_total{channel="order_placed"} 1.0']
