"""Components whose methods listen to async channels."""

from __future__ import annotations

import asyncio

import pytest

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    BoundChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    InvalidContainer,
    on,
)

placed = AsyncChannel[[int], str]("placed")
closed = Channel[[], object]("closed")
undeclared: Channel[[], None] = Channel("undeclared")


class Billing:
    """Listens by a mark and by declarations."""

    @on(placed, priority=20)
    async def bill(self, order: int, /) -> str:
        """Bill after the others."""
        return f"bill {order}"

    async def pack(self, order: int, /) -> str:
        """Pack first."""
        await asyncio.sleep(0)
        return f"pack {order}"

    def count(self, order: int, /) -> str:
        """Is not async."""
        if order < 0:
            raise ValueError(order)
        return f"count {order}"

    async def close(self) -> None:
        """Close."""

    async def price(self, order: int, shop: str, /) -> str:
        """Take too many arguments."""
        return shop


class Checkout:
    """Is given an async channel."""

    def __init__(self, channel: AsyncBoundChannel[[int], str]) -> None:
        self.channel = channel


class Numbers:
    """Is given an async channel with other arguments."""

    def __init__(self, channel: AsyncBoundChannel[[str], str]) -> None:
        self.channel = channel


class Sync:
    """Is given a sync channel."""

    def __init__(self, channel: BoundChannel[[int], str]) -> None:
        self.channel = channel


class Shop(Container):
    """A valid container."""

    bus = Component(Bus)
    billing = Component(Billing).on(placed.calls(Billing.pack, priority=1), placed.calls(Billing.count, priority=10))
    checkout = Component(Checkout, bus.provided[placed])


def test_async_and_plain_methods_listen_to_an_async_channel() -> None:
    """By a mark or a declaration, in order of priority."""
    shop = Shop()
    shop.validate()
    shop.bus().start()

    assert asyncio.run(shop.checkout().channel.publish(3)) == ["pack 3", "count 3", "bill 3"]
    assert shop.checkout().channel is shop.bus()[placed]

    shop.bus().exit()


def test_a_failure_names_the_component() -> None:
    """Its path in the container and its method."""
    shop = Shop()
    shop.bus().start()

    with pytest.raises(ChannelFailures) as caught:
        asyncio.run(shop.bus()[placed].publish(-1))

    assert [failure.name for failure in caught.value.failures] == ["Shop.billing.count"]
    shop.bus().exit()


@pytest.mark.parametrize(
    ("component", "problem"),
    [
        (Component(Billing).on(closed.calls(Billing.close)), "is async, and its result would not be awaited"),
        (Component(Billing).on(undeclared.calls(Billing.close)), "is async, and its result would not be awaited"),  # type: ignore[arg-type]
        (Component(Billing).on(placed.calls(Billing.price)), "missing a required argument: 'shop'"),  # type: ignore[arg-type]
    ],
    ids=["result object", "undeclared", "arguments"],
)
def test_an_async_method_that_does_not_fit_its_channel_is_a_fault(component: Component[Billing], problem: str) -> None:
    """A sync channel would not await it; an async channel checks the arguments."""

    class Misfit(Container):
        bus = Component(Bus)
        billing = component

    with pytest.raises(InvalidContainer) as caught:
        Misfit().validate()

    assert problem in str(caught.value.exceptions[0])


@pytest.mark.parametrize("cls", [Numbers, Sync])
def test_an_async_channel_is_checked_against_the_annotation_of_its_parameter(cls: type[Numbers | Sync]) -> None:
    """The kind of channel and its arguments must match."""

    class Mismatch(Container):
        bus = Component(Bus)
        part = Component(cls, bus.provided[placed])

    with pytest.raises(InvalidContainer) as caught:
        Mismatch().validate()

    assert "is given channel 'placed'" in str(caught.value.exceptions[0])
