"""The picture of a container, in each of its formats."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from dependency_injector import providers

from typedbus import (
    LOG,
    SESSION,
    Bus,
    Channel,
    Component,
    Container,
    Contributed,
    Given,
    Listeners,
    Scoped,
    every,
    on,
    running,
)
from typedbus.graph import ChannelNode, ContainerNode, Edge, Graph, Listener, Node

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"
FORMATS = [Graph.json, Graph.mermaid, Graph.dot, Graph.svg]

lazily: Any = providers  # providers that pass others on uncalled, which the stubs do not declare
order_placed = Channel[[str], None]("order_placed")
order_refused = Channel[[str], None]('order "refused" <&>')


class Anything:
    """Accepts any arguments, and records on its class that it was built."""

    built: list[object] = []
    name: str
    tracing: bool
    parts: list[object]

    def __init__(self, *needed: object, **named: object) -> None:
        self.built.append(self)


class Database(Anything):
    """A component with a start and a stop."""

    def start(self) -> None:
        """Open."""

    def stop(self) -> None:
        """Close."""


class Memory(Database):
    """The override of a database."""


class Desk(Anything):
    """Listens to one channel twice, and to the log."""

    @on(order_placed, priority=20)
    def note(self, order: str) -> None:
        """Receive an order."""

    @on(order_placed)
    def greet(self, order: str) -> None:
        """Receive an order as well."""

    def log(self, message: str, level: int, /) -> None:
        """Receive a log message."""


class Infra(Container):
    """A container that others nest."""

    bus = Component(Bus)
    database = Component(Database)


def load_settings() -> Anything:
    """Construct a component by a function."""
    return Anything()


def close_cycle(component: Any, /, **needed: object) -> None:
    """Let *component* need components that are declared after it, with a method of the library."""
    component.add_kwargs(**needed)


class Shop(Container):
    """A container with a component of each kind."""

    infra = Infra()
    settings = Component(load_settings)
    metrics = Component(Anything).enabled(False, reason="metrics = false")
    tracing = Component(Anything).enabled(settings.provided.tracing, reason="tracing is not asked for")
    cache = Component(Anything, infra.database.provided)
    desk = Component(Desk, [infra.database.provided], cache.provided)
    intake = Component(
        Anything, infra.bus.provided[order_placed], infra.bus.provided[order_refused].publish, lazily.Delegate(desk)
    )
    misfit = Component(load_settings, extra=1)  # type: ignore[call-arg]  # this is the fault
    chicken = Component(Anything)
    egg = Component(Anything, chicken.provided)
    close_cycle(chicken, egg=egg)


def shop_graph() -> Graph:
    """Return the picture of a shop whose database is overridden."""
    shop = Shop()
    with shop.override(Shop.infra.database).by(Component(Memory, Shop.settings.provided)):
        return Graph.of(shop)


def node_of(graph: Graph, path: str) -> Node:
    """Return the node of the component *path*."""
    return next(node for node in graph.nodes if node.path == path)


def needs_of(graph: Graph, path: str) -> list[str]:
    """Return the dependencies of the component *path*, with a star at lazy ones."""
    return [f"{edge.target}{'*' if edge.lazy else ''}" for edge in graph.edges if edge.source == path]


@pytest.mark.parametrize(
    ("write", "file"), [(Graph.mermaid, "graph.mmd"), (Graph.dot, "graph.dot"), (Graph.json, "graph.json")]
)
def test_the_text_of_a_picture_is_exactly_the_expected_one(write: Callable[[Graph], str], file: str) -> None:
    """So a picture under version control changes only with the container."""
    expected = (GOLDEN / file).read_text(encoding="utf-8")

    text = re.sub(r'"[^"]*(test_graph\.py):\d+"', r'"\1"', write(shop_graph()))

    assert text == expected


@pytest.mark.exhaustive
def test_the_text_is_the_same_in_every_process() -> None:
    """It does not depend on hashes or addresses."""
    program = f"import runpy; [print(f(g)) for m in [runpy.run_path({__file__!r})] for g in [m['shop_graph']()] for f in m['FORMATS']]"

    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(outputs) == 1
    assert "</svg>" in outputs.pop()


@pytest.mark.parametrize("write", FORMATS)
def test_drawing_builds_no_component(write: Callable[[Graph], str]) -> None:
    """So a picture is possible where the components must not be built."""
    Anything.built.clear()

    write(shop_graph())

    assert Anything.built == []


def test_providers_between_two_components_are_left_out() -> None:
    """Lists, factories, attributes and dicts only pass a component on."""

    class App(Container):
        one, two, three, four = (Component(Anything) for _ in range(4))
        through: providers.Factory[dict[str, object]] = providers.Factory(dict, four=four)
        user = Component(
            Anything, [one.provided], {"two": two.provided.name}, three=three.provided.parts[0], more=through
        )

    graph = Graph.of(App())

    assert needs_of(graph, "App.user") == ["App.one", "App.two", "App.three", "App.four"]
    assert len(graph.nodes) == 5


@pytest.mark.parametrize(
    "delegate",
    [
        lambda component: component.provider,
        lambda component: lazily.DelegatedFactory(dict, component=component),
        lambda component: providers.List(lazily.Delegate(component)),
        lambda component: lazily.Aggregate(component=component),
    ],
    ids=["delegate", "delegated factory", "list of a delegate", "aggregate"],
)
def test_a_provider_that_is_passed_uncalled_gives_a_lazy_line(delegate: Callable[[Any], Any]) -> None:
    """A lazy line may close a cycle."""

    class App(Container):
        one = Component(Anything)
        user = Component(Anything, delegate(one))

    assert needs_of(Graph.of(App()), "App.user") == ["App.one*"]


def test_a_component_that_is_needed_lazily_and_directly_has_a_direct_line() -> None:
    """The direct line orders the start."""

    class App(Container):
        one = Component(Anything)
        user = Component(Anything, lazily.Delegate(one), one.provided)

    assert needs_of(Graph.of(App()), "App.user") == ["App.one"]


def test_a_channel_has_its_listeners_by_priority_and_its_holders() -> None:
    """The holders are the components that can publish on it."""
    graph = shop_graph()

    assert graph.channels == (
        ChannelNode(
            "order_placed",
            (Listener("Shop.desk", "note", 20), Listener("Shop.desk", "greet", 50)),
            ("Shop.intake",),
        ),
        ChannelNode('order "refused" <&>', (), ("Shop.intake",)),
    )


def test_functions_are_shown_as_the_listeners_of_their_component() -> None:
    """A picture names each function of a `Listeners` below its channel, with its priority."""
    placed = Channel[[str], None]("placed")
    listeners = Listeners()

    @listeners.on(placed, priority=20)
    def record(order: str, /) -> None: ...

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    (channel,) = Graph.of(Shop()).channels

    assert channel.listeners == (Listener("Shop.analytics", "record", 20),)


def test_only_items_of_a_bus_are_channels() -> None:
    """Even if its key is a channel."""

    class App(Container):
        names = Component(dict[Any, str])
        user = Component(Anything, names.provided[order_placed])

    assert Graph.of(App()).channels == ()


def test_a_life_cycle_channel_is_drawn_only_if_a_component_holds_it() -> None:
    """Otherwise it is listed in the boxes of its listeners: most components start and stop."""

    class App(Container):
        bus = Component(Bus)
        desk = Component(Desk)
        user = Component(Anything, bus.provided[LOG], bus.provided[LOG])

    graph = Graph.of(App())

    assert node_of(graph, "App.desk").hooks == ("log",)
    assert [channel.name for channel in graph.channels] == ["log", "order_placed"]
    assert graph.channels[0] == ChannelNode("log", (Listener("App.desk", "log", 50),), ("App.user",))


def test_an_override_is_shown_in_place_of_the_overridden_component() -> None:
    """With its own dependencies and hooks, and the path of the overridden component."""
    graph = shop_graph()

    node = node_of(graph, "Shop.infra.database")
    assert (node.cls.rpartition(".")[2], node.overridden_by.rpartition(".")[2]) == ("Database", "Memory")
    assert node.hooks == ("start", "stop")
    assert needs_of(graph, node.path) == ["Shop.settings"]
    assert "Memory" not in {path.rpartition(".")[2] for path in (node.path for node in graph.nodes)}


def test_an_overriding_object_is_shown_by_the_name_of_its_class() -> None:
    """Its repr might have an address."""
    shop = Shop()

    with shop.override(Shop.cache).by(Anything()):
        node = node_of(Graph.of(shop), "Shop.cache")

    assert node.overridden_by == f"{__name__}.Anything"


def test_an_override_by_another_component_of_the_container_is_drawn_once() -> None:
    """With its listeners, and a line from the overridden component."""

    class App(Container):
        bus = Component(Bus)
        desk = Component(Desk)
        other = Component(Desk)

    app = App()
    with app.override(App.desk).by(App.other):
        graph = Graph.of(app)

    assert [len(channel.listeners) for channel in graph.channels] == [2]
    assert [(edge.source == edge.target) for edge in graph.edges] == [False]
    assert len({node.path for node in graph.nodes}) == 3


def test_a_component_that_only_an_overridden_one_needs_is_off() -> None:
    """It is neither built nor started."""
    shop = Shop()

    with shop.override(Shop.desk).by(Desk()):
        node = node_of(Graph.of(shop), "Shop.cache")

    assert (node.enabled, node.reason, node.kind) == (False, "only an overridden component needs it", "off")


@pytest.mark.parametrize(
    ("path", "enabled", "remark"),
    [
        ("Shop.metrics", False, "off: metrics = false"),
        ("Shop.tracing", None, "conditional: tracing is not asked for"),
        ("Shop.settings", True, "Anything"),
    ],
)
def test_a_disabled_component_shows_the_reason(path: str, enabled: bool | None, remark: str) -> None:
    """A component that is certainly disabled differs from one with a condition."""
    node = node_of(shop_graph(), path)

    assert node.enabled is enabled
    assert node.remarks[-1] == remark


def test_a_component_that_is_certainly_enabled_or_overridden_is_enabled() -> None:
    """The condition of an overridden component is not used."""

    class App(Container):
        one = Component(Anything).enabled(True, reason="it is not")
        two = Component(Anything).enabled(False, reason="it is not")

    app = App()
    with app.override(App.two).by(Anything()):
        graph = Graph.of(app)

    assert [(node.enabled, node.reason) for node in graph.nodes] == [(True, ""), (True, "")]


def test_a_fault_is_shown_at_its_component() -> None:
    """With the remedy."""
    node = node_of(shop_graph(), "Shop.misfit")

    assert node.kind == "fault"
    assert [fault.partition("; ")[2] for fault in node.faults] == ["correct the declaration"]


def test_a_cycle_marks_its_components_and_lines() -> None:
    """Also a component that needs itself."""

    class App(Container):
        one = Component(Anything)
        two = Component(Anything, one.provided)
        user = Component(Anything, two.provided)
        self_made = Component(Anything)
        close_cycle(one, two=two)
        close_cycle(self_made, me=self_made)

    graph = Graph.of(App())

    assert [node.path for node in graph.nodes if node.faults] == ["App.one", "App.two", "App.self_made"]
    assert [(edge.source, edge.target) for edge in graph.edges if edge.circle] == [
        ("App.one", "App.two"),
        ("App.two", "App.one"),
        ("App.self_made", "App.self_made"),
    ]


@pytest.mark.parametrize("write", FORMATS)
def test_a_fault_of_the_container_is_shown(write: Callable[[Graph], str]) -> None:
    """A missing bus belongs to no component."""

    class App(Container):
        desk = Component(Desk)

    graph = Graph.of(App())

    assert len(graph.faults) == 1
    assert "no bus" in write(graph)
    assert node_of(graph, "App.desk").faults == ()


def test_components_without_a_name_have_numbered_names() -> None:
    """The name is that of the class."""

    class App(Container):
        user = Component(Anything, Component(Database).provided, Component(Database).provided)

    graph = Graph.of(App())

    name = f"{__name__}.Database"
    assert needs_of(graph, "App.user") == [name, f"{name} (2)"]
    assert [node.container for node in graph.nodes] == ["App", "App", "App"]


def test_nested_containers_have_nested_frames() -> None:
    """Each component is in the frame of the container that declares it."""

    class Middle(Container):
        infra = Infra()
        relay = Component(Anything, infra.database.provided)

    class App(Container):
        middle = Middle()
        infra = Infra()
        last = Component(Anything)

    graph = Graph.of(App())

    assert graph.containers == (
        ContainerNode("App"),
        ContainerNode("App.middle", "App"),
        ContainerNode("App.middle.infra", "App.middle"),
        ContainerNode("App.infra", "App"),
    )
    assert node_of(graph, "App.middle.infra.bus").container == "App.middle.infra"
    assert re.findall(r"(?m)subgraph g\d|\bend$|n\d(?=\[)", graph.mermaid()) == [
        "n5", "subgraph g1", "n2", "subgraph g2", "n0", "n1", "end", "end", "subgraph g3", "n3", "n4", "end",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "container", "name"),
    [
        ("Shop.plugins[shop-metrics:gauges].gauge", "Shop.plugins[shop-metrics:gauges]", "gauge"),
        ("Shop.plugins[shop-metrics:gauges]", "Shop.plugins", "[shop-metrics:gauges]"),
        ("Shopping.Cart", "Shop", "Shopping.Cart"),
    ],
)
def test_a_name_is_the_path_without_the_container(path: str, container: str, name: str) -> None:
    """A box is inside the frame of its container."""
    assert Node(path, "Gauge", "shop.py:1", container).name == name
    assert ContainerNode(path, container).name == name


def test_the_contributions_of_a_distribution_have_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its components are inside, and a fault of a contribution has its path."""
    info = tmp_path / "metrics-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metrics\nVersion: 1\n", encoding="utf-8")
    entries = f"[typedbus.test_graph]\ngauges = {__name__}:Infra\nghosts = {__name__}:Nothing\n"
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    class App(Container):
        plugins = Contributed("typedbus.test_graph")

    graph = Graph.of(App())

    assert [(container.path, container.name) for container in graph.containers[1:]] == [
        ("App.plugins", "plugins"),
        ("App.plugins[metrics:gauges]", "[metrics:gauges]"),
    ]
    assert [(node.path, node.name) for node in graph.nodes] == [
        ("App.plugins[metrics:gauges].bus", "bus"),
        ("App.plugins[metrics:gauges].database", "database"),
    ]
    assert [fault.partition(": ")[0] for fault in graph.faults] == ["App.plugins[metrics:ghosts]"]


