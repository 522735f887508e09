"""Parts of a graph, and the graph by packages."""

from __future__ import annotations

import re

import pytest

from typedbus import BoundChannel, Bus, Channel, Component, Container, on
from typedbus.graph import Graph, UnknownComponent

sold = Channel[[str]]("sold")
idle = Channel[[]]("idle")


class Database: ...


class Stock:
    def __init__(self, database: Database) -> None: ...

    @on(sold)
    def take(self, sku: str, /) -> None: ...


class Till:
    def __init__(self, database: Database, sold: BoundChannel[[str], None]) -> None: ...


class Page:
    def __init__(self, till: Till) -> None: ...

    @on(idle)
    def rest(self) -> None: ...


class Report:
    def __init__(self, page: Page) -> None: ...


class Infra(Container):
    bus = Component(Bus)
    database = Component(Database)


class Shop(Container):
    infra = Infra()
    stock = Component(Stock, Infra.database.provided)
    till = Component(Till, Infra.database.provided, Infra.bus.provided[sold])
    page = Component(Page, till.provided)
    report = Component(Report, page.provided)


@pytest.fixture
def graph() -> Graph:
    """The graph of the shop."""
    return Graph.of(Shop())


def names(graph: Graph) -> set[str]:
    """Return the names of the components of *graph*."""
    return {node.path.rpartition(".")[2] for node in graph.nodes}


@pytest.mark.parametrize(
    ("path", "depth", "follow", "expected"),
    [
        ("Shop.till", 0, "both", {"till"}),
        ("Shop.till", 1, "needs", {"till", "bus", "database", "stock"}),
        ("Shop.till", 1, "users", {"till", "page"}),
        ("Shop.till", 1, "both", {"till", "bus", "database", "stock", "page"}),
        ("Shop.till", 2, "users", {"till", "page", "report"}),
        ("Shop.till", 10**12, "both", {"till", "bus", "database", "stock", "page", "report"}),
        ("Shop.report", 2, "needs", {"report", "page", "till"}),
        ("Shop.stock", 1, "users", {"stock", "till"}),
    ],
)
def test_a_part_has_the_components_within_some_steps(
    graph: Graph, path: str, depth: int, follow: str, expected: set[str]
) -> None:
    """A channel leads from its holder to its listener."""
    part = graph.around(path, depth=depth, follow=follow)  # type: ignore[arg-type]  # a literal of the parameters

    assert names(part) == expected
    kept = {node.path for node in part.nodes}
    assert set(part.edges) == {edge for edge in graph.edges if {edge.source, edge.target} <= kept}


def test_a_part_has_the_channels_of_the_component_and_those_between_others(graph: Graph) -> None:
    """Only with the holders and listeners that remain."""
    assert [channel.name for channel in graph.around("Shop.till").channels] == ["sold"]
    assert [channel.name for channel in graph.around("Shop.page").channels] == ["idle"]
    assert [channel.name for channel in graph.around("Shop.report", depth=1).channels] == []
    [channel] = graph.around("Shop.till", depth=0).channels
    assert (channel.holders, channel.listeners, channel.order) == (("Shop.till",), (), ())


def test_a_part_has_only_containers_with_components(graph: Graph) -> None:
    """The outermost one remains."""
    assert [container.path for container in graph.around("Shop.report").containers] == ["Shop"]
    assert [container.path for container in graph.around("Shop.stock").containers] == ["Shop", "Shop.infra"]


@pytest.mark.parametrize("path", ["till", "Shop.till", "infra.database", "database"])
def test_the_names_of_containers_may_be_left_out(graph: Graph, path: str) -> None:
    """If one component ends with the path."""
    assert graph.around(path, depth=0).nodes[0].path.endswith(path)


def test_an_unknown_component_is_refused_with_near_matches(graph: Graph) -> None:
    """Or with the way to list all paths."""
    with pytest.raises(UnknownComponent, match=r"Shop has no component 'tills'; did you mean Shop\.till\?"):
        graph.around("tills")
    with pytest.raises(UnknownComponent, match="typedbus graph --format json lists the paths"):
        graph.around("x")


@pytest.mark.parametrize("write", [Graph.mermaid, Graph.dot, Graph.svg, Graph.json])
def test_a_part_is_drawn_in_every_format(graph: Graph, write: object) -> None:
    """Without the components that were left out."""
    text = write(graph.around("till", depth=0).by_package())  # type: ignore[operator]  # a method

    assert "till" in text
    assert "report" not in text


def test_drawings_emphasise_the_component_in_the_centre(graph: Graph) -> None:
    """And no other; the drawing of a whole container has no centre."""
    part = graph.around("till")
    number = [node.path for node in part.nodes].index("Shop.till")

    assert (graph.centre, part.centre) == ("", "Shop.till")
    assert re.findall(r"style (n\d+) stroke-width:3px", part.mermaid()) == [f"n{number}"]
    assert re.findall(r"(n\d+) \[.*, penwidth=3\];", part.dot()) == [f"n{number}"]
    assert re.findall(r'<g id="(n\d+)" class="component centre"', part.svg()) == [f"n{number}"]
    assert ".centre rect" in part.svg()
    for text in (graph.mermaid(), graph.dot(), graph.svg()):
        assert not re.search("stroke-width:3|penwidth|centre", text)


def test_names_in_the_frame_of_a_package_are_without_the_outermost_container(graph: Graph) -> None:
    """Those of nested containers remain."""
    grouped = graph.by_package()

    assert [grouped.label(node) for node in grouped.nodes] == [
        "infra.bus", "infra.database", "stock", "till", "page", "report"
    ]  # fmt: skip
    assert '"infra.database<br/>' in grouped.mermaid()


def test_components_may_be_grouped_by_the_packages_of_their_classes(graph: Graph) -> None:
    """In place of nested containers; a class in a module without a package stands outside."""
    grouped = graph.by_package()

    assert [container.path for container in grouped.containers] == ["Shop", "tests.graph"]
    assert {node.path: node.container for node in grouped.nodes} == {
        "Shop.infra.bus": "Shop",
        "Shop.infra.database": "tests.graph",
        "Shop.stock": "tests.graph",
        "Shop.till": "tests.graph",
        "Shop.page": "tests.graph",
        "Shop.report": "tests.graph",
    }
    assert grouped.edges == graph.edges


@pytest.mark.parametrize(("direction", "mermaid", "dot"), [("right", "LR", "LR"), ("down", "TB", "TB")])
def test_dependencies_stand_to_the_right_or_below(graph: Graph, direction: str, mermaid: str, dot: str) -> None:
    """In every drawing."""
    assert f"flowchart {mermaid}\n" in graph.mermaid(direction=direction)  # type: ignore[arg-type]  # as above
    assert f"rankdir={dot}," in graph.dot(direction=direction)  # type: ignore[arg-type]  # as above
