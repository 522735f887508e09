"""What a snapshot shows, over a real socket."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from tests.inspector.clients import TOKEN, Client
from tests.processes import until

from typedbus import (
    LOG,
    RUN,
    Bus,
    Channel,
    Component,
    Container,
    Restart,
    State,
    Stopping,
    TransitionFailures,
    on,
    running,
)
from typedbus.inspector import Inspector
from typedbus.testing import FakeClock

order_placed = Channel[[str, int], None]("order_placed")


class Desk:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Stock:
    @on(order_placed)
    def reserve(self, sku: str, count: int, /) -> None:
        if count < 0:
            raise ValueError(sku)


class Shop(Container):
    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    stock = Component(Stock)
    desk = Component(Desk, bus.provided)


class Broken:
    is_broken = True

    def start(self) -> None:
        if self.is_broken:
            raise OSError("no database")


class BrokenShop(Container):
    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    desk = Component(Desk, bus.provided)
    database = Component(Broken)


def kinds(snapshot: Any) -> list[str]:
    return [event["kind"] for event in snapshot["events"]]


def test_components_have_their_class_outcome_and_durations() -> None:
    """The rows are in the order of declaration; a component that is constructed before the inspector has no times."""
    with running(Shop()) as shop:
        snapshot = Client.of(shop.inspector()).snapshot()

    rows = {row["path"]: row for row in snapshot["components"]}
    assert list(rows) == ["Shop.bus", "Shop.inspector", "Shop.stock", "Shop.desk"]
    desk = rows["Shop.desk"]
    assert desk["class"].endswith("test_snapshot.Desk")
    assert (desk["outcome"], desk["state"], desk["needs"], desk["listens"]) == (
        "started",
        "started",
        ["Shop.bus"],
        ["start", "stop"],
    )
    assert desk["construct"] >= 0
    assert desk["start"] >= 0
    assert (rows["Shop.stock"]["start"], rows["Shop.stock"]["state"]) == (None, "started")
    assert rows["Shop.stock"]["listens"] == ["order_placed"]
    assert (rows["Shop.bus"]["outcome"], rows["Shop.bus"]["construct"]) == ("started", None)


def test_components_without_an_event_are_shown_as_declared() -> None:
    """They come before the inspector in the start: built, or not enabled."""

    class Early(Container):
        bus = Component(Bus)
        desk = Component(Desk, bus.provided)
        off = Component(Stock).enabled(False, reason="no stock here")
        inspector = Component(Inspector, bus.provided, token=TOKEN)

    with running(Early()) as early:
        rows = {row["path"]: row for row in Client.of(early.inspector()).snapshot()["components"]}

    assert (rows["Early.off"]["outcome"], rows["Early.off"]["state"]) == ("disabled", "disabled")
    assert "no stock here" in rows["Early.off"]["reason"]
    assert (rows["Early.desk"]["outcome"], rows["Early.desk"]["needs"]) == ("started", ["Early.bus"])


def test_channels_have_their_declaration() -> None:
    """The signature is that of a listener, and the module the one that assigns the channel."""
    with running(Shop()) as shop:
        rows = Client.of(shop.inspector()).snapshot()["channels"]

    assert [(row["name"], row["signature"], row["listeners"]) for row in rows] == [
        ("order_placed", "(arg0: str, arg1: int, /) -> None", 1)
    ]
    assert rows[0]["module"].endswith("test_snapshot")


def test_nothing_new_is_not_modified() -> None:
    """Until the next event; then only what is new comes, and the rows of components only if one of them changed."""
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        first = client.snapshot()
        assert client.snapshot(f"since={first['seq']}") is None

        with pytest.raises(ExceptionGroup):
            shop.bus()[order_placed].publish("A-1", -1)
        second = client.snapshot(f"since={first['seq']}")

        assert kinds(second) == ["ListenerFailed"]
        assert len(second["failures"]) == 1
        assert client.snapshot(f"since={second['seq']}") is None
        assert client.snapshot(f"since={second['seq']}&open=channels")["components"] is None


def test_a_number_of_another_process_gets_everything() -> None:
    """The numbers of a process begin with the time, so those of an earlier one are smaller."""
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        full = client.snapshot()

        for since in ("1", str(full["seq"] + 1000), "x", "-1", "9" * 40):
            assert kinds(client.snapshot(f"since={since}"))[:2] == kinds(full)[:2]


def test_messages_come_only_to_an_open_log() -> None:
    """And make no difference to a client without it."""
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        seq = client.snapshot()["seq"]
        shop.bus().log("hello", 30)

        assert client.snapshot(f"since={seq}") is None
        log = client.snapshot(f"since={seq}&open=log")["log"]

    assert [(line["level"], line["text"]) for line in log] == [(30, "hello")]


def test_the_oldest_messages_are_dropped_and_counted() -> None:
    """1,000 are kept; a client that has missed some learns how many."""
    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    bus.log("first")
    seq = client.snapshot("open=log")["seq"]
    for number in range(1300):
        bus.log(f"message {number}")

    snapshot = client.snapshot(f"open=log&since={seq}")
    full = client.snapshot("open=log")
    inspector.close()

    assert [line["text"] for line in snapshot["log"]] == [f"message {number}" for number in range(300, 1300)]
    assert snapshot["lost"] == {"events": 0, "log": 300}
    assert full["lost"] == {"events": 0, "log": 0}
    assert len(full["log"]) == 1000


def test_the_oldest_events_are_dropped_and_counted() -> None:
    """500 are kept."""
    bus = Bus()
    bus.subscribe(order_placed, Stock().reserve)
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    seq = client.snapshot()["seq"]
    for _ in range(777):
        with pytest.raises(ExceptionGroup):
            bus[order_placed].publish("A-1", -1)

    snapshot = client.snapshot(f"since={seq}")
    inspector.close()

    assert len(snapshot["events"]) == 500
    assert snapshot["lost"] == {"events": 277, "log": 0}


def test_the_same_failure_is_counted() -> None:
    """The same class at the same place, whatever its text; it has the text of the last and the traceback of the first."""
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        bound = shop.bus()[order_placed]
        for sku in ("A-1", "A-2", "A-3"):
            with pytest.raises(ExceptionGroup):
                bound.publish(sku, -1)
        with pytest.raises(ExceptionGroup):
            bound.publish("B", None)  # type: ignore[arg-type]
        failures = client.snapshot()["failures"]
        trace = client.get(f"failures/{failures[0]['id']}")["traceback"]

    assert [(one["count"], one["channel"], one["listener"], one["error"]) for one in failures[:1]] == [
        (3, "order_placed", "Shop.stock.reserve", "ValueError('A-3')")
    ]
    assert [one["count"] for one in failures] == [3, 1]
    assert "in reserve" in trace
    assert "A-1" in trace


def test_fifty_failures_are_kept() -> None:
    """Those that happened last."""
    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    for number in range(60):
        channel = Channel[[], None](f"channel {number}")

        def fail(number: int = number) -> None:
            raise ValueError(number)

        bus[channel].subscribe(fail)
        with pytest.raises(ExceptionGroup):
            bus[channel].publish()
    failures = client.snapshot()["failures"]
    gone = client.request("/api/v1/failures/1")[0]
    inspector.close()

    assert [one["channel"] for one in failures] == [f"channel {number}" for number in range(10, 60)]
    assert gone == 404


def test_no_exception_is_kept() -> None:
    """An exception holds the frames of its traceback, and all their objects."""

    class Payload:
        pass

    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    channel = Channel[[Any], None]("channel")

    def fail(payload: object) -> None:
        raise ValueError("x")

    bus[channel].subscribe(fail)
    payload = Payload()
    kept = weakref.ref(payload)
    with pytest.raises(ExceptionGroup):
        bus[channel].publish(payload)
    del payload
    gc.collect()

    assert kept() is None
    assert inspector.url is None


def test_hostile_texts_are_data() -> None:
    """Names, messages and errors with markup, control characters and lone surrogates are in ASCII JSON as they are."""
    texts = ["<img src=x onerror=alert(1)>", "\0\x1b[31m\u2028\u202e", "\ud800 lone", '"];//</script>', "é" * 3]
    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    for text in texts:
        channel = Channel[[], None](text or "x")

        def fail(text: str = text) -> None:
            raise ValueError(text)

        bus[channel].subscribe(fail)
        with pytest.raises(ExceptionGroup):
            bus[channel].publish()
        bus.log(text)
    status, headers, body = client.request("/api/v1/snapshot?open=log,channels")
    snapshot = client.snapshot("open=log,channels")
    inspector.close()

    assert (status, headers["content-type"]) == (200, "application/json")
    assert body.isascii()
    assert [line["text"] for line in snapshot["log"][1:]] == texts
    assert [row["name"] for row in snapshot["channels"]] == texts
    assert [one["channel"] for one in snapshot["failures"]] == texts


def test_long_texts_are_cut() -> None:
    """A message of a megabyte would be sent to each client."""
    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    bus.log("x" * 1_000_000)
    lines = Client.of(inspector).snapshot("open=log")["log"]
    inspector.close()

    assert lines[-1]["text"] == "x" * 4000 + "… (996000 more characters)"


def test_an_error_without_a_repr_is_counted() -> None:
    """The listener of the events must not fail."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()

    def fail(sku: str, count: int) -> None:
        raise Mute

    bus[order_placed].subscribe(fail)
    with pytest.raises(ExceptionGroup):
        bus[order_placed].publish("A-1", 1)
    failures = Client.of(inspector).snapshot()["failures"]
    inspector.close()

    assert failures[0]["count"] == 1


