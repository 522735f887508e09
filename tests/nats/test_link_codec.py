"""The codec of a link sends what messages without one do not have, through each kind of port."""

from __future__ import annotations

import queue

import attrs
import pytest
from tests.doubles import LIMIT
from tests.nats.servers import NatsServer

from typedbus import AsyncChannel, Bus, Channel, Component, Container, on, running
from typedbus.nats import (
    AskPort,
    CattrsCodec,
    Consumer,
    EventPort,
    GatherPort,
    Link,
    Receiver,
    Responder,
    SchemaFault,
    SignalPort,
    Stream,
    ask,
    event,
    gather,
    signal,
)


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Transfer:
    account: str


paid = Channel[[Card | Transfer], None]("paid")
noted = Channel[[Card | Transfer], None]("noted")
checked = AsyncChannel[[Card | Transfer], Card | Transfer]("checked")


class Till:
    def __init__(
        self,
        paid: EventPort[[Card | Transfer]],
        noted: SignalPort[[Card | Transfer]],
        asked: AskPort[[Card | Transfer], Card | Transfer],
        gathered: GatherPort[[Card | Transfer], Card | Transfer],
    ) -> None:
        self.paid, self.noted, self.asked, self.gathered = paid, noted, asked, gathered
        self.received: queue.SimpleQueue[tuple[str, Card | Transfer]] = queue.SimpleQueue()

    @on(paid)
    def receive_payment(self, means: Card | Transfer, /) -> None:
        self.received.put(("paid", means))

    @on(noted)
    def receive_note(self, means: Card | Transfer, /) -> None:
        self.received.put(("noted", means))

    @on(checked)
    async def check(self, means: Card | Transfer, /) -> Card | Transfer:
        return means


def site(server: NatsServer, codec: CattrsCodec | None) -> Container:
    """Return a container with each kind of port."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], codec=codec)
        paid = Component(event, link.provided, paid, stream=Stream("PAYMENTS"))
        noted = Component(signal, link.provided, noted)
        asked = Component(ask, link.provided, checked, timeout=LIMIT)
        gathered = Component(gather, link.provided, checked, timeout=LIMIT, expect=1)
        till = Component(Till, paid.provided, noted.provided, asked.provided, gathered.provided)
        payments = Component(
            Consumer, link.provided, bus.provided[paid_channel], stream=Stream("PAYMENTS"), group="till"
        )
        notes = Component(Receiver, link.provided, bus.provided[noted_channel])
        checks = Component(Responder, link.provided, bus.provided[checked], group="till")

    return Site()


paid_channel, noted_channel = paid, noted


@pytest.mark.parametrize("means", [Card("4111"), Transfer("DE02")])
def test_a_union_of_classes_crosses_each_port(server: NatsServer, means: Card | Transfer) -> None:
    """A receiver gets an object of the class that was sent."""
    with running(site(server, CattrsCodec())) as container:
        till: Till = container.till()  # type: ignore[attr-defined]  # the class is local
        till.paid.publish_from_thread(means)
        till.noted.publish_from_thread(means)
        received = dict(till.received.get(timeout=LIMIT) for _ in range(2))
        answer = till.asked.ask_from_thread(means)
        gathered = till.gathered.gather_from_thread(means)

    assert received == {"paid": means, "noted": means}
    assert answer.value == means
    assert [reply.value for reply in gathered.value.replies] == [means]


def test_without_the_codec_each_port_refuses_the_channel(server: NatsServer) -> None:
    """Where it is constructed, with the remedy."""
    container = site(server, None)
    for name in ("paid", "noted", "asked", "gathered", "payments", "notes", "checks"):
        with pytest.raises(SchemaFault, match="CattrsCodec"):
            getattr(container, name)()
    container.bus().exit()  # type: ignore[attr-defined]  # as above
