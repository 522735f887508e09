"""What a bus tells while a container lives: each kind on a channel of its own, all of them on `LIFECYCLE`."""

from __future__ import annotations

import re
from typing import Any, assert_never

import attrs
import pytest

import typedbus._base.events
import typedbus.events
from typedbus import Bus, Channel, ChannelFailures, Component, Container, State, TransitionFailures, running
from typedbus.events import (
    FAILED,
    LIFECYCLE,
    LISTENER_FAILED,
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus.testing import FakeClock

ring = Channel[[], None]("ring")


class Database:
    """Starts, stops and exits."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def exit(self) -> None: ...


class Between:
    """Has no hooks."""

    def __init__(self, database: Database) -> None: ...


class Orders:
    """Needs both, one past the other."""

    def __init__(self, database: Database, between: Between) -> None: ...

    def start(self) -> None: ...


class Web:
    """Cannot start."""

    def __init__(self, orders: Orders) -> None: ...

    def start(self) -> None:
        """Raise."""
        raise OSError("no port")


class Shop(Container):
    """The bus first, so that everything is told."""

    bus = Component(Bus, clock=FakeClock())
    database = Component(Database)
    between = Component(Between, database.provided)
    orders = Component(Orders, database.provided, between.provided)
    off = Component(Database).enabled(False, reason="not in tests")


def told(container: Any) -> list[LifecycleEvent]:
    """Return what will be told on `LIFECYCLE` from here on."""
    events: list[LifecycleEvent] = []
    container.attach()[LIFECYCLE].subscribe(events.append)
    return events


def timeless(event: object) -> str:
    """Return *event* without its seconds, which differ from run to run."""
    return re.sub(r"seconds=[\d.e-]+", "seconds", repr(event))


def test_the_events_of_a_whole_life_come_in_order() -> None:
    """The events are: disabled components, construction and subscription in start order, then each hook before and after its call."""
    shop = Shop()
    events = told(shop)

    with running(shop):
        pass

    path = "Shop.database"
    assert [timeless(event) for event in events] == [
        timeless(event)
        for event in [
            Moved(State.STOPPED, State.STARTING),
            Disabled("Shop.off", "not in tests"),
            Subscribed("Shop.bus", 0, ()),
            Constructing(path),
            Constructed(path, 0),
            Subscribed(path, 0, ()),
            Constructing("Shop.between"),
            Constructed("Shop.between", 0),
            Subscribed("Shop.between", 0, (path,)),
            Constructing("Shop.orders"),
            Constructed("Shop.orders", 0),
            Subscribed("Shop.orders", 0, (path, "Shop.between")),
            ComponentStarting(path),
            ComponentStarted(path, 0),
            ComponentStarting("Shop.orders"),
            ComponentStarted("Shop.orders", 0),
            Moved(State.STARTING, State.STARTED),
            Moved(State.STARTED, State.STOPPING),
            ComponentStopping(path),
            ComponentStopped(path, 0),
            Moved(State.STOPPING, State.STOPPED),
            Moved(State.STOPPED, State.EXITING),
            ComponentExiting(path),
            ComponentExited(path, 0),
            Moved(State.EXITING, State.EXITED),
        ]
    ]


def test_each_kind_has_a_channel_of_its_own() -> None:
    """A listener of one kind of event gets that kind alone, as often as a listener of all kinds does."""
    shop = Shop()
    everything = told(shop)
    heard: dict[str, list[LifecycleEvent]] = {}
    events = vars(typedbus._base.events)
    names = [
        name
        for name, kind in vars(typedbus.events).items()
        if events.get(name) is kind and isinstance(kind, type) and attrs.has(kind)
    ]
    kinds: list[type[Any]] = [getattr(typedbus.events, name) for name in names]
    for kind in kinds:
        channel: Channel[[Any], None] = getattr(
            typedbus.events, re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).upper()
        )
        shop.bus()[channel].subscribe(heard.setdefault(kind.__name__, []).append)

    with running(shop):
        pass

    assert len(kinds) == 14
    for kind in kinds:
        assert heard[kind.__name__] == [event for event in everything if type(event) is kind]


def test_the_event_of_a_failed_start_has_the_components_that_were_stopped() -> None:
    """The failure in its place, and at the end of the way back what has been stopped."""

    class Broken(Shop):
        web = Component(Web, Shop.orders.provided)

    shop = Broken()
    events = told(shop)

    with pytest.raises(TransitionFailures):
        with running(shop):
            pass

    failed, undone = [event for event in events if isinstance(event, Failed | RolledBack)]
    assert isinstance(failed, Failed)
    assert isinstance(undone, RolledBack)
    assert (failed.path, failed.hook, str(failed.error)) == ("Broken.web", "start", "no port")
    assert (undone.error, undone.paths) == (failed.error, ("Broken.database",))


def test_the_event_of_a_failed_constructor_names_the_component() -> None:
    """It is what the assembly of the container fails in."""

    def build() -> Database:
        raise OSError("no disk")

    class Broken(Container):
        bus = Component(Bus)
        database = Component(build)

    shop = Broken()
    heard: list[Failed] = []
    shop.attach()[FAILED].subscribe(heard.append)

    with pytest.raises(TransitionFailures):
        shop.bus().start()

    assert [(event.path, event.hook, str(event.error)) for event in heard] == [
        ("Broken.database", "assemble", "no disk")
    ]


def test_a_listener_that_fails_in_a_publish_causes_an_event() -> None:
    """By its name, with the channel and the error, on a channel of its own; the publisher hears of it all the same."""
    bus = Bus()
    heard: list[ListenerFailed] = []
    bus[LISTENER_FAILED].subscribe(heard.append)

    @bus[ring].subscribe()
    def broken() -> None:
        raise ValueError("bell")

    with pytest.raises(ChannelFailures) as failed:
        bus[ring].publish()

    assert heard == [ListenerFailed(failed.value.failures[0].name, "ring", failed.value.exceptions[0])]


def test_a_failing_listener_of_failures_is_reported_on_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """An event for that failure would fail again, without end."""
    bus = Bus()

    def broken(event: ListenerFailed, /) -> None:
        raise ValueError("and so do I")

    @bus[ring].subscribe()
    def failing() -> None:
        raise ValueError("bell")

    bus[LISTENER_FAILED].subscribe(broken)
    with pytest.raises(ChannelFailures):
        bus[ring].publish()

    assert "on 'listener_failed' failed: ValueError('and so do I')" in capsys.readouterr().err


def test_a_match_over_all_kinds_is_exhaustive() -> None:
    """The checkers hold it: `assert_never` is reached by nothing."""

    def name(event: LifecycleEvent) -> str:
        match event:
            case Moved(before, after):
                return f"{before.name} {after.name}"
            case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
                return path
            case (
                Constructed(path)
                | Subscribed(path)
                | ComponentStarted(path)
                | ComponentStopped(path)
                | ComponentExited(path)
            ):
                return path
            case Disabled(path, reason):
                return f"{path} {reason}"
            case Failed(path, hook):
                return f"{path} {hook}"
            case RolledBack(_, error):
                return repr(error)
            case ListenerFailed(listener, channel):
                return f"{listener} {channel}"
            case _:
                assert_never(event)

    assert name(Disabled("Shop.off", "closed")) == "Shop.off closed"
