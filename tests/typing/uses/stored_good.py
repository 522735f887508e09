"""Ports for events and signals, and the receiver of signals: their types follow from the channel."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import assert_type

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import EventPort, Link, Receipt, Receiver, SignalPort, Stream, event, signal


@dataclass
class Order:
    number: int


@Channel.declare
def stock_low(sku: str, left: int = 0) -> None:
    """Few pieces are left."""


order_placed = Channel[[Order], None]("order_placed")
order_shipped = AsyncChannel[[Order], None]("order_shipped")


class Orders:
    def __init__(self, placed: EventPort[[Order]], moved: SignalPort[[Order]]) -> None:
        self.placed, self.moved = placed, moved


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    placed = Component(event, link.provided, order_placed, stream=Stream("ORDERS"))
    moved = Component(signal, link.provided, order_placed)
    orders = Component(Orders, placed.provided, moved.provided)
    receiver = Component(Receiver[[Order]], link.provided, bus.provided[order_placed], group="shipping")


async def a_publish_returns_a_receipt(link: Link, order: Order) -> None:
    port = event(link, order_placed, stream="ORDERS", deadline=2.5, window=10)
    assert_type(port, EventPort[[Order]])
    receipt = await port.publish(order)
    assert_type(receipt, Receipt)
    assert_type(receipt.stream, str)
    assert_type(receipt.sequence, int)
    assert_type(receipt.message_id, str)
    assert_type(receipt.is_duplicate, bool)
    assert_type(port.publish_from_thread(order), Receipt)
    assert_type(port.submit(order), Future[Receipt])
    assert_type(port.keyed(f"order-{order.number}"), EventPort[[Order]])
    assert_type(await port.keyed("order-17").publish(order), Receipt)
    assert_type(event(link, order_shipped, stream="ORDERS"), EventPort[[Order]])


async def parameters_keep_names_and_defaults(link: Link) -> None:
    port = event(link, stock_low, stream="STOCK")
    await port.publish("tea")
    await port.publish(sku="tea", left=2)
    port.submit("tea", 2)
    sent = signal(link, stock_low)
    sent.publish("tea", left=2)
    sent.publish_from_thread(sku="tea")


def a_local_publish_can_be_forwarded(bus: Bus, link: Link) -> None:
    bus[order_placed].subscribe(event(link, order_placed, stream="ORDERS").forward_from_thread)
    bus[order_shipped].subscribe(event(link, order_shipped, stream="ORDERS").forward)


def a_signal_has_no_result(link: Link, order: Order) -> None:
    port = signal(link, order_placed)
    assert_type(port, SignalPort[[Order]])
    assert_type(port.dropped, int)
    assert_type(signal(link, order_shipped), SignalPort[[Order]])


def a_receiver_has_the_type_of_its_channel(bus: Bus, link: Link) -> None:
    assert_type(Receiver(link, bus[order_placed]), Receiver[[Order]])
    assert_type(Receiver(link, bus[order_shipped], most=10), Receiver[[Order]])
