"""Channels in the graph of containers that refer to the bus of another package."""

from __future__ import annotations

from typedbus import BoundChannel, Bus, Channel, Component, Container, on
from typedbus.graph import Graph

sold = Channel[[str]]("sold")


class Stock:
    @on(sold)
    def take(self, sku: str, /) -> None:
        """Listens."""


class Till:
    def __init__(self, sold: BoundChannel[[str], None]) -> None:
        self.sold = sold


class Infra(Container):
    bus = Component(Bus)


class Sales(Container):
    till = Component(Till, Infra.bus.provided[sold])
    stock = Component(Stock)


class Site(Container):
    infra = Infra()
    sales = Sales()


def test_a_component_holds_a_channel_of_a_bus_in_another_container() -> None:
    """It publishes, so it starts after the listener."""
    [channel] = Graph.of(Site()).channels

    assert channel.holders == ("Site.sales.till",)
    assert [(pair.publisher, pair.listener) for pair in channel.order] == [("Site.sales.till", "Site.sales.stock")]