AWKWARD = 'say "hi" <b>&amp; \\n [x] {y} | `z` #35; ]\x00\n--> end'


@pytest.mark.parametrize("write", FORMATS)
def test_syntax_in_names_and_reasons_is_escaped(write: Callable[[Graph], str]) -> None:
    """It neither ends a label nor begins an element."""
    plain, awkward = (
        Graph(
            name,
            (Node("App.a", name, "", "App", reason=name, enabled=False), Node("App.b", "B", "", "App")),
            (Edge("App.a", "App.b"),),
            (ChannelNode(name, (Listener("App.b", name, 50),), ("App.a",)),),
            (ContainerNode("App"), ContainerNode(f"App.{name}", "App")),
            (name,),
        )
        for name in ("plain", AWKWARD)
    )

    without_text = re.sub(r'"(?:[^"\\]|\\.)*"', "TEXT", write(awkward))

    if write is Graph.svg:
        assert [part.tag for part in ET.fromstring(write(awkward)).iter() if part.tag != f"{SVG}text"] == [
            part.tag for part in ET.fromstring(write(plain)).iter() if part.tag != f"{SVG}text"
        ]
        assert AWKWARD.replace("\x00\n", " ") in {part.text for part in ET.fromstring(write(awkward)).iter()}
    else:
        assert without_text == re.sub(r'"[^"]*"', "TEXT", write(plain))


