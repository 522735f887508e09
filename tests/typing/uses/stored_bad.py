"""Wrong uses of ports for events and signals, and of the receiver; a marked line is an error for both checkers."""

from stored_good import Order, Orders, order_placed, order_shipped, stock_low

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import EventPort, Link, Receipt, Receiver, SignalPort, event, signal

quoted = Channel[[str], int]("quoted")
quoted_async = AsyncChannel[[str], int]("quoted")


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    placed = Component(event, link.provided, order_placed, stream="ORDERS")
    low = Component(event, link.provided, stock_low, stream="ORDERS")
    moved = Component(signal, link.provided, order_placed)
    without_stream = Component(event, link.provided, order_placed)  # E
    of_results = Component(event, link.provided, quoted, stream="ORDERS")  # E
    number = Component(event, link.provided, order_placed, stream=3)  # E
    swapped = Component(Orders, moved.provided, placed.provided)  # E
    of_another_channel = Component(Orders, low.provided, moved.provided)  # E


def only_channels_without_results_have_such_ports(bus: Bus, link: Link) -> None:
    event(link, quoted, stream="ORDERS")  # E
    event(link, quoted_async, stream="ORDERS")  # E
    signal(link, quoted)  # E
    Receiver(link, bus[quoted])  # E
    event(link, bus[order_placed], stream="ORDERS")  # E
    event(link, "order_placed", stream="ORDERS")  # E
    Receiver(link, order_placed)  # E


def the_options_have_types(bus: Bus, link: Link) -> None:
    event(link, order_placed, "ORDERS")  # E
    event(link, order_placed, stream="ORDERS", deadline="5s")  # E
    event(link, order_placed, stream="ORDERS", window=2.5)  # E
    signal(link, order_placed, stream="ORDERS")  # E
    Receiver(link, bus[order_placed], "shipping")  # E
    Receiver(link, bus[order_placed], most=None)  # E


async def the_arguments_are_those_of_the_channel(
    placed: EventPort[[Order]], moved: SignalPort[[Order]], link: Link, order: Order
) -> None:
    await placed.publish()  # E
    await placed.publish(17)  # E
    await placed.publish(order, order)  # E
    await placed.publish(order=order)  # E
    placed.publish_from_thread("tea")  # E
    placed.submit()  # E
    placed.encoded(17)  # E
    placed.keyed(17)  # E
    await placed.keyed("order-17").publish("tea")  # E
    moved.publish(17)  # E
    moved.publish_from_thread()  # E
    await event(link, stock_low, stream="STOCK").publish("tea", left="two")  # E
    signal(link, stock_low).publish(sku=2)  # E


async def the_results_have_types(placed: EventPort[[Order]], moved: SignalPort[[Order]], order: Order) -> None:
    _receipt: Receipt = placed.publish(order)  # E
    _number: int = (await placed.publish(order)).stream  # E
    placed.submit(order).sequence  # E
    (await placed.publish(order)).sequence = 2  # E
    moved.dropped = 0  # E
    _other: EventPort[[str]] = placed  # E


def a_forwarding_listener_fits_its_channel(bus: Bus, placed: EventPort[[Order]], low: EventPort[[str]]) -> None:
    bus[order_placed].subscribe(placed.forward)  # E
    bus[order_shipped].subscribe(low.forward)  # E
    bus[order_placed].subscribe(low.forward_from_thread)  # E
