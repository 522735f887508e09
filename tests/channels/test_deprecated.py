"""Deprecated channels report each listener when it is subscribed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import deprecated

from typedbus import (
    AsyncChannel,
    Bus,
    Channel,
    ChannelError,
    Component,
    Container,
    Listeners,
    Subscription,
    TransitionFailures,
    on,
    running,
)
from typedbus.types import DeprecatedAsyncChannel, DeprecatedChannel

FILE = str(Path(__file__))


@Channel.declare(deprecated="use order_placed")
def order_made(sku: str, /, *, count: int = 1) -> None:
    """An order has arrived."""


@AsyncChannel.declare(deprecated="use order_sent")
async def order_shipped(sku: str, /) -> None:
    """An order has left."""


@Channel.declare
@deprecated("use order_placed")
def order_taken(sku: str, /, *, count: int = 1) -> None:
    """An order has arrived."""


def record(sku: str, /, *, count: int = 1) -> None:
    """Listen."""


async def async_record(sku: str, /) -> None:
    """Listen."""


class Mail:
    """Listens by a mark, and has a method that may be declared."""

    def __init__(self) -> None:
        self.orders: list[str] = []

    @on(order_made)
    def confirm(self, sku: str, /, *, count: int = 1) -> None:
        """Listen."""
        self.orders.append(f"{count} {sku}")

    async def follow(self, sku: str, /) -> None:
        """Listen."""
        self.orders.append(sku)


class Shop(Container):
    """Has a component that listens to both channels."""

    bus = Component(Bus)
    mail = Component(Mail).on(order_shipped.calls(Mail.follow))


def line_of(function: Callable[..., Any]) -> int:
    """Return the line of a function."""
    return function.__code__.co_firstlineno


def subscribe(bus: Bus, channel: Any, listener: Callable[..., Any]) -> Subscription:
    """Subscribe *listener* to *channel*."""
    subscription: Subscription = bus[channel].subscribe(listener)
    return subscription


def test_a_listener_of_a_deprecated_channel_is_reported() -> None:
    """The warning names the channel, its replacement, the listener and its place, and has that place itself."""
    with pytest.warns(DeprecationWarning) as caught:
        subscribe(Bus(), order_made, record)

    (warning,) = caught
    line = line_of(record)
    assert str(warning.message) == (
        f"channel 'order_made' is deprecated: use order_placed; {__name__}.record listens to it ({FILE}:{line})"
    )
    assert (warning.filename, warning.lineno) == (FILE, line)


@pytest.mark.parametrize("channel", [order_made, order_shipped, order_taken], ids=lambda channel: channel.name)
def test_a_listener_is_reported_once(channel: Any) -> None:
    """A new priority, a publish, a watcher and the end of the subscription are not reported."""
    bus = Bus()
    with pytest.warns(DeprecationWarning) as caught:
        subscription = subscribe(bus, channel, record)

        bus[channel].subscribe(record, priority=10)
        bus[channel].watch(record)
        if isinstance(channel, AsyncChannel):
            asyncio.run(bus[channel].publish("tea"))
        else:
            bus[channel].publish("tea")
        subscription.cancel()

    assert len(caught) == 1


def test_a_deprecated_channel_publishes_like_any_other() -> None:
    """Each verb works as before, and the error of a wrong call names the channel."""
    bus = Bus()
    with pytest.warns(DeprecationWarning):
        subscribe(bus, order_made, lambda sku, count: f"{count} {sku}")
    bound: Any = bus[order_made]

    assert bound.publish("tea", count=2) == ["2 tea"]
    assert bound.first("tea") == "1 tea"
    assert bound.fold("tea") == "1 tea"
    assert bound.attempt("tea").results == ("1 tea",)
    with pytest.raises(TypeError, match=r"order_made.*: publish\(\) missing 1 required positional argument: 'sku'"):
        bound.publish()


def test_a_function_that_is_decorated_as_a_listener_is_reported() -> None:
    """The place is that of the function, also of a nested one."""
    with pytest.warns(DeprecationWarning, match=r"<locals>\.listen listens to it"):

        @Bus()[order_made].subscribe()
        def listen(sku: str, /, *, count: int = 1) -> None: ...


def test_hooks_of_components_are_reported_with_their_paths() -> None:
    """Marked and declared methods are reported, and publishes reach them as before."""
    with pytest.warns(DeprecationWarning) as caught, running(Shop()) as shop:
        shop.bus()[order_made].publish("tea", count=2)
        asyncio.run(shop.bus()[order_shipped].publish("tea"))

        assert shop.mail().orders == ["2 tea", "tea"]

    assert sorted(str(warning.message) for warning in caught) == [
        f"channel 'order_made' is deprecated: use order_placed; Shop.mail.confirm listens to it ({FILE}:{line_of(Mail.confirm)})",
        f"channel 'order_shipped' is deprecated: use order_sent; Shop.mail.follow listens to it ({FILE}:{line_of(Mail.follow)})",
    ]


def register(listeners: Listeners, channel: Any, function: Callable[..., Any]) -> None:
    """Register *function*."""
    listeners.on(channel)(function)


def test_functions_of_a_registry_are_reported() -> None:
    """A function of a `Listeners` is reported when it is subscribed, on a bus and in a container."""
    registry = Listeners()
    register(registry, order_made, record)
    register(registry, order_shipped, async_record)

    class Analytics(Container):
        bus = Component(Bus)
        listeners = Component(registry)

    with pytest.warns(DeprecationWarning) as on_a_bus:
        registry.subscribe(Bus()).cancel()
    with pytest.warns(DeprecationWarning) as in_a_container, running(Analytics()):
        pass

    assert [str(warning.message) for warning in on_a_bus] == [
        f"channel 'order_made' is deprecated: use order_placed; {__name__}.record listens to it ({FILE}:{line_of(record)})",
        f"channel 'order_shipped' is deprecated: use order_sent; {__name__}.async_record listens to it ({FILE}:{line_of(async_record)})",
    ]
    assert [str(warning.message).partition("; ")[2].partition(" (")[0] for warning in in_a_container] == [
        "Analytics.listeners.record listens to it",
        "Analytics.listeners.async_record listens to it",
    ]


def test_a_hook_that_does_not_listen_is_not_reported() -> None:
    """A hook that `without` excludes causes no warning, which would be an error in these tests."""
    shop = Shop()
    replacement = Component(Mail).without(order_made)

    with shop.override(Shop.mail).by(replacement), running(shop):
        assert shop.mail().orders == []


def test_a_filter_can_make_an_error_of_the_report() -> None:
    """Then the listener is not subscribed, and a start fails."""
    bus = Bus()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)

        with pytest.raises(DeprecationWarning, match="use order_placed"):
            subscribe(bus, order_made, record)
        with pytest.raises(TransitionFailures) as caught, running(Shop()):
            raise AssertionError

    assert "Shop.mail.confirm listens to it" in str(caught.value.exceptions[0])
    assert bus[order_made].subscriptions == ()


def test_python_shows_each_report_once_by_default() -> None:
    """The registry of the listener's module records the warning, as for all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")

        for _ in range(3):
            subscribe(Bus(), order_made, record)
            subscribe(Bus(), order_taken, record)

    assert len(caught) == 2