def test_special_characters_in_labels_of_mermaid_are_written_by_number() -> None:
    """Mermaid has no other escape."""
    graph = Graph("App", (Node("App.a", '"<#`', "", "App"),), containers=(ContainerNode("App"),))

    assert 'n0["a<br/>#34;#60;#35;#96;"]' in graph.mermaid()


class Session(Anything):
    """One in each scope; no bus calls its methods."""

    def stop(self) -> None:
        """Called by other code."""


class Web(Container):
    bus = Component(Bus)
    engine = Component(Database)
    user = Given(str)
    session = Scoped(Session, engine.provided, user.provided)
    feed = Scoped(Session, engine.provided, bus.provided[order_placed]).at(SESSION)
    mailer = Component(Anything, session.opener)


def test_an_object_of_a_scope_shows_its_level() -> None:
    """The life-cycle channels that its methods are named after are left out."""
    graph = Graph.of(Web())

    shown = {node.path: (node.kind, node.scope, node.given, node.remarks) for node in graph.nodes}
    assert shown["Web.user"] == ("scoped", "request", True, ("str", "given to each request"))
    assert shown["Web.session"] == ("scoped", "request", False, ("Session", "in each request"))
    assert shown["Web.feed"] == ("scoped", "session", False, ("Session", "in each session"))
    assert shown["Web.engine"] == ("component", "", False, ("Database", "start · stop"))
    assert all(node.enabled for node in graph.nodes)


