"""A component with a channel as an argument starts after the components that listen to the channel, where dependencies permit it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from dependency_injector import providers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from typedbus import START, BoundChannel, Bus, Channel, Component, Container, provided, running
from typedbus._base.ordering import channel_ranks, listeners_first, start_order
from typedbus.events import SUBSCRIBED
from typedbus.graph import Graph, StartsAfter
from typedbus.report import Report

order_placed = Channel[[int], None]("order_placed")
order_paid = Channel[[int], None]("order_paid")

Needs = Mapping[int, set[int]]
Channels = Sequence[tuple[Sequence[int], Sequence[int]]]
Wiring = tuple[dict[int, set[int]], list[tuple[list[int], list[int]]], list[int]]


@st.composite
def wirings(draw: st.DrawFn) -> Wiring:
    """Draw dependencies without cycles, publishers and listeners of channels, and priorities."""
    count = draw(st.integers(1, 9))
    numbers = list(range(count))
    order = draw(st.permutations(numbers))
    needs: dict[int, set[int]] = {number: set() for number in numbers}
    for place, number in enumerate(order[1:], 1):
        needs[number] = set(draw(st.lists(st.sampled_from(order[:place]), max_size=3)))
    members = st.lists(st.sampled_from(numbers), unique=True, max_size=4)
    channels = draw(st.lists(st.tuples(members, members), max_size=4))
    priorities = draw(st.lists(st.sampled_from([10, 50, 80]), min_size=count, max_size=count))
    return needs, channels, priorities


def pairs_of(channels: Channels) -> set[tuple[int, int]]:
    return {(one, other) for some, others in channels for one in some for other in others if one != other}


def reachable(edges: Mapping[int, set[int]], number: int) -> set[int]:
    reached: set[int] = set()
    pending = [number]
    while pending:
        for other in edges[pending.pop()] - reached:
            reached.add(other)
            pending.append(other)
    return reached


def with_pairs(needs: Needs, pairs: set[tuple[int, int]]) -> dict[int, set[int]]:
    return {number: needs[number] | {other for one, other in pairs if one == number} for number in needs}


@pytest.mark.slow
@given(wirings())
@settings(max_examples=200, deadline=None)
def test_listeners_start_before_publishers_unless_that_would_close_a_cycle(wiring: Wiring) -> None:
    """All dependencies are respected; an order that a channel asks for is dropped only if it contradicts them."""
    needs, channels, priorities = wiring
    edges = listeners_first(needs, channels)
    ordered = start_order(len(needs), edges, priorities)
    places = {number: place for place, (number, _) in enumerate(ordered)}
    ranks = channel_ranks(needs, channels)
    pairs = pairs_of(channels)
    kept = {(one, other) for one, other in pairs if ranks[other] < ranks[one]}
    kept_edges = with_pairs(needs, kept)

    assert sorted(number for number in places if number < len(needs)) == list(needs)
    assert all(places[other] < places[number] for number, needed in needs.items() for other in needed)
    assert all(places[other] < places[one] for one, other in kept)
    everything = with_pairs(needs, pairs)
    assert all((one, other) in kept for one, other in pairs if one not in reachable(everything, other))
    assert all(one in reachable(kept_edges, other) for one, other in pairs - kept)
    phases = [phase for number, phase in ordered if number < len(needs)]
    assert phases == sorted(phases)
    assert listeners_first(needs, channels) == edges


class Part:
    """Records its starts and stops."""

    def __init__(self, notes: list[str], name: int, *arguments: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        self.notes.append(f"{self.name} starts")

    def stop(self) -> None:
        self.notes.append(f"{self.name} stops")

    def hear(self, order: int, /) -> None:
        """Listen."""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
@given(wirings())
@example(({**dict.fromkeys(range(5), set()), 5: {0}}, [([0, 1], [1, 2, 5]), ([0, 1, 2], [0, 1])], [10] * 6))
@settings(max_examples=40, deadline=None)
def test_containers_start_in_that_order_and_stop_in_reverse(workers: int, wiring: Wiring) -> None:
    """A publisher starts after the listeners and stops before them, whatever the priorities, with and without worker threads."""
    needs, channels, priorities = wiring
    declared = [Channel[[int], None](f"channel {number}") for number in range(len(channels))]
    notes: list[str] = []
    body: dict[str, Any] = {"bus": Component(Bus)}
    parts: dict[int, Any] = {}
    for number in sorted(needs, key=lambda one: len(reachable(needs, one))):
        handed = [parts[other].provided for other in sorted(needs[number])]
        bound = [
            body["bus"].provided[channel]
            for channel, (publishers, _) in zip(declared, channels, strict=True)
            if number in publishers
        ]
        hooks = [
            channel.calls(Part.hear)
            for channel, (_, listeners) in zip(declared, channels, strict=True)
            if number in listeners
        ]
        part = Component(Part, notes, number, *handed, bound)
        parts[number] = part.on(START.calls(Part.start, priority=priorities[number]), *hooks)
    body.update({f"part{number}": parts[number] for number in needs})

    app = type("App", (Container,), body)()
    with running(app, workers=workers):
        pass

    places = {note: place for place, note in enumerate(notes)}
    pairs = pairs_of(channels)
    held = {(one, other) for one, other in pairs if places[f"{other} starts"] < places[f"{one} starts"]}
    everything = with_pairs(needs, pairs)
    # Which edges of a circle are left out depends on the whole container, which has a bus as well.
    certain = {(one, other) for one, other in pairs if one not in reachable(everything, other)}
    certain |= {(number, other) for number, needed in needs.items() for other in needed}
    assert all(places[f"{other} starts"] < places[f"{one} starts"] for one, other in certain)
    assert all(places[f"{one} stops"] < places[f"{other} stops"] for one, other in certain)
    assert all(one in reachable(with_pairs(needs, held), other) for one, other in pairs - held)


class Billing:
    """Must be open when an order arrives."""

    def __init__(self, *needed: object) -> None:
        self.is_open = False
        self.orders: list[tuple[int, bool]] = []

    def start(self) -> None:
        self.is_open = True

    def stop(self) -> None:
        self.is_open = False

    def charge(self, order: int, /) -> None:
        self.orders.append((order, self.is_open))


class Consumer:
    """Publishes from its start until its stop."""

    def __init__(self, placed: BoundChannel[[int], None], *others: object) -> None:
        self.placed = placed

    def start(self) -> None:
        self.placed.publish(1)

    def stop(self) -> None:
        self.placed.publish(2)


def placed_by(placed: Sequence[BoundChannel[[int], None]]) -> Consumer:
    return Consumer(placed[0])


class Infra(Container):
    bus = Component(Bus)


def charging() -> Component[Billing]:
    return Component(Billing).on(order_placed.calls(Billing.charge))


library: Any = providers


def item_of(bus: Component[Bus]) -> object:
    """Return the library's own provider of a channel on *bus*."""
    stand_in: Any = bus.provided[order_placed]
    return stand_in.__provider__