def test_a_filter_applies_to_the_module_of_the_listener() -> None:
    """The warning counts as raised by the code of the listener."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module=re.escape(__name__))

        subscribe(Bus(), order_made, record)
        subscribe(Bus(), order_made, contextlib.contextmanager)

    assert [str(warning.message).partition("; ")[2].partition(" (")[0] for warning in caught] == [
        "contextlib.contextmanager listens to it"
    ]


def test_a_listener_without_a_place_is_reported() -> None:
    """A listener that is written in C has no file and line."""
    with pytest.warns(DeprecationWarning, match=r"list\.append listens to it \(no file\)$"):
        subscribe(Bus(), order_taken, [].append)


def test_the_decorator_of_the_standard_library_deprecates_a_channel() -> None:
    """The channel has the parameters of the function, and publishes fill in their defaults."""
    bus, calls = Bus(), list[tuple[str, int]]()
    with pytest.warns(DeprecationWarning, match="channel 'order_taken' is deprecated: use order_placed; "):
        subscribe(bus, order_taken, lambda sku, count: calls.append((sku, count)))

    bus[order_taken].publish("tea")

    assert calls == [("tea", 1)]
    assert str(order_taken.signature()) == "(sku: str, /, *, count: int = 1) -> None"
    assert order_taken.doc == "An order has arrived."


def test_a_deprecated_channel_has_its_text() -> None:
    """The attribute `deprecated` of any other channel is empty."""
    named = AsyncChannel.declare(record, name="order.made", concurrent=True, deprecated="use order_sent")

    assert (order_made.deprecated, order_shipped.deprecated, named.deprecated) == (
        "use order_placed",
        "use order_sent",
        "use order_sent",
    )
    assert (named.name, named.concurrent) == ("order.made", True)
    assert (type(order_made), type(named)) == (DeprecatedChannel, DeprecatedAsyncChannel)
    assert repr(order_made) == "<DeprecatedChannel 'order_made'>"
    assert Channel.declare(record).deprecated == ""


@pytest.mark.parametrize("kind", [Channel, AsyncChannel])
@pytest.mark.parametrize("text", ["", " ", True])
def test_a_deprecated_channel_needs_a_text(kind: type[Channel[..., Any]], text: str) -> None:
    """The text names the channel to which listeners move."""
    with pytest.raises(
        ChannelError, match=r"does not name a replacement for channel 'record': pass deprecated='use order_placed'"
    ):
        kind.declare(deprecated=text)(record)
