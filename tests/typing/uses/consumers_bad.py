"""Wrong uses of consumers of events."""

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import Consumer, Link, Redelivery, delivery

placed = Channel[[int], None]("order_placed")
shipped = AsyncChannel[[int], None]("order_shipped")
asked = Channel[[int], str]("price")
asked_async = AsyncChannel[[int], str]("price")


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    result = Component(Consumer, link.provided, bus.provided[asked], stream="ORDERS", group="a")  # E
    unbound = Component(Consumer, link.provided, placed, stream="ORDERS", group="a")  # E
    without_stream = Component(Consumer, link.provided, bus.provided[placed], group="a")  # E
    without_group = Component(Consumer, link.provided, bus.provided[placed], stream="ORDERS")  # E
    swapped = Component(Consumer, bus.provided[placed], link.provided, stream="ORDERS", group="a")  # E


def use(bus: Bus, link: Link) -> None:
    Consumer(link, bus[asked_async], stream="ORDERS", group="a")  # E
    Consumer(link, bus[placed], "ORDERS", "a")  # E
    Consumer(link, bus[placed], stream="ORDERS", group=3)  # E
    Consumer(link, bus[placed], stream="ORDERS", group="a", redelivery=5)  # E
    Consumer(link, bus[placed], stream="ORDERS", group="a", prefetch="all")  # E
    Consumer(link, bus[placed], stream="ORDERS", group="a", retries=3)  # E
    wrong: Consumer[[str]] = Consumer(link, bus[shipped], stream="ORDERS", group="a")  # E
    print(wrong)
    Redelivery(attempts="5")  # E
    Redelivery(delay=3)  # E
    Redelivery().first = 3  # E
    delivery().attempt = 2  # E
    delivery().unknown  # E
    delivery().sequence.upper()  # E
