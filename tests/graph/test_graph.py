"""The picture of a container: what it shows, in each of its formats, and that it builds nothing."""

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

from typedbus import LOG, Bus, Channel, Component, Container, Contributed, every, on, running
from typedbus.graph import ChannelNode, ContainerNode, Edge, Graph, Listener, Node

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"
FORMATS = [Graph.json, Graph.mermaid, Graph.dot, Graph.svg]

lazily: Any = providers  # what of the library hands others over uncalled, which no checker is told of
order_placed = Channel[[str], None]("order_placed")
order_refused = Channel[[str], None]('order "refused" <&>')


class Anything:
    """Takes anything, and remembers on its class that it was built."""

    built: list[object] = []
    name: str
    tracing: bool
    parts: list[object]

    def __init__(self, *needed: object, **named: object) -> None:
        self.built.append(self)


class Database(Anything):
    """Has a life."""

    def start(self) -> None:
        """Open."""

    def stop(self) -> None:
        """Close."""


class Memory(Database):
    """Stands in for a database."""


class Desk(Anything):
    """Listens twice, and to the log."""

    @on(order_placed, priority=20)
    def note(self, order: str) -> None:
        """Write it down."""

    @on(order_placed)
    def greet(self, order: str) -> None:
        """Say hello."""

    def log(self, message: str, level: int, /) -> None:
        """Write it down, too."""


class Infra(Container):
    """Something to nest."""

    bus = Component(Bus)
    database = Component(Database)


def load_settings() -> Anything:
    """Build by a function."""
    return Anything()


def close(circle: Any, /, **needed: object) -> None:
    """Let the component *circle* need what is declared after it, as the library's verbs allow."""
    circle.add_kwargs(**needed)


class Shop(Container):
    """One of each thing."""

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
    close(chicken, egg=egg)


def one_of_each() -> Graph:
    """Return the picture of a shop in which something stands in for the database."""
    shop = Shop()
    with shop.override(Shop.infra.database).by(Component(Memory, Shop.settings.provided)):
        return Graph.of(shop)


def node_of(graph: Graph, path: str) -> Node:
    """Return the node of the component *path*."""
    return next(node for node in graph.nodes if node.path == path)


def needs_of(graph: Graph, path: str) -> list[str]:
    """Return what the component *path* needs, a star at what it needs later."""
    return [f"{edge.target}{'*' if edge.lazy else ''}" for edge in graph.edges if edge.source == path]


@pytest.mark.parametrize(
    ("write", "file"), [(Graph.mermaid, "graph.mmd"), (Graph.dot, "graph.dot"), (Graph.json, "graph.json")]
)
def test_a_container_with_one_of_each_thing_is_told_word_for_word(write: Callable[[Graph], str], file: str) -> None:
    """Whoever keeps a picture under version control sees a difference only where there is one."""
    expected = (GOLDEN / file).read_text(encoding="utf-8")

    told = re.sub(r'"[^"]*(test_graph\.py):\d+"', r'"\1"', write(one_of_each()))

    assert told == expected


@pytest.mark.slow
def test_the_text_is_the_same_in_every_process() -> None:
    """No hash and no address has a say in it."""
    program = f"import runpy; [print(f(g)) for m in [runpy.run_path({__file__!r})] for g in [m['one_of_each']()] for f in m['FORMATS']]"

    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(told) == 1
    assert "</svg>" in told.pop()


@pytest.mark.parametrize("write", FORMATS)
def test_nothing_is_built(write: Callable[[Graph], str]) -> None:
    """A picture can be had of what must not be built here."""
    Anything.built.clear()

    write(one_of_each())

    assert Anything.built == []


def test_what_stands_between_two_components_is_left_out() -> None:
    """Lists, factories, attributes and dicts are ways to hand a component over, not members of the picture."""

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
        lambda one: one.provider,
        lambda one: lazily.DelegatedFactory(dict, one=one),
        lambda one: providers.List(lazily.Delegate(one)),
        lambda one: lazily.Aggregate(one=one),
    ],
    ids=["delegate", "what calls it", "further away", "aggregate"],
)
def test_what_is_handed_over_unbuilt_is_needed_later(delegate: Callable[[Any], Any]) -> None:
    """A line that may close a circle looks unlike one that may not."""

    class App(Container):
        one = Component(Anything)
        user = Component(Anything, delegate(one))

    assert needs_of(Graph.of(App()), "App.user") == ["App.one*"]


