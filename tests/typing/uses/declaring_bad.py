"""Invalid declarations of channels, and invalid arguments of any name; a marked line is an error for both checkers."""

import threading

from declaring_good import (
    AsyncTask,
    Call,
    Task,
    by_either,
    fetch,
    fetched,
    item_hidden,
    item_moved,
    on_transfer,
    opened,
    order_placed,
    price,
    quote,
    reserved,
    task_ended,
    task_started,
    transfer,
)

from typedbus import AsyncChannel, AsyncPublishes, Bus, Channel, Component, Container, Publishes, Resource, Scoped

Channel.declare(transfer, name=3)  # E
Channel.declare(transfer, name=None)  # E
Channel.declare(transfer, "item_moved")  # E
Channel.declare("item_moved")  # E
Channel.declare("item_moved", name="item_moved")  # E
Channel.declare(item_moved, name="item_copied")  # E
Channel.declare(name="item_moved")("item_copied")  # E
Channel.declare(name="item_moved")(item_moved)  # E
Channel.declare(name=3)  # E
Channel.declare()  # E
Channel.declare(transfer, name="item_moved", concurrent=True)  # E
AsyncChannel.declare(transfer, name=3)  # E
AsyncChannel.declare(transfer, name=None)  # E
AsyncChannel.declare(transfer, "item_moved")  # E
AsyncChannel.declare("item_moved")  # E
AsyncChannel.declare(fetched, name="item_copied")  # E
AsyncChannel.declare(name="item_moved")("item_copied")  # E
AsyncChannel.declare(name=3, concurrent=True)  # E
AsyncChannel.declare()  # E


def a_named_channel_has_the_signature_of_the_function(bus: Bus) -> None:
    bus[item_moved].publish("lamp")  # E
    bus[item_moved].publish("lamp", source="attic")  # E
    bus.publish(item_moved, "lamp")  # E
    bus[item_moved].subscribe(price)  # E
    bus[order_placed].subscribe(on_transfer)  # E
    bus[order_placed].publish("tea", count="two")  # E
    bus[quote].subscribe(on_transfer)  # E


async def a_named_async_channel_has_it_as_well(bus: Bus) -> None:
    await bus[item_hidden].publish("lamp")  # E
    await bus.publish(item_hidden, "lamp", source="attic")  # E
    bus[item_hidden].subscribe(fetch)  # E
    await bus[fetched].publish(b"tea")  # E


def args_and_kwargs_are_checked(bus: Bus, started: Publishes[Task]) -> None:
    bus.publish(task_started, "tea", args=(1,))  # E
    bus.publish(task_started, "tea", args=(1,), kwargs=2)  # E
    bus.publish(task_started, "tea", args=1, kwargs={})  # E
    bus.publish(task_started, "tea", 1, kwargs={})  # E
    bus[task_started].publish("tea", args=(1,))  # E
    bus[task_started].first("tea", args=(1,), kwargs=2)  # E
    bus[task_started].fold("tea", args=1, kwargs={})  # E
    bus[task_started].attempt("tea", kwargs={})  # E
    started.publish("tea", args=(1,))  # E
    started.first("tea", args=1, kwargs={})  # E
    started.fold("tea", kwargs={})  # E
    started.attempt("tea", args=(1,), kwargs=2)  # E
    bus.publish(by_either, args=1)  # E
    bus.publish(by_either, 1, args=2)  # E
    bus.publish(reserved, self=1, cls=1, bus=1, channel=1, listener=1, priority="1", value=1)  # E
    bus.publish(reserved, cls=1, bus=1, channel=1, listener=1, priority=1, value=1)  # E
    bus[task_ended].publish_from_thread("tea", args=1, kwargs={})  # E


async def args_and_kwargs_of_async_channels_are_checked(bus: Bus, ended: AsyncPublishes[AsyncTask]) -> None:
    await bus.publish(task_ended, "tea", args=(1,))  # E
    await bus.publish(task_ended, "tea", args=(1,), kwargs=2)  # E
    await bus[task_ended].publish("tea", args=1, kwargs={})  # E
    await bus[task_ended].fold("tea", args=1, kwargs={})  # E
    await ended.publish("tea", args=(1,))  # E
    await ended.fold("tea", args=1, kwargs={})  # E
    await bus[task_started].publish_in_thread("tea", args=(1,))  # E


class Office(Container):
    worker = Component(threading.Thread, target=print, args=1)  # E
    other_worker = Component(threading.Thread, target=print, kwargs=1)  # E
    call = Component(Call, channel="tea", args=(1,), builds=1, cls=1)  # E
    resource = Resource(opened, args=1, kwargs="1", self=1)  # E
    scoped = Scoped(opened, args=1, self=1)  # E
    plain = Scoped(Call, "tea", args=(1,), kwargs=2, builds=1, cls=1)  # E