def test_an_object_of_a_scope_has_lines_to_what_it_needs() -> None:
    """An opener is a lazy line, and a channel has the object among its holders."""
    graph = Graph.of(Web())

    assert needs_of(graph, "Web.session") == ["Web.engine", "Web.user"]
    assert needs_of(graph, "Web.feed") == ["Web.engine", "Web.bus"]
    assert needs_of(graph, "Web.mailer") == ["Web.session*"]
    (channel,) = graph.channels
    assert channel.holders == ("Web.feed",)


def test_an_object_of_a_scope_has_a_dashed_frame() -> None:
    """In each format; the legend of an SVG explains it."""
    graph = Graph.of(Web())

    assert '"session<br/>Session<br/>in each request"]:::scoped' in graph.mermaid()
    assert re.search(r"classDef scoped .*stroke-dasharray", graph.mermaid())
    assert re.search(r'label="session.*dashed', graph.dot())
    drawn = ET.fromstring(graph.svg())
    classes = {element.get("data-path"): element.get("class") for element in drawn.iter(f"{SVG}g")}
    assert classes["Web.session"] == "scoped"
    assert re.search(r"\.scoped rect[^}]*stroke-dasharray", drawn.findtext(f"{SVG}style") or "")
    assert "one in each scope" in [element.text for element in drawn.iter(f"{SVG}text")]


