"""Valid declarations of channels with `declare`, and parameters of any name."""

import threading
from collections.abc import Iterator
from typing import Any, Protocol, assert_type

from typedbus import AsyncChannel, AsyncPublishes, Bus, Channel, Component, Container, Publishes, Resource, Scoped
from typedbus.testing import Recorder


def transfer(item: str, /, *, source: bytes, destination: bytes = b"") -> None: ...


def price(sku: str, /) -> float:
    raise NotImplementedError


async def fetch(url: str, /) -> bytes:
    raise NotImplementedError


item_moved = Channel.declare(transfer, name="item_moved")
item_copied = Channel.declare(transfer, name="item_copied")
priced = Channel.declare(price, name="priced")
item_hidden = AsyncChannel.declare(transfer, name="item_hidden")
item_linked = AsyncChannel.declare(transfer, name="item_linked", concurrent=True)
fetched = AsyncChannel.declare(fetch, name="fetched")
transferred = Channel.declare(transfer)
asked = Channel.declare(name="asked")(price)


@Channel.declare(name="order.placed")
def order_placed(sku: str, /, *, count: int = 1) -> None: ...


@AsyncChannel.declare(name="order.quoted")
async def order_quoted(sku: str, /, *, count: int = 1) -> float:
    raise NotImplementedError


@AsyncChannel.declare(name="order.sent", concurrent=True)
def order_sent(sku: str, /) -> float:
    raise NotImplementedError


@Channel.declare
def quote(sku: str, /, *, count: int = 1) -> float:
    """What *count* of *sku* cost."""
    raise NotImplementedError


def on_transfer(item: str, /, *, source: bytes, destination: bytes = b"") -> None: ...


def a_named_channel_has_the_signature_of_the_function(bus: Bus) -> None:
    bus[item_moved].publish("lamp", source=b"attic")
    bus.publish(item_copied, "lamp", source=b"attic", destination=b"cellar")
    bus[item_moved].subscribe(on_transfer)
    bus[item_copied].subscribe(on_transfer)
    bus.subscribe(transferred, on_transfer)
    assert_type(bus[priced].publish("tea"), list[float])
    assert_type(bus[asked].publish("tea"), list[float])
    assert_type(bus[quote].publish("tea", count=2), list[float])
    assert_type(bus[order_placed].publish("tea", count=2), list[None])


async def a_named_async_channel_has_it_as_well(bus: Bus) -> None:
    await bus[item_hidden].publish("lamp", source=b"attic")
    await bus.publish(item_linked, "lamp", source=b"attic")
    bus[item_linked].subscribe(on_transfer)
    bus[fetched].subscribe(fetch)
    assert_type(await bus[fetched].publish("tea"), list[bytes])
    assert_type(await bus[order_quoted].publish("tea", count=2), list[float])
    assert_type(await bus[order_sent].publish("tea"), list[float])


# Parameters that have the names of parameters of typedbus


@Channel.declare
def task_started(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, Any]) -> str:
    raise NotImplementedError


@AsyncChannel.declare
async def task_ended(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, Any]) -> str:
    raise NotImplementedError


@Channel.declare
def by_either(args: int, kwargs: int) -> None: ...


@Channel.declare
def reserved(*, self: int, cls: int, bus: int, channel: int, listener: int, priority: int, value: int) -> int:
    raise NotImplementedError


def answer(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, Any]) -> str:
    return sender


class Task(Protocol):
    def __call__(self, sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, Any]) -> str: ...


class AsyncTask(Protocol):
    async def __call__(self, sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, Any]) -> str: ...


def parameters_can_be_named_args_and_kwargs(bus: Bus, started: Publishes[Task]) -> None:
    assert_type(bus.publish(task_started, "tea", args=(1,), kwargs={}), list[str])
    assert_type(bus[task_started].publish("tea", args=(1,), kwargs={}), list[str])
    assert_type(bus[task_started].first("tea", args=(1,), kwargs={}), str | None)
    assert_type(bus[task_started].fold("tea", args=(1,), kwargs={}), str)
    bus[task_started].attempt("tea", args=(1,), kwargs={})
    assert_type(started.publish("tea", args=(1,), kwargs={}), list[str])
    assert_type(started.first("tea", args=(1,), kwargs={}), str | None)
    assert_type(started.fold("tea", args=(1,), kwargs={}), str)
    started.attempt("tea", args=(1,), kwargs={})
    bus.publish(by_either, 1, 2)
    bus.publish(by_either, 1, kwargs=2)
    bus.publish(by_either, args=1, kwargs=2)
    bus[task_ended].publish_from_thread("tea", args=(1,), kwargs={})


async def parameters_of_an_async_channel_can_be(bus: Bus, ended: AsyncPublishes[AsyncTask]) -> None:
    assert_type(await bus.publish(task_ended, "tea", args=(1,), kwargs={}), list[str])
    assert_type(await bus[task_ended].publish("tea", args=(1,), kwargs={}), list[str])
    assert_type(await bus[task_ended].first("tea", args=(1,), kwargs={}), str | None)
    assert_type(await bus[task_ended].fold("tea", args=(1,), kwargs={}), str)
    await bus[task_ended].attempt("tea", args=(1,), kwargs={})
    await ended.publish("tea", args=(1,), kwargs={})
    await ended.first("tea", args=(1,), kwargs={})
    await ended.fold("tea", args=(1,), kwargs={})
    await ended.attempt("tea", args=(1,), kwargs={})
    await bus[task_started].publish_in_thread("tea", args=(1,), kwargs={})


def every_other_name_is_free(bus: Bus) -> None:
    bus.publish(reserved, self=1, cls=1, bus=1, channel=1, listener=1, priority=1, value=1)
    bus[reserved].publish(self=1, cls=1, bus=1, channel=1, listener=1, priority=1, value=1)
    bus[reserved].attempt(self=1, cls=1, bus=1, channel=1, listener=1, priority=1, value=1)
    with Recorder(bus[task_started]).answering(answer) as publishes:
        publishes.times("tea", args=(1,), kwargs={})


class Call:
    def __init__(
        self, channel: str, *, args: tuple[int, ...], kwargs: dict[str, int], builds: int, cls: int
    ) -> None: ...


def opened(*, args: int, kwargs: int, self: int) -> Iterator[Call]:
    yield Call("tea", args=(), kwargs={}, builds=1, cls=1)


class Office(Container):
    bus = Component(Bus)
    worker = Component(threading.Thread, target=print, args=(1,), kwargs={"n": 1})
    call = Component(Call, channel="tea", args=(1,), kwargs={"n": 1}, builds=1, cls=1)
    resource = Resource(opened, args=1, kwargs=1, self=1)
    scoped = Scoped(opened, args=1, kwargs=1, self=1)
    plain = Scoped(Call, "tea", args=(1,), kwargs={"n": 1}, builds=1, cls=1)


def an_override_can_have_them_as_well(office: Office) -> None:
    with office.override(Office.call).by(Component(Call, "tea", args=(1,), kwargs={}, builds=1, cls=1)):
        office.call()
