"""Life-cycle events: each kind on its own channel, and all of them on `LIFECYCLE`."""

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
    """Has start, stop and exit hooks."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def exit(self) -> None: ...


class Between:
    """Has no hooks."""

    def __init__(self, database: Database) -> None: ...


class Orders:
    """Needs both, one of them through the other."""

    def __init__(self, database: Database, between: Between) -> None: ...

    def start(self) -> None: ...


class Web:
    """Fails to start."""

    def __init__(self, orders: Orders) -> None: ...

    def start(self) -> None:
        """Raise."""
        raise OSError("no port")


class Shop(Container):
    """The bus is the first component, so that all events are published."""

    bus = Component(Bus, clock=FakeClock())
    database = Component(Database)
    between = Component(Between, database.provided)
    orders = Component(Orders, database.provided, between.provided)
    off = Component(Database).enabled(False, reason="not in tests")


def events_of(container: Any) -> list[LifecycleEvent]:
    """Return a list of the events on `LIFECYCLE` from now on."""
    events: list[LifecycleEvent] = []
    container.attach()[LIFECYCLE].subscribe(events.append)
    return events


def timeless(event: object) -> str:
    """Return *event* without its seconds, which vary."""
    return re.sub(r"seconds=[\d.e-]+", "seconds", repr(event))


def test_the_events_of_a_run_are_in_order() -> None:
    """Disabled components, construction and subscription in start order, then each hook before and after its call."""
    shop = Shop()
    events = events_of(shop)

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


def test_each_kind_of_event_has_its_own_channel() -> None:
    """It has the same events as `LIFECYCLE`, of one kind."""
    shop = Shop()
    everything = events_of(shop)
    by_channel: dict[str, list[LifecycleEvent]] = {}
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
        shop.bus()[channel].subscribe(by_channel.setdefault(kind.__name__, []).append)

    with running(shop):
        pass

    assert len(kinds) == 14
    for kind in kinds:
        assert by_channel[kind.__name__] == [event for event in everything if type(event) is kind]


def test_the_event_of_a_failed_start_has_the_components_that_were_stopped() -> None:
    """The failure comes in its place, and the event of the rollback at the end."""

    class Broken(Shop):
        web = Component(Web, Shop.orders.provided)

    shop = Broken()
    events = events_of(shop)

    with pytest.raises(TransitionFailures):
        with running(shop):
            pass

    failed, undone = [event for event in events if isinstance(event, Failed | RolledBack)]
    assert isinstance(failed, Failed)
    assert isinstance(undone, RolledBack)
    assert (failed.path, failed.hook, str(failed.error)) == ("Broken.web", "start", "no port")
    assert (undone.error, undone.paths) == (failed.error, ("Broken.database",))


def test_the_event_of_a_failed_constructor_names_the_component() -> None:
    """It is published when the container is built."""

    def build() -> Database:
        raise OSError("no disk")

    class Broken(Container):
        bus = Component(Bus)
        database = Component(build)

    shop = Broken()
    failures: list[Failed] = []
    shop.attach()[FAILED].subscribe(failures.append)

    with pytest.raises(TransitionFailures):
        shop.bus().start()

    assert [(event.path, event.hook, str(event.error)) for event in failures] == [
        ("Broken.database", "assemble", "no disk")
    ]


def test_a_listener_that_fails_in_a_publish_causes_an_event() -> None:
    """It has the listener, the channel and the error; the publisher gets the error as well."""
    bus = Bus()
    failures: list[ListenerFailed] = []
    bus[LISTENER_FAILED].subscribe(failures.append)

    @bus[ring].subscribe()
    def broken() -> None:
        raise ValueError("bell")

    with pytest.raises(ChannelFailures) as failed:
        bus[ring].publish()

    assert failures == [ListenerFailed(failed.value.failures[0].name, "ring", failed.value.exceptions[0])]


def test_a_failing_listener_of_failures_is_reported_on_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """An event for that failure would fail again, endlessly."""
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
    """Type checkers verify it with `assert_never`."""

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