def same(placed: BoundChannel[[int], None]) -> BoundChannel[[int], None]:
    return placed


def shops() -> dict[str, type[Any]]:
    class Plain(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        billing = charging()

    class Listed(Container):
        bus = Component(Bus)
        consumer = Component(placed_by, [bus.provided[order_placed]])
        billing = charging()

    class Made(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, provided(library.Callable(same, item_of(bus))))
        billing = charging()

    class Nested(Container):
        infra = Infra()
        consumer = Component(Consumer, infra.bus.provided[order_placed])
        billing = charging()

    class Urgent(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed]).on(START.calls(Consumer.start, priority=1))
        billing = charging().on(START.calls(Billing.start, priority=90))

    return {cls.__name__: cls for cls in (Plain, Listed, Made, Nested, Urgent)}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ["Plain", "Listed", "Made", "Nested", "Urgent"])
def test_a_listener_is_ready_when_something_is_published(name: str, workers: int) -> None:
    """The channel may be passed in a list, by a provider, from a nested container, or at a lower priority."""
    shop = shops()[name]()
    with running(shop, workers=workers):
        billing = shop.billing()
    assert billing.orders == [(1, True), (2, True)]


def test_a_dependency_has_precedence_over_a_channel() -> None:
    """A listener that needs the publisher starts after it."""

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        billing = Component(Billing, consumer.provided).on(order_placed.calls(Billing.charge))

    app = App()
    with running(app):
        billing = app.billing()
    assert billing.orders == [(1, False), (2, False)]


def test_a_publisher_that_listens_to_its_own_channel_starts_after_the_other_listeners() -> None:
    """It waits for every listener but itself."""

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed]).on(order_placed.calls(ignore))
        billing = charging()

    app = App()
    with running(app):
        billing = app.billing()
    assert billing.orders == [(1, True), (2, True)]


def ignore(consumer: Consumer, order: int, /) -> None:
    """Listen."""


def paths_of(container: Any, **kwargs: Any) -> list[str]:
    """Return the paths of the components in the order in which they start."""
    paths: list[str] = []
    bus: Bus = container.attach()
    with bus[SUBSCRIBED].subscribe(lambda event, /: paths.append(event.path)), running(container, **kwargs):
        pass
    return paths


def test_components_with_cyclic_channels_start_in_order_of_declaration() -> None:
    """Of two that listen to each other, the first declared starts first, even at the lower priority."""

    class App(Container):
        bus = Component(Bus)
        one = Component(Consumer, bus.provided[order_placed]).on(order_paid.calls(ignore))
        other = Component(Consumer, bus.provided[order_paid]).on(order_placed.calls(ignore))

    assert paths_of(App()) == ["App.bus", "App.one", "App.other"]


