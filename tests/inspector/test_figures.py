"""The counts of publishes, which are taken only while a client asks for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.inspector.clients import TOKEN, Client
from tests.processes import fork, until

from typedbus import START, Bus, Channel
from typedbus.inspector import Inspector
from typedbus.testing import FakeClock

order_placed = Channel[[str], None]("order_placed")
order_paid = Channel[[str], None]("order_paid")
NAME = "inspector lease"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(100.0)


@pytest.fixture
def bus(clock: FakeClock) -> Bus:
    return Bus(clock=clock)


@pytest.fixture
def client(bus: Bus) -> Iterator[Client]:
    """A client of an inspector of *bus*, on which two functions listen to a channel."""
    bus[order_placed].subscribe(lambda sku: None)
    bus[order_placed].subscribe(refuse, priority=10)
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    yield Client.of(inspector)
    inspector.close()
    assert NAME not in threads()


def refuse(sku: str) -> None:
    if sku == "bad":
        raise ValueError(sku)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def unrolled(bus: Bus) -> Any:
    """Return the function that a publish calls, which an observation replaces."""
    return bus[order_placed]._unrolled


def row(snapshot: Any) -> Any:
    return next(row for row in snapshot["channels"] if row["name"] == "order_placed")


def test_without_a_request_of_the_channels_nothing_is_observed(bus: Bus, client: Client) -> None:
    """Snapshots without the channels leave publishes as they are."""
    for _ in range(1000):
        bus[order_placed].publish("A-1")
    before = unrolled(bus)
    assert before is not None

    for query in ("", "open=log", "open=channel"):
        client.snapshot(query)
        assert row(client.snapshot(query))["publishes"] is None

    assert unrolled(bus) is before
    assert NAME not in threads()


def test_publishes_are_counted_from_the_first_request_of_the_channels(
    bus: Bus, client: Client, clock: FakeClock
) -> None:
    """A rate needs two requests; both are exact."""
    bus[order_placed].publish("before")
    first = row(client.snapshot("open=channels"))
    for _ in range(30):
        bus[order_placed].publish("A-1")
    with pytest.raises(ExceptionGroup):
        bus[order_placed].publish("bad")
    clock.advance(2.0)
    snapshot = client.snapshot("open=channels")
    second, seen = row(snapshot), snapshot["now"]
    clock.advance(3.0)
    third = row(client.snapshot("open=channels"))

    assert (first["publishes"], first["rate"], first["failures"], first["last"]) == (0, None, 0, None)
    assert (second["publishes"], second["rate"], second["failures"], second["last"]) == (31, 15.5, 1, seen)
    assert second["mean"] >= 0
    assert second["p95"] >= 1e-6
    assert (third["publishes"], third["last"]) == (31, seen)
    assert third["rate"] == pytest.approx(31 / 5)


def test_two_clients_get_the_same_rate(bus: Bus, client: Client, clock: FakeClock) -> None:
    """The second request of a moment does not begin a new interval."""
    client.snapshot("open=channels")
    for _ in range(20):
        bus[order_placed].publish("A-1")
    clock.advance(2.0)

    rates = [row(client.snapshot("open=channels"))["rate"] for _ in range(3)]

    assert rates == [10.0, 10.0, 10.0]


def test_a_rate_is_that_since_the_sample_before_the_last(bus: Bus, client: Client, clock: FakeClock) -> None:
    """So two requests after the last publish it is zero, and remains that until the next one."""
    rates: list[float] = []
    client.snapshot("open=channels")
    for publishes in (10, 20, 0, 0, 0, 6, 0):
        for _ in range(publishes):
            bus[order_placed].publish("A-1")
        clock.advance(1.0)
        rates.append(row(client.snapshot("open=channels"))["rate"])

    assert rates == [10.0, 15.0, 10.0, 0.0, 0.0, 3.0, 3.0]


def test_the_row_of_an_idle_channel_follows_its_listeners(bus: Bus, client: Client) -> None:
    """And those of channels that the bus has later follow the others."""
    before = row(client.snapshot("open=channels"))
    bus[order_placed].subscribe(print)
    bus[order_paid].publish("A-1")
    bus[order_placed].publish("A-1")

    rows = client.snapshot("open=channels")["channels"]

    assert before["listeners"] == 2
    assert [(one["id"], one["name"], one["listeners"], one["publishes"]) for one in rows] == [
        (1, "order_placed", 3, 1),
        (2, "order_paid", 0, 1),
    ]


def test_the_bound_of_95_durations_of_100_is_shown(bus: Bus, client: Client, clock: FakeClock) -> None:
    """Above all bounds it is the next power; the mean is that of all durations."""
    seconds = 0.0
    bus[order_placed].subscribe(lambda sku: clock.advance(seconds, sleepers=0), priority=20)
    found: list[tuple[object, object]] = []
    client.snapshot("open=channels")
    for count, seconds in (95, 0.0), (5, 0.5), (1, 0.5), (200, 5.0):
        for _ in range(count):
            bus[order_placed].publish("A-1")
            client.snapshot("open=channels")
        one = row(client.snapshot("open=channels"))
        found.append((one["p95"], one["mean"]))

    assert found == [
        (pytest.approx(1e-6), 0.0),
        (pytest.approx(1e-6), pytest.approx(2.5 / 100)),
        (pytest.approx(4**10 * 1e-6), pytest.approx(3.0 / 101, abs=1e-9)),
        (pytest.approx(4**12 * 1e-6), pytest.approx(1003.0 / 301, abs=1e-9)),
    ]


def test_the_observation_ends_15_seconds_after_the_last_request(bus: Bus, client: Client, clock: FakeClock) -> None:
    """Each request of the channels renews it; then the channel has the function of before, and there is no thread."""
    for _ in range(1000):
        bus[order_placed].publish("A-1")
    plain = unrolled(bus).__code__
    client.snapshot("open=channels")
    assert unrolled(bus).__code__.co_code != plain.co_code
    clock.advance(14.0)
    client.snapshot("open=channels")
    clock.advance(14.9)
    # The lease was renewed: its thread sleeps for the rest.
    clock.advance(0.0)
    assert unrolled(bus).__code__.co_code != plain.co_code

    client.snapshot("open=log")  # renews nothing
    clock.advance(0.2)
    until(lambda: NAME not in threads())

    assert unrolled(bus).__code__.co_code == plain.co_code
    assert row(client.snapshot("since=0"))["publishes"] is None


def test_counts_begin_at_zero_with_each_lease(bus: Bus, client: Client, clock: FakeClock) -> None:
    """A page that is opened again shows what happens since."""
    client.snapshot("open=channels")
    bus[order_placed].publish("A-1")
    clock.advance(16.0)
    until(lambda: NAME not in threads())

    again = row(client.snapshot("open=channels"))

    assert (again["publishes"], again["rate"], again["last"]) == (0, None, None)


def test_an_unfolded_channel_has_its_listeners_in_running_order(bus: Bus, client: Client) -> None:
    """Others have none: their names would take longer than all the rest."""
    number = row(client.snapshot("open=channels"))["id"]
    bus[order_placed].publish("A-1")

    folded = row(client.snapshot("open=channels"))
    listeners = row(client.snapshot(f"open=channels&of={number},77,x"))["of"]

    assert folded["of"] is None
    assert [(one["name"].rpartition(".")[2], one["priority"], one["calls"], one["failures"]) for one in listeners] == [
        ("refuse", 10, 1, 0),
        ("<lambda>", 50, 1, 0),
    ]
    assert all(one["mean"] >= 0 for one in listeners)


def test_channels_of_the_bus_itself_are_not_listed(bus: Bus, client: Client) -> None:
    """They cannot be observed, and every bus has them."""
    bus[START].subscribe(lambda: None)

    assert [row["name"] for row in client.snapshot("open=channels")["channels"]] == ["order_placed"]


def test_the_end_of_the_inspector_ends_the_observation(bus: Bus) -> None:
    """Although the lease has not ended."""
    bus[order_placed].subscribe(lambda sku: None)
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    Client.of(inspector).snapshot("open=channels")
    assert bus[order_placed]._observer is not None

    inspector.close()

    assert bus[order_placed]._observer is None
    assert NAME not in threads()


def test_a_forked_child_observes_nothing_and_holds_no_socket(bus: Bus) -> None:
    """It has neither the thread that would end the observation, nor a client."""
    bus[order_placed].subscribe(lambda sku: None)
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    client.snapshot("open=channels")
    ended, end = os.pipe()
    child = fork()
    if not child:
        os.close(end)
        status = bus[order_placed]._observer is not None
        os.read(ended, 1)
        os._exit(status)
    os.close(ended)

    client.snapshot("open=channels")
    assert bus[order_placed]._observer is not None
    inspector.close()
    with pytest.raises(ConnectionRefusedError):
        client.snapshot()

    os.close(end)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
