"""`Listeners` without a container: registration, and subscriptions by hand."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import re
import weakref
from typing import Any

import pytest
from tests.doubles import ThreadCall

from typedbus import (
    EXIT,
    START,
    STOP,
    AsyncChannel,
    Bus,
    Channel,
    ChannelError,
    ChannelFailures,
    Listeners,
    RegistrationError,
    State,
)

placed = Channel[[str], str]("placed")
returned = Channel[[str], str]("returned")
shipped = AsyncChannel[[str], str]("shipped")


def record(order: str, /) -> str:
    return f"record {order}"


def notify(order: str, /) -> str:
    return f"notify {order}"


def test_a_registered_function_is_called_on_each_bus_on_which_it_is_subscribed() -> None:
    """The functions are subscribed, in order of priority, on one bus and on another."""
    listeners = Listeners()
    listeners.on(placed)(record)
    listeners.on(placed, priority=10)(notify)

    for bus in (Bus(), Bus()):
        assert bus[placed].publish("tea") == []
        with listeners.subscribe(bus):
            assert bus[placed].publish("tea") == ["notify tea", "record tea"]
        assert bus[placed].publish("tea") == []


def test_on_returns_the_function_itself() -> None:
    """A registered function can be called as before, and registered for other channels."""
    listeners = Listeners()

    assert listeners.on(placed)(record) is record
    assert listeners.on(returned)(record) is record

    bus = Bus()
    with listeners.subscribe(bus):
        assert bus[placed].publish("tea") + bus[returned].publish("jam") == ["record tea", "record jam"]


def test_one_decorator_registers_a_function_for_two_channels() -> None:
    """The function listens to both; if it cannot listen to one of them, it listens to neither."""
    closed = Channel[[], str]("closed")
    listeners = Listeners()

    @listeners.on(placed, closed, priority=10)
    def note(*orders: str) -> str:
        return " ".join(("note", *orders))

    bus = Bus()
    with listeners.subscribe(bus):
        assert bus[placed].publish("tea") + bus[closed].publish() == ["note tea", "note"]
    with pytest.raises(RegistrationError, match="registered for this channel"):
        listeners.on(returned, placed)(note)
    with listeners.subscribe(bus):
        assert bus[returned].publish("tea") == []


def test_functions_on_an_async_channel_may_be_async() -> None:
    """An async function is awaited on an `AsyncChannel`, beside a plain one."""
    listeners = Listeners()
    listeners.on(shipped)(record)

    @listeners.on(shipped)
    async def post(order: str, /) -> str:
        await asyncio.sleep(0)
        return f"post {order}"

    async def publish() -> list[str]:
        bus = Bus()
        with listeners.subscribe(bus):
            return await bus[shipped].publish("tea")

    assert asyncio.run(publish()) == ["record tea", "post tea"]


def test_async_functions_may_listen_to_the_life_cycle() -> None:
    """A start awaits an async function that listens to `START`."""
    listeners = Listeners()
    notes: list[str] = []

    @listeners.on(START)
    async def connect() -> None:
        await asyncio.sleep(0)
        notes.append("connect")

    @listeners.on(EXIT)
    def close() -> None:
        notes.append("close")

    bus = Bus()
    with listeners.subscribe(bus):
        bus.start()
        bus.exit()

    assert notes == ["connect", "close"]


def test_subscribing_twice_calls_a_function_once_until_the_last_subscription_ends() -> None:
    """Two overlapping subscriptions on one bus keep the functions subscribed, whichever ends first."""
    for ends_first, ends_last in ((0, 1), (1, 0)):
        listeners = Listeners()
        listeners.on(placed)(record)
        bus = Bus()
        subscriptions = listeners.subscribe(bus), listeners.subscribe(bus)
        assert bus[placed].publish("tea") == ["record tea"]

        for _ in range(2):  # the second call changes nothing
            subscriptions[ends_first].cancel()
            assert bus[placed].publish("tea") == ["record tea"]
        subscriptions[ends_last].cancel()
        assert bus[placed].publish("tea") == []


def test_a_subscription_can_be_cancelled_inside_its_block() -> None:
    """The block gets the subscription, whose text names the place of the `Listeners`."""
    listeners = Listeners()
    listeners.on(placed)(record)
    bus = Bus()

    with listeners.subscribe(bus) as subscription:
        assert re.search(r"ListenersSubscription of <Listeners .*test_listeners.py:\d+ with 1 ", repr(subscription))
        subscription.cancel()
        assert bus[placed].publish("tea") == []


def test_two_objects_may_hold_one_function() -> None:
    """A function in two `Listeners` listens until neither is subscribed."""
    first, second = Listeners(), Listeners()
    first.on(placed)(record)
    second.on(placed)(record)
    bus = Bus()

    with second.subscribe(bus):
        with first.subscribe(bus):
            assert bus[placed].publish("tea") == ["record tea"]
        assert bus[placed].publish("tea") == ["record tea"]
    assert bus[placed].publish("tea") == []


def test_a_subscription_by_hand_is_left_alone() -> None:
    """A function that is subscribed by hand stays subscribed when the subscription of its `Listeners` ends."""
    listeners = Listeners()
    listeners.on(placed)(record)
    bus = Bus()
    bus[placed].subscribe(record)

    with listeners.subscribe(bus):
        assert bus[placed].publish("tea") == ["record tea"]

    assert bus[placed].publish("tea") == ["record tea"]


def test_an_ended_subscription_does_not_end_a_later_one() -> None:
    """Cancelling a subscription again leaves one that began meanwhile."""
    listeners = Listeners()
    listeners.on(placed)(record)
    bus = Bus()
    first = listeners.subscribe(bus)
    first.cancel()
    listeners.subscribe(bus)

    first.cancel()

    assert bus[placed].publish("tea") == ["record tea"]


def test_a_function_that_is_registered_later_is_subscribed_on_each_bus_at_once() -> None:
    """Functions of a module that is imported later listen on the buses that have the others, and on no bus after that."""
    listeners = Listeners()
    buses = Bus(), Bus()
    subscriptions = [listeners.subscribe(bus) for bus in buses]

    listeners.on(placed)(record)
    assert [bus[placed].publish("tea") for bus in buses] == [["record tea"], ["record tea"]]

    for subscription in subscriptions:
        subscription.cancel()
    listeners.on(placed)(notify)
    assert [bus[placed].publish("tea") for bus in buses] == [[], []]


def test_the_object_of_the_subscription_need_not_be_kept() -> None:
    """Without a reference to the result of `subscribe`, later functions are subscribed as well."""
    listeners = Listeners()
    bus = Bus()
    listeners.subscribe(bus)
    gc.collect()

    listeners.on(placed)(record)

    assert bus[placed].publish("tea") == ["record tea"]


def test_a_function_of_start_is_refused_once_the_bus_has_started() -> None:
    """A function that would not be called is an error at its line; the same function may be registered after the stop."""
    listeners = Listeners()
    notes: list[str] = []

    def connect() -> None:
        notes.append("connect")

    bus = Bus()
    with listeners.subscribe(bus):
        bus.start()
        with pytest.raises(RegistrationError, match="the bus has started"):
            listeners.on(START)(connect)
        listeners.on(STOP)(lambda: notes.append("disconnect"))
        bus.stop()
        listeners.on(START)(connect)
        bus.start()
        bus.exit()

    assert notes == ["disconnect", "connect", "disconnect"]


def test_a_function_of_start_is_refused_while_the_hooks_of_start_are_called() -> None:
    """A module that a hook of `START` imports is too late as well; the start goes on."""
    listeners = Listeners()
    errors: list[RegistrationError] = []

    @listeners.on(START)
    def load() -> None:
        with pytest.raises(RegistrationError) as raised:
            listeners.on(START)(lambda: None)
        errors.append(raised.value)

    bus = Bus()
    with listeners.subscribe(bus):
        bus.start()
        bus.exit()

    assert len(errors) == 1


def test_functions_of_start_are_not_subscribed_on_a_bus_that_has_started() -> None:
    """`subscribe` fails if a function would miss the start, and leaves no subscription behind."""
    listeners = Listeners()
    listeners.on(placed)(record)
    listeners.on(START)(lambda: None)
    bus = Bus()
    bus.start()

    with pytest.raises(RegistrationError, match="the bus has started"):
        listeners.subscribe(bus)
    assert bus[placed].publish("tea") == []
    bus.exit()
    with listeners.subscribe(bus):
        assert bus[placed].publish("tea") == ["record tea"]


def test_a_function_may_be_registered_for_start_by_a_listener_that_runs_before_the_hooks() -> None:
    """A function of `START` that is registered when the bus announces STARTING is called by this start."""
    from typedbus.events import MOVED, Moved

    listeners = Listeners()
    notes: list[str] = []
    bus = Bus()

    @bus[MOVED].subscribe()
    def load(event: Moved, /) -> None:
        if event.after is State.STARTING:
            listeners.on(START)(lambda: notes.append("connect"))

    with listeners.subscribe(bus):
        bus.start()
        bus.exit()

    assert notes == ["connect"]


def test_registering_in_threads_loses_no_function() -> None:
    """Functions that are registered while the object is subscribed and cancelled in other threads all listen afterwards."""
    listeners = Listeners()
    bus = Bus()
    functions = [functools.partial(record) for _ in range(200)]

    def subscribe() -> None:
        for _ in range(50):
            listeners.subscribe(bus).cancel()

    def register(some: list[functools.partial[str]]) -> None:
        for function in some:
            listeners.on(placed)(function)

    calls = [ThreadCall(subscribe), *(ThreadCall(functools.partial(register, functions[n::2])) for n in range(2))]
    for call in calls:
        assert call.finished().error is None

    assert bus[placed].publish("tea") == []
    with listeners.subscribe(bus):
        assert len(bus[placed].publish("tea")) == len(functions)


def test_listeners_keep_no_bus_alive() -> None:
    """A bus on which the functions are subscribed is collected as soon as the program drops it."""
    listeners = Listeners()
    listeners.on(placed)(record)
    bus = Bus()
    listeners.subscribe(bus)
    reference = weakref.ref(bus)

    del bus
    gc.collect()

    assert reference() is None


def test_failures_name_the_function() -> None:
    """A function that raises is named by its module and name, and is the listener of the failure."""
    listeners = Listeners()

    @listeners.on(placed)
    def fail(order: str, /) -> str:
        raise OSError(order)

    bus = Bus()
    with listeners.subscribe(bus), pytest.raises(ChannelFailures) as raised:
        bus[placed].publish("tea")

    assert raised.value.failures[0].listener is fail
    assert raised.value.failures[0].name.endswith(".fail")


class Clerk:
    def bill(self, order: str, /) -> str:
        return order

    @classmethod
    def make(cls, order: str, /) -> str:
        return order

    @staticmethod
    def check(order: str, /) -> str:
        return order


async def mail(order: str, /) -> str:
    return order


REFUSED: dict[str, tuple[Any, str]] = {
    "no function": ("record", "it is not callable"),
    "a method in its class": (vars(Clerk)["bill"], "it is a method, .* mark it with @on"),
    "a classmethod in its class": (vars(Clerk)["make"], "it is a classmethod, not a function"),
    "a staticmethod in its class": (vars(Clerk)["check"], "it is a staticmethod, not a function"),
    "an async function": (mail, "it is async, .* AsyncChannel"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_listen_is_refused_where_it_is_registered(case: str) -> None:
    """The error has the place of the registration, and the way out; nothing is registered."""
    function, message = REFUSED[case]
    listeners = Listeners()

    with pytest.raises(
        RegistrationError, match=rf"test_listeners.py:\d+\) cannot listen to channel 'placed': {message}"
    ):
        listeners.on(placed)(function)

    assert "with 0 function(s)" in repr(listeners)


def test_a_bound_method_may_be_registered() -> None:
    """A method of an object is a function like any other."""
    listeners = Listeners()
    listeners.on(placed)(Clerk().bill)
    bus = Bus()

    with listeners.subscribe(bus):
        assert bus[placed].publish("tea") == ["tea"]


def test_a_function_is_registered_once_for_a_channel() -> None:
    """The second registration of a function on a channel is an error that names both places."""
    listeners = Listeners()
    listeners.on(placed)(record)

    with pytest.raises(RegistrationError, match="remove one of the two registrations") as raised:
        listeners.on(placed)(record)

    second, first = map(int, re.findall(r"test_listeners.py:(\d+)", str(raised.value)))
    assert second - first == 3


@pytest.mark.parametrize("given", ["placed", record, State.STARTED, None])
def test_on_takes_a_channel(given: Any) -> None:
    """Anything else, such as the function itself, is an error where it stands."""
    with pytest.raises(ChannelError):
        Listeners().on(given)


def test_a_priority_is_an_int() -> None:
    """Another value is an error where the function is registered."""
    priority: Any = "high"
    with pytest.raises(RegistrationError, match="its priority 'high' is not an int"):
        Listeners().on(placed, priority=priority)(record)


def test_subscribe_takes_a_bus() -> None:
    """A channel, or another object, is an error with the way out."""
    given: Any = Bus()[placed]
    with pytest.raises(TypeError, match=r"is not a bus; pass one, as in listeners.subscribe\(shop.bus\(\)\)"):
        Listeners().subscribe(given)


def test_each_combination_of_subscriptions_ends_exactly() -> None:
    """Whatever the order in which three subscriptions end, the function listens until the last one has ended."""
    for order in itertools.permutations(range(3)):
        listeners = Listeners()
        bus = Bus()
        subscriptions = [listeners.subscribe(bus) for _ in range(3)]
        listeners.on(placed)(record)
        for number in order:
            assert bus[placed].publish("tea") == ["record tea"]
            subscriptions[number].cancel()
        assert bus[placed].publish("tea") == []
