"""Runs in the picture of a container."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from typedbus import RUN, Bus, Component, Container, Listeners, Restart, Stopping, on
from typedbus.graph import Graph, NodeRun

OF_OTHER = "restarts on failure, 5 in 60 s, with its dependents, silent for at most 30 s"


class Consumer:
    """A component with one run and the hooks that its method names declare."""

    def start(self) -> None: ...

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        stopping.wait()


class Feed:
    """A component with two runs, one of which has a policy."""

    @on(RUN, restart=Restart("always", most=3, within=600), awaited=True)
    def follow(self, stopping: Stopping) -> None:
        stopping.ready()
        stopping.wait()

    @on(RUN)
    async def count(self, stopping: Stopping) -> None:
        await stopping.until_set()


listeners = Listeners()


@listeners.on(RUN)
def load(stopping: Stopping) -> None:
    stopping.wait()


@listeners.on(RUN)
def count(stopping: Stopping) -> None:
    stopping.wait()


def export(prices: Feed, stopping: Stopping) -> None:
    stopping.wait()


class Functions(Container):
    bus = Component(Bus)
    functions = Component(listeners)
    feed = Component(Feed).on(RUN.calls(export))


class Site(Container):
    bus = Component(Bus)
    consumer = Component(Consumer).supervised(Restart("never", then="unready"))
    feed = Component(Feed)
    other = Component(Feed).supervised(Restart(takes="dependents", silent=30))


def test_a_node_has_the_runs_of_its_component() -> None:
    """Runs have their paths and policies, and are not listed as hooks; the policy of the component takes precedence."""
    runs = {node.path: node.runs for node in Graph.of(Site()).nodes}
    hooks = {node.path: node.hooks for node in Graph.of(Site()).nodes}

    assert runs == {
        "Site.bus": (),
        "Site.consumer": (NodeRun("Site.consumer", "consume", "restarts never, then unready"),),
        "Site.feed": (
            NodeRun("Site.feed.follow", "follow", "restarts always, 3 in 600 s", awaited=True),
            NodeRun("Site.feed.count", "count"),
        ),
        "Site.other": (
            NodeRun("Site.other.follow", "follow", OF_OTHER, True),
            NodeRun("Site.other.count", "count", OF_OTHER),
        ),
    }
    assert hooks["Site.consumer"] == ("start",)


@pytest.mark.parametrize("container", [Site, Functions])
def test_the_paths_are_those_of_the_runs_of_the_bus(container: type[Container]) -> None:
    """A path in a picture is a key of `Bus.runs`."""
    site = container()
    paths = [run.path for node in Graph.of(site).nodes for run in node.runs]
    bus = site.attach()
    bus.start()
    runs = list(bus.runs)
    bus.exit()

    assert runs == paths


def test_boxes_have_a_line_for_each_run_and_policy() -> None:
    """The lines are in each format with boxes."""
    graph = Graph.of(Site())

    assert 'n1["consumer<br/>Consumer<br/>start<br/>run consume<br/>restarts never, then unready"]' in graph.mermaid()
    feed = "run follow · awaited\\nrestarts always, 3 in 600 s\\nrun count"
    assert f'[label="feed\\nFeed\\n{feed}"' in graph.dot()
    texts = [element.text for element in ET.fromstring(graph.svg()).iter() if element.tag.endswith("}text")]
    first = texts.index("run follow · awaited")
    assert texts[first : first + 3] == ["run follow · awaited", "restarts always, 3 in 600 s", "run count"]


def test_json_has_the_runs() -> None:
    """The keys are the attributes of `NodeRun`."""
    node = json.loads(Graph.of(Site()).json())["nodes"][1]

    assert node["runs"] == [
        {"path": "Site.consumer", "method": "consume", "policy": "restarts never, then unready", "awaited": False}
    ]