def test_an_object_of_a_scope_shows_its_override_and_its_faults() -> None:
    """As a component does."""

    class Captive(Web):
        cart = Component(Anything, Web.session.provided)
        late = Scoped(load_settings, 3)  # type: ignore[call-overload]  # this is the fault

    captive = Captive()
    with captive.override(Captive.session).by(Session()):
        graph = Graph.of(captive)

    session = node_of(graph, "Captive.session")
    assert (session.kind, session.overridden_by, session.scope) == ("overridden", f"{__name__}.Session", "request")
    assert node_of(graph, "Captive.late").kind == "fault"
    assert node_of(graph, "Captive.cart").kind == "component"
    assert node_of(Graph.of(captive), "Captive.cart").kind == "fault"


def test_an_svg_has_an_element_with_an_id_for_each_part() -> None:
    """Boxes, lines and frames are numbered by declaration, and have titles."""
    graph = shop_graph()

    drawn = ET.fromstring(graph.svg())

    by_id = {name: element for element in drawn.iter() if (name := element.get("id"))}
    numbers = {node.path: number for number, node in enumerate(graph.nodes)}
    for path, number in numbers.items():
        assert by_id[f"n{number}"].get("data-path") == path
    for number, edge in enumerate(graph.edges):
        assert by_id[f"e{number}"].findtext(f"{SVG}title") in (
            f"{edge.source} needs {edge.target}",
            f"{edge.source} needs {edge.target} later",
        )
    assert {name for name in by_id if name.startswith("c")} == {"c0", "c0-h0", "c0-l0", "c0-l1", "c1", "c1-h0"}
    assert by_id["c0-l0"].findtext(f"{SVG}title") == "Shop.desk.note listens to order_placed at priority 20"
    assert by_id["g1"].get("data-path") == "Shop.infra"
    assert len([name for name in by_id if re.fullmatch(r"[ne]\d+", name)]) == len(graph.nodes) + len(graph.edges)