def test_what_is_needed_at_once_as_well_is_not_needed_later() -> None:
    """Of two ways to the same component the one that orders the start counts."""

    class App(Container):
        one = Component(Anything)
        user = Component(Anything, lazily.Delegate(one), one.provided)

    assert needs_of(Graph.of(App()), "App.user") == ["App.one"]


def test_a_channel_has_its_listeners_by_priority_and_its_holders() -> None:
    """Who hears a publish can be read off, and who may make one."""
    graph = one_of_each()

    assert graph.channels == (
        ChannelNode(
            "order_placed",
            (Listener("Shop.desk", "note", 20), Listener("Shop.desk", "greet", 50)),
            ("Shop.intake",),
        ),
        ChannelNode('order "refused" <&>', (), ("Shop.intake",)),
    )


def test_only_a_bus_gives_a_channel_to_hold() -> None:
    """An item of anything else is no bound channel, whatever its key."""

    class App(Container):
        names = Component(dict[Any, str])
        user = Component(Anything, names.provided[order_placed])

    assert Graph.of(App()).channels == ()


def test_a_life_cycle_channel_stands_in_the_boxes_unless_somebody_holds_it() -> None:
    """Most components start and stop; lines for that would hide all others."""

    class App(Container):
        bus = Component(Bus)
        desk = Component(Desk)
        user = Component(Anything, bus.provided[LOG], bus.provided[LOG])

    graph = Graph.of(App())

    assert node_of(graph, "App.desk").hooks == ("log",)
    assert [channel.name for channel in graph.channels] == ["log", "order_placed"]
    assert graph.channels[0] == ChannelNode("log", (Listener("App.desk", "log", 50),), ("App.user",))


def test_what_stands_in_is_shown_at_the_place_of_the_original() -> None:
    """It brings its own needs and hooks, and the original keeps its name."""
    graph = one_of_each()

    node = node_of(graph, "Shop.infra.database")
    assert (node.cls.rpartition(".")[2], node.overridden_by.rpartition(".")[2]) == ("Database", "Memory")
    assert node.hooks == ("start", "stop")
    assert needs_of(graph, node.path) == ["Shop.settings"]
    assert "Memory" not in {path.rpartition(".")[2] for path in (node.path for node in graph.nodes)}


def test_an_object_stands_in_under_the_name_of_its_class() -> None:
    """The text has no repr in it, which might have an address."""
    shop = Shop()

    with shop.override(Shop.cache).by(Anything()):
        node = node_of(Graph.of(shop), "Shop.cache")

    assert node.overridden_by == f"{__name__}.Anything"


def test_another_component_of_the_container_that_stands_in_keeps_its_own_place() -> None:
    """It is drawn once, with what it listens to, and the one that it stands in for points to it."""

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


def test_what_only_an_overridden_component_needed_is_off() -> None:
    """It is neither built nor started, and the picture says so."""
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
def test_a_component_that_takes_no_part_says_why(path: str, enabled: bool | None, remark: str) -> None:
    """What is known to be off looks unlike what a component decides when it is built."""
    node = node_of(one_of_each(), path)

    assert node.enabled is enabled
    assert node.remarks[-1] == remark


def test_what_is_enabled_for_certain_or_overridden_takes_part() -> None:
    """A condition that says yes is none, and nobody asks it where something stands in."""

    class App(Container):
        one = Component(Anything).enabled(True, reason="it is not")
        two = Component(Anything).enabled(False, reason="it is not")

    app = App()
    with app.override(App.two).by(Anything()):
        graph = Graph.of(app)

    assert [(node.enabled, node.reason) for node in graph.nodes] == [(True, ""), (True, "")]


def test_a_fault_is_at_its_component() -> None:
    """The picture shows where, and says what to do."""
    node = node_of(one_of_each(), "Shop.misfit")

    assert node.kind == "fault"
    assert [fault.partition("; ")[2] for fault in node.faults] == ["correct the declaration"]