def test_a_publisher_does_not_wait_for_disabled_or_overridden_listeners() -> None:
    """Disabled and overridden components do not affect the order."""

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        disabled = charging().enabled(False, reason="not here")
        replaced = charging()

    app = App()
    with app.override(App.replaced).by(Component(Billing)):
        assert paths_of(app) == ["App.bus", "App.consumer", "App.replaced"]


def test_life_cycle_channels_do_not_affect_the_order() -> None:
    """A component with START as an argument starts in its usual turn."""

    class App(Container):
        bus = Component(Bus)
        watcher = Component(list[object], [bus.provided[START]])
        billing = charging()

    assert paths_of(App()) == ["App.bus", "App.watcher", "App.billing"]


def test_a_channel_behind_a_lazy_provider_does_not_affect_the_order() -> None:
    """A lazy provider is called later, possibly when everything has started."""

    class App(Container):
        bus = Component(Bus)
        factory = library.Factory(Consumer, item_of(bus))
        later = Component(list[object], [provided(factory.provider)])
        billing = charging()

    assert paths_of(App()) == ["App.bus", "App.later", "App.billing"]


def test_the_report_names_the_listeners_and_counts_them_on_the_critical_path() -> None:
    """`after` has the listeners that the component does not need; text and JSON show them."""
    started = threading.Event()

    class Slow(Billing):
        def start(self) -> None:
            started.wait(0.02)

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        slow = Component(Slow).on(order_placed.calls(Billing.charge))

    app = App()
    with Report.of(app.attach()) as report, running(app, workers=2):
        record = report.record()
    by_path = {component.path: component for component in record.components}
    assert (by_path["App.consumer"].needs, by_path["App.consumer"].after) == (("App.bus",), ("App.slow",))
    assert [link.path for link in record.critical_path.links] == ["App.slow", "App.consumer"]
    assert "App.consumer after App.slow" in report.table()
    assert [one["after"] for one in json.loads(report.json())["components"]] == [[], [], ["App.slow"]]


def test_a_picture_shows_the_order_from_a_channel_as_a_dotted_line() -> None:
    """This holds in every output format."""

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        billing = charging()
        auditor = Component(Billing, consumer.provided).on(order_placed.calls(Billing.charge))

    graph = Graph.of(App())

    [channel] = graph.channels
    assert channel.order == (StartsAfter("App.consumer", "App.billing"),)
    assert json.loads(graph.json())["channels"][0]["order"] == [
        {"publisher": "App.consumer", "listener": "App.billing"}
    ]
    assert "  n1 -.-o c0\n" in graph.mermaid()
    assert '  c0 -.->|"charge"| n2\n' in graph.mermaid()
    assert '  c0 -->|"charge"| n3\n' in graph.mermaid()
    assert [line for line in graph.dot().splitlines() if "dotted" in line] == [
        '  n1 -> c0 [arrowhead=dot, color="#0369a1", style=dotted];',
        '  c0 -> n2 [label="charge", color="#0369a1", style=dotted];',
    ]
    svg = "{http://www.w3.org/2000/svg}"
    drawn = ET.fromstring(graph.svg())
    classes = {element.get("id"): element.get("class") for element in drawn.iter(f"{svg}path") if element.get("id")}
    assert {name: kind for name, kind in classes.items() if (name or "").startswith("c")} == {
        "c0-h0": "holds ordered",
        "c0-l0": "listens ordered",
        "c0-l1": "listens",
    }
    assert "starts after the listener" in [text.text for text in drawn.iter(f"{svg}text")]


def test_a_picture_of_an_override_names_the_overridden_component() -> None:
    """The replacement listens under the path of the original."""

    class App(Container):
        bus = Component(Bus)
        consumer = Component(Consumer, bus.provided[order_placed])
        billing = Component(Billing)

    app = App()
    with app.override(App.billing).by(charging()):
        [channel] = Graph.of(app).channels
    assert channel.order == (StartsAfter("App.consumer", "App.billing"),)


@attrs.define
class Chatty:
    placed: BoundChannel[[int], None]

    def hear(self, order: int, /) -> None:
        """Listen."""


@pytest.mark.slow
def test_a_channel_with_hundreds_of_publishers_and_listeners_is_sorted_quickly() -> None:
    """They start in order of declaration."""
    body: dict[str, Any] = {"bus": Component(Bus)}
    for number in range(300):
        body[f"part{number}"] = Component(Chatty, body["bus"].provided[order_placed]).on(
            order_placed.calls(Chatty.hear)
        )

    paths = paths_of(type("App", (Container,), body)())

    assert paths == ["App.bus", *(f"App.part{number}" for number in range(300))]