def test_an_svg_marks_faulty_and_disabled_components() -> None:
    """The class of an element is its kind, and the faults are listed below the picture."""
    drawn = ET.fromstring(shop_graph().svg())

    classes = {element.get("data-path"): element.get("class") for element in drawn.iter(f"{SVG}g")}
    lines = [element.get("class") for element in drawn.iter(f"{SVG}path") if element.get("id")]
    assert {path for path, kind in classes.items() if kind == "fault"} == {"Shop.misfit", "Shop.chicken", "Shop.egg"}
    assert classes["Shop.metrics"] == "off"
    assert classes["Shop.tracing"] == "conditional"
    assert classes["Shop.infra.database"] == "overridden"
    assert (lines.count("circle"), lines.count("lazy"), lines.count("holds"), lines.count("listens")) == (2, 1, 2, 2)
    texts = [element.text or "" for element in drawn.iter(f"{SVG}text")]
    assert any(text.startswith("2 Shop.chicken, Shop.egg: ") for text in texts)
    assert texts.count("2") == 2


def test_the_legend_has_only_kinds_that_occur() -> None:
    """A picture without a fault has no entry for faults."""

    class App(Container):
        bus = Component(Bus)
        user = Component(Anything, bus.provided)

    drawn = ET.fromstring(Graph.of(App()).svg())

    legend = next(element for element in drawn.iter(f"{SVG}g") if element.get("class") == "legend")
    assert [element.text for element in legend.iter(f"{SVG}text")] == ["component", "needs"]


@pytest.mark.parametrize("write", FORMATS)
def test_an_empty_container_has_a_picture(write: Callable[[Graph], str]) -> None:
    """It has only the name."""

    class Empty(Container):
        pass

    text = write(Graph.of(Empty()))

    assert "Empty" in text
    assert "linkStyle" not in text, "there is no line to colour"


@pytest.mark.slow
def test_without_igraph_only_the_svg_is_unavailable() -> None:
    """The error names the extra to install."""
    program = (
        f"import sys, runpy; sys.modules['igraph'] = None; graph = runpy.run_path({__file__!r})['shop_graph']()\n"
        "from typedbus.graph import NoDrawing\n"
        "graph.json(), graph.mermaid(), graph.dot()\n"
        "try: graph.svg()\n"
        "except NoDrawing as error: print(error)"
    )

    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert 'pip install "typedbus[graph]"' in output