def test_a_failed_start_is_shown_until_the_exit() -> None:
    """The inspector still serves after the rollback."""
    shop = BrokenShop()
    bus = shop.attach()
    with pytest.raises(TransitionFailures):
        bus.start()
    client = Client.of(shop.inspector())
    snapshot, start = client.snapshot(), client.get("start")

    bus.exit()
    with pytest.raises(OSError):  # noqa: PT011  # refused
        client.snapshot()

    rows = {row["path"]: row for row in snapshot["components"]}
    assert snapshot["bus"]["state"] == "STOPPED"
    assert (rows["BrokenShop.database"]["outcome"], rows["BrokenShop.database"]["state"]) == ("failed", "failed")
    assert rows["BrokenShop.database"]["error"] == "OSError('no database')"
    assert rows["BrokenShop.desk"]["outcome"] == "rolled back"
    assert [(one["channel"], one["listener"]) for one in snapshot["failures"]] == [("start", "BrokenShop.database")]
    assert start["outcome"] == "failed"


def test_a_stop_and_a_start_keep_the_port_and_the_events() -> None:
    """An exit ends both: the next start has a new inspector."""
    shop = Shop()
    with running(shop):
        first = shop.inspector()
        client = Client.of(first)
        seq = client.snapshot()["seq"]
        shop.bus().stop()
        stopped = client.snapshot()
        shop.bus().start()
        snapshot = client.snapshot(f"since={seq}")

    rows = {row["path"]: row["state"] for row in stopped["components"]}
    assert rows["Shop.desk"] == "stopped"
    moves = [event["detail"] for event in snapshot["events"] if event["kind"] == "Moved"]
    assert moves == ["STARTED -> STOPPING", "STOPPING -> STOPPED", "STOPPED -> STARTING", "STARTING -> STARTED"]
    with running(shop):
        second = Client.of(shop.inspector()).snapshot()
        assert shop.inspector() is not first
    assert second["seq"] > snapshot["seq"]
    assert [row["state"] for row in second["components"]] == ["started"] * 4


