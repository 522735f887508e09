"""Sites of thousands of components and hundreds of channels."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.inspector.clients import TOKEN, Client

from typedbus import Bus, Channel, Component, Container, on, running
from typedbus.inspector import Inspector

order_placed = Channel[[str], None]("order_placed")


class Part:
    def start(self) -> None:
        pass


@pytest.mark.slow
def test_five_thousand_components_are_shown() -> None:
    """The rows and the graph are computed once; without a change a request costs nothing, and the drawing is left out."""
    bus = Component(Bus)
    members: dict[str, Any] = {f"part{number}": Component(Part) for number in range(5000)}
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    site_class: Any = type("Site", (Container,), {"bus": bus, "inspector": inspector, **members})
    with running(site_class()) as site:
        client = Client.of(site.inspector())
        snapshot = client.snapshot()
        graph = json.loads(client.request("/api/v1/graph")[2])
        cpu = time.process_time()
        again = [client.snapshot(f"since={snapshot['seq']}") for _ in range(20)]
        channels = [client.snapshot(f"since={snapshot['seq']}&open=channels") for _ in range(5)]
        cpu = time.process_time() - cpu

    assert len(snapshot["components"]) == 5002
    assert {row["outcome"] for row in snapshot["components"]} == {"started"}
    assert len(snapshot["events"]) == 500
    assert (len(graph["nodes"]), graph["svg"]) == (5002, None)
    assert again == [None] * 20
    assert [one["components"] for one in channels] == [None] * 5
    # Answers with the rows of all components would take 17 s.
    assert cpu < 3.0


def test_five_hundred_channels_are_shown() -> None:
    """Each with its own number, also if names are the same."""

    class Listener:
        @on(order_placed)
        def receive(self, text: str, /) -> None: ...

    bus = Bus()
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    channels = [Channel[[str], None]("the same name") for _ in range(500)]
    for channel in channels:
        for _ in range(4):
            bus[channel].subscribe(Listener().receive)
    client = Client.of(inspector)
    client.snapshot("open=channels")
    for number, channel in enumerate(channels):
        for _ in range(number % 3):
            bus[channel].publish("x")
    rows = client.snapshot("open=channels&of=2")["channels"]
    inspector.close()

    assert [row["id"] for row in rows] == list(range(1, 501))
    assert [row["publishes"] for row in rows] == [number % 3 for number in range(500)]
    assert [row["listeners"] for row in rows] == [4] * 500
    assert [len(row["of"] or ()) for row in rows[:3]] == [0, 4, 0]