@pytest.mark.slow
def test_three_hundred_components_are_drawn_in_a_few_seconds() -> None:
    """It takes a tenth of a second here."""
    import time

    body: dict[str, Any] = {"bus": Component(Bus)}
    for number in range(300):
        needed = [body[f"part{other}"].provided for other in {number // 2, number // 3, number // 7} if other < number]
        body[f"part{number}"] = Component(Anything, body["bus"].provided, *needed)
    container = type("Big", (Container,), body)()
    began = time.perf_counter()

    drawn = Graph.of(container).svg()

    assert time.perf_counter() - began < 5
    assert drawn.count('class="component"') == 302  # one of them in the legend


@pytest.mark.slow
def test_a_chain_of_any_length_has_a_picture() -> None:
    """It is followed without recursion."""
    body: dict[str, Any] = {"part0": Component(Anything)}
    for number in range(1, 3000):
        body[f"part{number}"] = Component(Anything, body[f"part{number - 1}"].provided)

    graph = Graph.of(type("Long", (Container,), body)())

    assert len(graph.edges) == 2999


def test_the_picture_in_the_docs_has_the_content_of_the_example() -> None:
    """The positions depend on igraph; the texts do not."""
    from examples.shop.container import Shop as Example

    shown = ET.parse(GOLDEN.parents[2] / "docs" / "how-to" / "shop.svg").getroot()

    drawn = ET.fromstring(Graph.of(Example()).svg())
    assert [part.text for part in shown.iter() if part.tag != f"{SVG}style"] == [
        part.text for part in drawn.iter() if part.tag != f"{SVG}style"
    ]


def test_json_has_all_attributes_of_the_records() -> None:
    """Its keys are the names of the attributes."""
    graph = shop_graph()

    data = json.loads(graph.json())

    assert [
        Node(**{**node, "hooks": tuple(node["hooks"]), "faults": tuple(node["faults"]), "runs": tuple(node["runs"])})
        for node in data["nodes"]
    ] == [*graph.nodes]
    assert data["edges"][0] == {
        "source": "Shop.infra.database",
        "target": "Shop.settings",
        "lazy": False,
        "circle": False,
    }


class Users:
    def __init__(self, store: list[str]) -> None: ...


class Outer(Container):
    bus = Component(Bus)
    store = Component(list[str])
    users = Component(Users, store.provided)


class Reader:
    def __init__(self, some: object) -> None: ...


class Inner(Container):
    reader = Component(Reader, Outer.users.provided)


class Listing(Container):
    listed = Component(Reader, every(Users))


def test_a_picture_during_a_shared_run_has_components_of_other_containers() -> None:
    """Only those that its components need, without their own dependencies; none after the run."""
    outer, inner, listing = Outer(), Inner(), Listing()
    separate = [Graph.of(container) for container in (outer, listing)]
    with running(outer, inner, listing):
        for container, name, own in ((inner, "Inner", "Inner.reader"), (listing, "Listing", "Listing.listed")):
            graph = Graph.of(container)
            assert {node.path: (node.container, node.enabled) for node in graph.nodes} == {
                own: (name, True),
                "Outer.users": ("Outer", True),
            }
            assert graph.edges == (Edge(own, "Outer.users"),)
            assert [container.path for container in graph.containers] == [name, "Outer"]
            assert "Outer" in graph.mermaid()
            assert graph.svg()
        assert Graph.of(outer) == separate[0]
    assert [Graph.of(container) for container in (outer, listing)] == separate
    assert [node.path for node in Graph.of(inner).nodes] == ["Inner.reader"]


def test_a_picture_after_a_shared_run_has_no_components_of_other_containers() -> None:
    """Also if both containers were guests."""

    class Guest(Container):
        users = Component(Users, [])

    outer, guest, listing = Outer(), Guest(), Listing()
    with running(outer, guest, listing):
        assert len(Graph.of(listing).edges) == 2  # of both containers
    assert Graph.of(listing).edges == ()


def test_two_instances_of_one_container_class_have_different_paths() -> None:
    """Each has a frame of its own."""

    class Part(Container):
        bus = Component(Bus)
        thing = Component(Users, [])
        reader = Component(Reader, every(Users))

    first, second = Part(), Part()
    with running(first, second):
        graph = Graph.of(first)
    assert [container.path for container in graph.containers] == ["Part", "Part (2)"]
    assert [(node.path, node.container) for node in graph.nodes if "thing" in node.path] == [
        ("Part.thing", "Part"),
        ("Part.thing (2)", "Part (2)"),
    ]
    assert graph.svg()
