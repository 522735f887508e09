"""Right uses of consumers of events."""

from typing import assert_type

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import Consumer, Delivery, Link, Redelivery, Stream, delivery

placed = Channel[[int, str], None]("order_placed")
shipped = AsyncChannel[[int], None]("order_shipped")


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    placed = Component(Consumer, link.provided, bus.provided[placed], stream=Stream("ORDERS"), group="invoicing")
    shipped = Component(
        Consumer,
        link.provided,
        bus.provided[shipped],
        stream="ORDERS",
        group="invoicing",
        redelivery=Redelivery(attempts=3, ack_wait=60),
        prefetch=10,
        concurrency=2,
        in_order=False,
    )


def use(site: Site, link: Link, bus: Bus) -> None:
    assert_type(site.placed(), Consumer[[int, str]])
    assert_type(site.shipped(), Consumer[[int]])
    assert_type(Consumer(link, bus[placed], stream="ORDERS", group="a"), Consumer[[int, str]])
    assert_type(site.placed().held, int)
    assert_type(delivery(), Delivery)
    assert_type(delivery().message_id, str)
    assert_type(delivery().attempt, int)