def test_a_circle_colours_all_along_it() -> None:
    """Each component of it has the fault, and each line, also of a component that needs itself."""

    class App(Container):
        one = Component(Anything)
        two = Component(Anything, one.provided)
        user = Component(Anything, two.provided)
        self_made = Component(Anything)
        close(one, two=two)
        close(self_made, me=self_made)

    graph = Graph.of(App())

    assert [node.path for node in graph.nodes if node.faults] == ["App.one", "App.two", "App.self_made"]
    assert [(edge.source, edge.target) for edge in graph.edges if edge.circle] == [
        ("App.one", "App.two"),
        ("App.two", "App.one"),
        ("App.self_made", "App.self_made"),
    ]


@pytest.mark.parametrize("write", FORMATS)
def test_a_fault_of_the_container_itself_is_told(write: Callable[[Graph], str]) -> None:
    """That there is no bus is about no component."""

    class App(Container):
        desk = Component(Desk)

    graph = Graph.of(App())

    assert len(graph.faults) == 1
    assert "no bus" in write(graph)
    assert node_of(graph, "App.desk").faults == ()


def test_components_without_a_name_of_their_own_are_told_apart() -> None:
    """One that is declared where it is handed over is called after its class, and counted."""

    class App(Container):
        user = Component(Anything, Component(Database).provided, Component(Database).provided)

    graph = Graph.of(App())

    name = f"{__name__}.Database"
    assert needs_of(graph, "App.user") == [name, f"{name} (2)"]
    assert [node.container for node in graph.nodes] == ["App", "App", "App"]


