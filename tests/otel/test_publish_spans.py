"""The spans of publishes and of their listeners."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from tests.otel.recorded import Recorded

from typedbus import (
    LOG,
    AsyncChannel,
    BoundChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    WatcherError,
    in_thread,
    on,
    running,
)
from typedbus.events import LIFECYCLE
from typedbus.otel import Telemetry, TelemetryError, TypedbusInstrumentor
from typedbus.otel._settings import ListenerSpans

ORDERED = Channel[[str], None]("ordered")
PRICED = Channel[[int], int]("priced")
NOTED = Channel[[str], None]("noted")
ORDERED_ASYNC = AsyncChannel[[str], None]("ordered_async")
CONCURRENT = AsyncChannel[[str], None]("concurrent", concurrent=True)

ALWAYS = 0.0
"""As the limit of slow listeners: each is slow."""
NEVER = 3600.0
"""As the limit of slow listeners: none is slow, on whatever machine."""


class Stock:
    """A component that listens, and publishes on another channel."""

    def __init__(self, noted: BoundChannel[[str], None]) -> None:
        self.noted = noted

    @on(ORDERED, priority=20)
    def reserve(self, item: str) -> None:
        self.noted.publish(item)


class Mail:
    """A component whose listener fails."""

    @on(ORDERED)
    def send(self, item: str) -> None:
        raise OSError("no mail")


class Shop(Container):
    """A stock and a mail."""

    bus = Component(Bus)
    stock = Component(Stock, bus.provided[NOTED])
    mail = Component(Mail)


@pytest.fixture
def bus() -> Bus:
    """Return a bus."""
    return Bus()


def note(item: str) -> None:
    """Listen."""


async def note_async(item: str) -> None:
    """Listen."""
    await asyncio.sleep(0)


def test_a_publish_in_a_recording_span_has_a_span(bus: Bus, recorded: Recorded) -> None:
    """The span has the kind INTERNAL, the channel and the number of listeners that were called."""
    Telemetry(bus, tracer_provider=recorded.provider, slow=NEVER)
    bus[ORDERED].subscribe(note)
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("ink")

    assert recorded.tree() == {"request": {"publish ordered": {}}}
    assert recorded.span("publish ordered").kind is SpanKind.INTERNAL
    assert recorded.attributes("publish ordered") == {"typedbus.channel": "ordered", "typedbus.listeners": 1}


def test_a_publish_outside_a_recording_span_has_none(bus: Bus, recorded: Recorded) -> None:
    """A trace that consisted of this publish alone would have no context."""
    Telemetry(bus, tracer_provider=recorded.provider, listeners="all")
    bus[ORDERED].subscribe(note)
    bus[ORDERED].publish("ink")

    recorded.provider.sampler = ALWAYS_OFF
    with recorded.provider.get_tracer("off").start_as_current_span("request"):
        bus[ORDERED].publish("ink")

    assert recorded.spans == []


def test_a_publish_that_nothing_receives_has_a_span(bus: Bus, recorded: Recorded) -> None:
    """The trace shows that nothing listens, which may be the fault."""
    Telemetry(bus, tracer_provider=recorded.provider)
    with recorded.tracer.start_as_current_span("request"):
        assert bus[ORDERED].publish("ink") == []

    assert recorded.attributes("publish ordered")["typedbus.listeners"] == 0


def test_a_slow_listener_has_a_span_with_its_component_and_priority(recorded: Recorded) -> None:
    """A publish in a listener is below the publish that called this listener."""

    class Site(Container):
        bus = Component(Bus)
        telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provider, slow=ALWAYS)
        stock = Component(Stock, bus.provided[NOTED])

    with running(Site) as site:
        recorded.clear()
        with recorded.tracer.start_as_current_span("request"):
            site.bus()[ORDERED].publish("ink")
        tree = recorded.tree()

    assert tree == {"request": {"publish ordered": {"ordered Site.stock.reserve": {}, "publish noted": {}}}}
    assert recorded.attributes("ordered Site.stock.reserve") == {
        "typedbus.channel": "ordered",
        "typedbus.listener": "Site.stock.reserve",
        "typedbus.priority": 20,
    }
    publish, listener = recorded.span("publish ordered"), recorded.span("ordered Site.stock.reserve")
    # The clock of the durations and that of the beginnings differ by less than a millisecond.
    assert abs((listener.start_time or 0) - (publish.start_time or 0)) < 10**9
    assert (listener.end_time or 0) >= (listener.start_time or 0)


def test_a_quick_listener_has_no_span(bus: Bus, recorded: Recorded) -> None:
    """By default a listener is slow from a millisecond on."""
    telemetry = Telemetry(bus, tracer_provider=recorded.provider)
    assert telemetry.slow == 0.001
    telemetry.exit()
    Telemetry(bus, tracer_provider=recorded.provider, slow=NEVER)
    bus[ORDERED].subscribe(note)
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("ink")

    assert recorded.tree() == {"request": {"publish ordered": {}}}


def test_a_listener_that_fails_has_a_span_with_its_exception(recorded: Recorded) -> None:
    """A quick listener has one too; the span of the publish has the status and the number of failures."""

    class Site(Container):
        bus = Component(Bus)
        telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provider, slow=NEVER)
        stock = Component(Stock, bus.provided[NOTED])
        mail = Component(Mail)

    with running(Site) as site:
        recorded.clear()
        with recorded.tracer.start_as_current_span("request"), pytest.raises(ChannelFailures):
            site.bus()[ORDERED].publish("ink")
        tree = recorded.tree()

    assert tree == {"request": {"publish ordered": {"publish noted": {}, "ordered Site.mail.send": {}}}}
    listener, publish = recorded.span("ordered Site.mail.send"), recorded.span("publish ordered")
    assert listener.status.status_code is publish.status.status_code is StatusCode.ERROR
    assert listener.status.description == "OSError: no mail"
    assert [event.name for event in listener.events] == ["exception"]
    assert publish.events == ()
    assert recorded.attributes("publish ordered") == {
        "typedbus.channel": "ordered",
        "typedbus.listeners": 2,
        "typedbus.failed": 1,
        "error.type": "typedbus.ChannelFailures",
    }
    assert recorded.attributes("ordered Site.mail.send")["error.type"] == "OSError"


def test_with_no_spans_of_listeners_the_publish_has_the_exception(bus: Bus, recorded: Recorded) -> None:
    """No span of a listener could record the exception."""

    @bus[ORDERED].subscribe
    def fail(item: str) -> None:
        raise OSError("no mail")

    Telemetry(bus, tracer_provider=recorded.provider, listeners="none", slow=ALWAYS)
    with recorded.tracer.start_as_current_span("request"), pytest.raises(ChannelFailures):
        bus[ORDERED].publish("ink")

    assert recorded.tree() == {"request": {"publish ordered": {}}}
    assert [event.name for event in recorded.span("publish ordered").events] == ["exception"]
    assert recorded.attributes("publish ordered")["typedbus.listeners"] == 1


def test_with_spans_of_all_listeners_each_is_current_for_its_listener(bus: Bus, recorded: Recorded) -> None:
    """Spans that a listener creates are below the span of the listener."""

    @bus[ORDERED].subscribe
    def first(item: str) -> None:
        bus[NOTED].publish(item)

    @bus[ORDERED].subscribe
    def second(item: str) -> None:
        recorded.tracer.start_span("query").end()
        raise OSError("no second")

    names = [f"ordered {subscription.name}" for subscription in (first, second)]
    Telemetry(bus, tracer_provider=recorded.provider, listeners="all")
    with recorded.tracer.start_as_current_span("request") as request:
        with pytest.raises(ChannelFailures):
            bus[ORDERED].publish("ink")
        assert get_current_span() is request

    assert recorded.tree() == {
        "request": {"publish ordered": {names[0]: {"publish noted": {}}, names[1]: {"query": {}}}}
    }
    assert recorded.attributes("publish ordered")["typedbus.listeners"] == 2
    assert recorded.span(names[0]).status.status_code is StatusCode.UNSET
    assert recorded.span(names[1]).status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("listeners", ["slow", "all", "none"])
def test_a_publish_has_the_same_spans_whether_its_duration_is_recorded_or_not(
    bus: Bus, recorded: Recorded, listeners: ListenerSpans
) -> None:
    """Of two publishes the first is in the sample, and the second is not."""
    bus[ORDERED].subscribe(note)
    Telemetry(bus, tracer_provider=recorded.provider, listeners=listeners, slow=ALWAYS)
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("ink")
        bus[ORDERED].publish("pen")

    first, second = recorded.tree()["request"].values()
    assert first == second
    assert len(first) == (listeners != "none")


def test_the_other_verbs_are_traced_as_a_publish(bus: Bus, recorded: Recorded) -> None:
    """`first`, `fold` and `attempt` have a span each."""
    bus[PRICED].subscribe(lambda price: price + 1)
    Telemetry(bus, tracer_provider=recorded.provider, slow=NEVER)
    with recorded.tracer.start_as_current_span("request"):
        assert bus[PRICED].first(1) == 2
        assert bus[PRICED].fold(1) == 2
        assert [answer.error for answer in bus[PRICED].attempt(1)] == [None]

    assert list(recorded.tree()["request"]) == ["publish priced", "publish priced (2)", "publish priced (3)"]


@pytest.mark.parametrize("listeners", ["slow", "all", "none"])
def test_failures_that_attempt_returns_are_recorded_as_those_of_a_publish(
    bus: Bus, recorded: Recorded, listeners: ListenerSpans
) -> None:
    """The spans of the listeners have the exceptions; without such spans the span of the publish has them."""

    def fail(item: str) -> None:
        raise OSError(f"no {item}")

    def fail_too(item: str) -> None:
        fail(item)

    channels: list[Any] = [ORDERED, ORDERED_ASYNC, CONCURRENT]
    for channel in channels:
        bus[channel].subscribe(note)
        bus[channel].subscribe(fail)
        bus[channel].subscribe(fail_too)
    Telemetry(bus, tracer_provider=recorded.provider, listeners=listeners, slow=NEVER)

    async def main() -> None:
        with recorded.tracer.start_as_current_span("request"):
            assert len(bus[ORDERED].attempt("ink").failures) == 2
            assert len((await bus[ORDERED_ASYNC].attempt("ink")).failures) == 2
            assert len((await bus[CONCURRENT].attempt("ink")).failures) == 2

    asyncio.run(main())

    for channel in channels:
        publish = recorded.span(f"publish {channel.name}")
        assert publish.status.status_code is StatusCode.ERROR
        assert recorded.attributes(publish.name) == {
            "typedbus.channel": channel.name,
            "typedbus.listeners": 3,
            "typedbus.failed": 2,
            "error.type": "typedbus.ChannelFailures",
        }
        spans = [span for span in recorded.spans if span.name.startswith(f"{channel.name} ") and span.events]
        assert len(publish.events) == (2 if listeners == "none" else 0)
        assert len(publish.events) + len(spans) == 2


def test_an_exception_of_no_listener_is_an_event_of_the_publish(bus: Bus, recorded: Recorded) -> None:
    """A watcher has no span, so the span of the publish has the exception."""

    @bus[ORDERED].watch
    def interrupt(item: str) -> None:
        raise KeyboardInterrupt

    Telemetry(bus, tracer_provider=recorded.provider)
    with recorded.tracer.start_as_current_span("request"), pytest.raises(KeyboardInterrupt):
        bus[ORDERED].publish("ink")

    assert [event.name for event in recorded.span("publish ordered").events] == ["exception"]


@pytest.mark.parametrize("channel", [ORDERED_ASYNC, CONCURRENT], ids=lambda channel: channel.name)
def test_an_awaited_publish_has_a_span_until_its_end(
    bus: Bus, recorded: Recorded, channel: AsyncChannel[[str], None]
) -> None:
    """The spans of listeners that run in tasks and threads end before it."""
    bus[channel].subscribe(note_async)
    bus[channel].subscribe(in_thread(note))
    names = [f"{channel.name} {subscription.name}" for subscription in bus[channel].subscriptions]
    Telemetry(bus, tracer_provider=recorded.provider, listeners="all")

    async def main() -> None:
        with recorded.tracer.start_as_current_span("request") as request:
            await bus[channel].publish("ink")
            assert get_current_span() is request

    asyncio.run(main())

    assert recorded.tree() == {"request": {f"publish {channel.name}": dict.fromkeys(names, {})}}
    publish = recorded.span(f"publish {channel.name}")
    assert all((recorded.span(name).end_time or 0) <= (publish.end_time or 0) for name in names)


def test_two_publishes_of_one_task_after_another_are_siblings(bus: Bus, recorded: Recorded) -> None:
    """The span of the first publish is not current in the second."""
    bus[ORDERED_ASYNC].subscribe(note_async)
    Telemetry(bus, tracer_provider=recorded.provider, slow=NEVER)

    async def main() -> None:
        with recorded.tracer.start_as_current_span("request"):
            await bus[ORDERED_ASYNC].publish("ink")
            await bus[ORDERED_ASYNC].publish("pen")

    asyncio.run(main())

    assert recorded.tree() == {"request": {"publish ordered_async": {}, "publish ordered_async (2)": {}}}


def test_a_publish_in_a_thread_and_from_a_thread_is_below_the_span_of_its_publisher(recorded: Recorded) -> None:
    """`publish_in_thread` and `publish_from_thread` copy the context."""

    class Site(Container):
        bus = Component(Bus)
        telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provider, slow=NEVER)

    with running(Site) as site:
        bus = site.bus()
        recorded.clear()
        bus[ORDERED].subscribe(note)
        bus[ORDERED_ASYNC].subscribe(note_async)
        with recorded.tracer.start_as_current_span("request"):
            asyncio.run(bus[ORDERED].publish_in_thread("ink"))
            bus[ORDERED_ASYNC].publish_from_thread("ink")
        tree = recorded.tree()

    assert tree == {"request": {"publish ordered": {}, "publish ordered_async": {}}}


def test_an_excluded_channel_and_those_of_the_bus_have_no_spans(bus: Bus, recorded: Recorded) -> None:
    """A log message in a request is not a part of its trace."""
    Telemetry(bus, tracer_provider=recorded.provider, exclude=[NOTED])
    bus[NOTED].subscribe(note)
    lines: list[str] = []
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    with recorded.tracer.start_as_current_span("request"):
        bus[NOTED].publish("ink")
        bus.log("ordered")

    assert lines == ["ordered"]
    assert recorded.tree() == {"request": {}}


def test_attributes_of_a_channel_are_computed_from_the_arguments(bus: Bus, recorded: Recorded) -> None:
    """Nothing else of the arguments is recorded, and a publish outside a span changes no other span."""
    bus[ORDERED].subscribe(note)
    Telemetry(bus, tracer_provider=recorded.provider, attributes={ORDERED: lambda item: {"shop.letters": len(item)}})
    bus[ORDERED].publish("outside a span")
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("hunter2")

    assert recorded.attributes("publish ordered")["shop.letters"] == 7
    assert recorded.attributes("request") == {}
    assert not any("hunter2" in text for text in recorded.texts())


def test_no_value_in_the_repr_of_a_listener_is_recorded(bus: Bus, recorded: Recorded) -> None:
    """The name of a partial function is its repr, whose arguments may be secrets."""
    bus[ORDERED].subscribe(functools.partial(lambda password, item: None, "hunter2"))
    Telemetry(bus, tracer_provider=recorded.provider, listeners="all")
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("ink")

    assert recorded.tree() == {"request": {"publish ordered": {"ordered functools.partial": {}}}}
    assert not any("hunter2" in text for text in recorded.texts())


def test_attributes_that_cannot_be_computed_do_not_fail_the_publish(bus: Bus, recorded: Recorded) -> None:
    """The publish continues, and the failure is logged."""

    def fail(item: str) -> Any:
        raise OSError("no attributes")

    lines: list[str] = []
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    Telemetry(bus, tracer_provider=recorded.provider, attributes={ORDERED: fail})
    with recorded.tracer.start_as_current_span("request"):
        assert bus[ORDERED].publish("ink") == []

    assert "publish ordered" in recorded.tree()["request"]
    assert len(lines) == 1
    assert "OSError: no attributes" in lines[0]


def test_ended_telemetry_leaves_the_channels_as_they_were(bus: Bus, recorded: Recorded) -> None:
    """Publishes are not traced, and the watch for the attributes is cancelled."""
    bus[ORDERED].subscribe(note)
    telemetry = Telemetry(bus, tracer_provider=recorded.provider, attributes={ORDERED: lambda item: {}})
    assert bus[ORDERED].watches
    telemetry.exit()
    with recorded.tracer.start_as_current_span("request"):
        bus[ORDERED].publish("ink")

    assert recorded.tree() == {"request": {}}
    assert bus[ORDERED].watches == ()


def test_arguments_that_cannot_be_used_are_refused(bus: Bus) -> None:
    """No listener and no watch is left on the bus."""
    wrong: Any
    for wrong, text in (
        ({"listeners": "fast"}, "listeners='fast' is not usable; give 'slow', 'all' or 'none'"),
        ({"slow": -1}, "slow=-1 is not usable; give a number of seconds from 0 up"),
        ({"slow": True}, "slow=True is not usable; give a number of seconds from 0 up"),
        ({"sample": 0}, "sample=0 is not usable; give a whole number from 1 up"),
        ({"sample": 1.5}, "sample=1.5 is not usable; give a whole number from 1 up"),
        ({"exclude": "noted"}, "exclude='noted' is not usable; give several channels, as in [order_placed]"),
        ({"exclude": NOTED}, f"exclude={NOTED!r} is not usable; give several channels, as in [order_placed]"),
        ({"attributes": []}, "attributes=[] is not usable; give a dict with a function for each channel"),
        (
            {"attributes": {"noted": dict}},
            f"attributes={ {'noted': dict} } is not usable; give a dict with a function for each channel",
        ),
        (
            {"attributes": {NOTED: {}}},
            f"attributes={ {NOTED: {}} } is not usable; give a dict with a function for each channel",
        ),
    ):
        for instrument in (functools.partial(Telemetry, bus), TypedbusInstrumentor().instrument):
            with pytest.raises(TelemetryError) as refused:
                instrument(**wrong)
            assert str(refused.value) == text
    with pytest.raises(WatcherError):
        Telemetry(bus, attributes={ORDERED: lambda item: {}, LOG: lambda message, level: {}})

    assert not bus[LIFECYCLE].has_listeners
    assert not bus[ORDERED].watches
