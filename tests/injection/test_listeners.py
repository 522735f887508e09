"""Injected functions as listeners: `@listeners.on(channel)` above `@injected(component)`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from typedbus import (
    AsyncChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    InvalidContainer,
    Listeners,
    Scoped,
    running,
)
from typedbus.injection import NoRunningContainer, injected

placed = Channel[[str], int]("placed")
shipped = AsyncChannel[[str], int]("shipped")
listeners = Listeners()


class Orders:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def add(self, order: str) -> int:
        self.notes.append(order)
        return len(self.notes)


class Session:
    """An object of a scope, which is counted when it is closed."""


def session(closed: list[str]) -> Iterator[Session]:
    yield Session()
    closed.append("closed")


class Shop(Container):
    bus = Component(Bus)
    closed = Component(list[str])
    orders = Component(Orders)
    session = Scoped(session, closed.provided)
    functions = Component(listeners)


@listeners.on(placed)
@injected(Shop.orders)
def record(orders: Orders, order: str, /) -> int:
    return orders.add(order)


@listeners.on(shipped)
@injected(Shop.orders, Shop.session)
async def post(orders: Orders, session: Session, order: str, /) -> int:
    await asyncio.sleep(0)
    return orders.add(f"post {order}")


def test_a_listener_receives_components_of_the_running_container() -> None:
    """Each run passes its own component to the function, before the arguments of the channel."""
    for _ in range(2):
        with running(Shop) as shop:
            assert shop.bus()[placed].publish("tea") == [1]
            assert shop.orders().notes == ["tea"]


def test_an_async_listener_has_a_scope_for_each_call() -> None:
    """Without a current scope, objects of scopes live as long as the call."""

    async def publish() -> None:
        async with running(Shop) as shop:
            assert await shop.bus()[shipped].publish("tea") == [1]
            assert (shop.orders().notes, shop.closed()) == (["post tea"], ["closed"])

    asyncio.run(publish())


def test_a_listener_shares_the_scope_of_the_publisher() -> None:
    """A publish inside an injected function calls listeners with the objects of the same scope."""

    @injected(Shop.bus, Shop.closed, Shop.session)
    async def place(bus: Bus, closed: list[str], session: Session) -> list[str]:
        await bus[shipped].publish("tea")
        return list(closed)

    async def main() -> tuple[list[str], list[str]]:
        async with running(Shop) as shop:
            return await place(), shop.closed()

    assert asyncio.run(main()) == ([], ["closed"])


def test_an_injected_listener_needs_a_running_container() -> None:
    """On a bus without a container that declares the component, the failure names the way out."""
    bus = Bus()
    with listeners.subscribe(bus), pytest.raises(ChannelFailures) as raised:
        bus[placed].publish("tea")

    assert [type(error) for error in raised.value.exceptions] == [NoRunningContainer]


def test_validate_compares_an_injected_function_with_its_channel() -> None:
    """The parameters after the injected ones take what is published."""

    @injected(Shop.orders)
    def takes_no_order(orders: Orders, /) -> int:
        return len(orders.notes)

    @injected(Shop.orders)
    def takes_a_number(orders: Orders, order: int, /) -> int:
        return len(orders.notes) + order

    functions: list[Any] = [takes_no_order, takes_a_number]
    wrong = Listeners()
    for function in functions:
        wrong.on(placed)(function)

    class Broken(Shop):
        more = Component(wrong)

    with pytest.raises(InvalidContainer) as invalid:
        Broken().validate()
    assert [str(fault).partition("does not fit ")[2].partition(";")[0] for fault in invalid.value.exceptions] == [
        "channel 'placed': it is called with (arg0: str, /) and takes (): too many positional arguments",
        "channel 'placed': it takes 'order' as int and is given str",
    ]