def test_containers_lie_in_each_other() -> None:
    """Each knows the one around it, and each component the one that it is declared in."""

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
    assert re.findall(r"subgraph g\d|end|n\d(?=\[)", graph.mermaid()) == [
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
def test_a_name_is_what_the_container_around_does_not_say(path: str, container: str, name: str) -> None:
    """Paths are long; a box stands in its container already."""
    assert Node(path, "Gauge", "shop.py:1", container).name == name
    assert ContainerNode(path, container).name == name


def test_what_a_distribution_contributes_has_a_frame_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its components stand in it, and what is wrong with a contribution is told of its path."""
    info = tmp_path / "metrics-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metrics\nVersion: 1\n", encoding="utf-8")
    entries = f"[typedbus.test_graph]\ngauges = {__name__}:Infra\nghosts = {__name__}:Nothing\n"
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    class App(Container):
        plugins = Contributed("typedbus.test_graph")

    graph = Graph.of(App())

    assert [(one.path, one.name) for one in graph.containers[1:]] == [
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
def test_any_name_is_kept_from_being_taken_for_syntax(write: Callable[[Graph], str]) -> None:
    """What people write in names and reasons neither ends a label nor begins anything."""
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


def test_labels_of_mermaid_have_letters_by_number_where_it_would_read_more_into_them() -> None:
    """It has no other escape."""
    graph = Graph("App", (Node("App.a", '"<#`', "", "App"),), containers=(ContainerNode("App"),))

    assert 'n0["a<br/>#34;#60;#35;#96;"]' in graph.mermaid()


def test_an_svg_has_an_element_for_each_thing() -> None:
    """Boxes, lines and frames have ids by order of declaration, and say what they are when pointed at."""
    graph = one_of_each()

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


def test_an_svg_colours_what_is_wrong_or_takes_no_part() -> None:
    """The class of an element says what it is to be drawn as, and the faults are listed below."""
    drawn = ET.fromstring(one_of_each().svg())

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


def test_the_legend_has_what_occurs_and_no_more() -> None:
    """A picture without a fault does not explain how one would look."""

    class App(Container):
        bus = Component(Bus)
        user = Component(Anything, bus.provided)

    drawn = ET.fromstring(Graph.of(App()).svg())

    legend = next(element for element in drawn.iter(f"{SVG}g") if element.get("class") == "legend")
    assert [element.text for element in legend.iter(f"{SVG}text")] == ["component", "needs"]


@pytest.mark.parametrize("write", FORMATS)
def test_an_empty_container_has_a_picture(write: Callable[[Graph], str]) -> None:
    """There is nothing in it but its name."""

    class Empty(Container):
        pass

    told = write(Graph.of(Empty()))

    assert "Empty" in told
    assert "linkStyle" not in told, "there is no line to colour"


@pytest.mark.slow
def test_without_igraph_all_but_the_svg_can_be_had() -> None:
    """The error names the extra to install."""
    program = (
        f"import sys, runpy; sys.modules['igraph'] = None; graph = runpy.run_path({__file__!r})['one_of_each']()\n"
        "from typedbus.graph import NoDrawing\n"
        "graph.json(), graph.mermaid(), graph.dot()\n"
        "try: graph.svg()\n"
        "except NoDrawing as error: print(error)"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert 'pip install "typedbus[graph]"' in told


@pytest.mark.slow
def test_three_hundred_components_are_drawn_in_a_moment() -> None:
    """What takes a tenth of a second here is not to take more than some anywhere."""
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
    """Nothing goes down it by calling itself."""
    body: dict[str, Any] = {"part0": Component(Anything)}
    for number in range(1, 3000):
        body[f"part{number}"] = Component(Anything, body[f"part{number - 1}"].provided)

    graph = Graph.of(type("Long", (Container,), body)())

    assert len(graph.edges) == 2999


def test_the_picture_in_the_docs_is_that_of_the_example() -> None:
    """Where the boxes stand is igraph's to say; what they are is not."""
    from examples.shop.container import Shop as Example

    shown = ET.parse(GOLDEN.parents[2] / "docs" / "how-to" / "shop.svg").getroot()

    drawn = ET.fromstring(Graph.of(Example()).svg())
    assert [part.text for part in shown.iter() if part.tag != f"{SVG}style"] == [
        part.text for part in drawn.iter() if part.tag != f"{SVG}style"
    ]


def test_json_has_everything_that_is_known() -> None:
    """Its keys are the attributes of the records."""
    graph = one_of_each()

    told = json.loads(graph.json())

    assert [
        Node(**{**node, "hooks": tuple(node["hooks"]), "faults": tuple(node["faults"])}) for node in told["nodes"]
    ] == [*graph.nodes]
    assert told["edges"][0] == {
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


def test_a_picture_shows_components_of_other_containers_as_theirs() -> None:
    """During a shared run those that it needs, without their own needs; after it none."""
    outer, inner, listing = Outer(), Inner(), Listing()
    alone = [Graph.of(one) for one in (outer, listing)]
    with running(outer, inner, listing):
        for container, name, own in ((inner, "Inner", "Inner.reader"), (listing, "Listing", "Listing.listed")):
            graph = Graph.of(container)
            assert {node.path: (node.container, node.enabled) for node in graph.nodes} == {
                own: (name, True),
                "Outer.users": ("Outer", True),
            }
            assert graph.edges == (Edge(own, "Outer.users"),)
            assert [one.path for one in graph.containers] == [name, "Outer"]
            assert "Outer" in graph.mermaid()
            assert graph.svg()
        assert Graph.of(outer) == alone[0]
    assert [Graph.of(one) for one in (outer, listing)] == alone
    assert [node.path for node in Graph.of(inner).nodes] == ["Inner.reader"]


def test_containers_that_ran_together_do_not_list_each_other_s_components_afterwards() -> None:
    """Each is alone again, also where both were guests."""

    class Guest(Container):
        users = Component(Users, [])

    outer, guest, listing = Outer(), Guest(), Listing()
    with running(outer, guest, listing):
        assert len(Graph.of(listing).edges) == 2  # of both containers
    assert Graph.of(listing).edges == ()


def test_a_picture_shows_components_of_another_instance_of_the_same_class_as_theirs() -> None:
    """Each container has a path of its own."""

    class Part(Container):
        bus = Component(Bus)
        thing = Component(Users, [])
        reader = Component(Reader, every(Users))

    first, second = Part(), Part()
    with running(first, second):
        graph = Graph.of(first)
    assert [one.path for one in graph.containers] == ["Part", "Part (2)"]
    assert [(node.path, node.container) for node in graph.nodes if "thing" in node.path] == [
        ("Part.thing", "Part"),
        ("Part.thing (2)", "Part (2)"),
    ]
    assert graph.svg()