def test_after_the_exit_nothing_listens() -> None:
    """Neither to events nor to messages."""
    shop = Shop()
    with running(shop):
        bus = shop.bus()
        assert bus[LOG].has_listeners

    assert bus.state is State.EXITED
    assert not bus[LOG].has_listeners


class Consumer:
    def __init__(self, clock: FakeClock) -> None:
        self.calls = 0

    @on(RUN, restart=Restart(first=7.0))
    def consume(self, stopping: Stopping) -> None:
        self.calls += 1
        raise OSError(f"lost {self.calls}")


def test_runs_that_are_called_again_are_shown_with_the_next_call() -> None:
    """The clock of the bus gives the times."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        inspector = Component(Inspector, bus.provided, token=TOKEN)
        consumer = Component(Consumer, clock)

    with running(Site()) as site:
        client = Client.of(site.inspector())

        def run() -> Any:
            rows = client.snapshot()["components"]
            return next(row["run"] for row in rows if row["path"] == "Site.consumer")

        until(lambda: run()["state"] == "waiting")
        waiting = run()
        snapshot = client.snapshot()

    assert (waiting["error"], waiting["restarts"], waiting["next"]) == (
        "OSError('lost 1')",
        0,
        pytest.approx(7.0, rel=0.5),
    )
    assert "RunBroke" in kinds(snapshot)
    assert [(one["channel"], one["listener"]) for one in snapshot["failures"]] == [("run", "Site.consumer")]


def test_a_requested_exit_is_shown_with_its_causes() -> None:
    """Although there is no event of it."""
    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    client = Client.of(inspector)
    seq = client.snapshot()["seq"]
    bus.request_exit(OSError("disk full"))
    snapshot = client.snapshot(f"since={seq}")
    inspector.close()

    assert (snapshot["bus"]["exit_requested"], snapshot["bus"]["causes"]) == (True, ["OSError('disk full')"])
