"""What a snapshot shows, over a real socket."""

from __future__ import annotations

from tests.inspector.clients import TOKEN, Client

from typedbus import Bus, Channel, Component, Container, on, running
from typedbus.inspector import Inspector

order_placed = Channel[[str, int], None]("order_placed")


class Desk:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def start(self) -> None:
        pass


class Stock:
    @on(order_placed)
    def reserve(self, sku: str, count: int, /) -> None:
        if count < 0:
            raise ValueError(sku)


class Shop(Container):
    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    stock = Component(Stock)
    desk = Component(Desk, bus.provided)


def test_components_have_their_class_outcome_and_durations() -> None:
    """The rows are in the order of declaration; a component that is constructed before the inspector has no times."""
    with running(Shop()) as shop:
        snapshot = Client.of(shop.inspector()).snapshot()

    rows = {row["path"]: row for row in snapshot["components"]}
    assert list(rows) == ["Shop.bus", "Shop.inspector", "Shop.stock", "Shop.desk"]
    desk = rows["Shop.desk"]
    assert desk["class"].endswith("test_snapshot.Desk")
    assert (desk["outcome"], desk["state"], desk["needs"], desk["listens"]) == (
        "started",
        "started",
        ["Shop.bus"],
        ["start"],
    )
    assert desk["construct"] >= 0
    assert desk["start"] >= 0
    assert (rows["Shop.stock"]["start"], rows["Shop.stock"]["state"]) == (None, "started")
    assert rows["Shop.stock"]["listens"] == ["order_placed"]
    assert (rows["Shop.bus"]["outcome"], rows["Shop.bus"]["construct"]) == ("started", None)
