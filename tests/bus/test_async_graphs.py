"""Random graphs of sync and async components: a failure or a cancellation anywhere, on both kinds of event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import START, STOP, Bus, StartCancelled, State, TransitionFailures
from typedbus._base.limits import StartNode
from typedbus._channels.subscriptions import Subscription
from typedbus.events import (
    LIFECYCLE,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    Failed,
    LifecycleEvent,
    RolledBack,
)

End = Literal["nothing", "a failure", "a stop", "a cancellation"]


@attrs.frozen
class Graph:
    """A graph of components, and how its start ends: *end* happens in the start of the component *where*."""

    kinds: tuple[bool, ...]
    needs: tuple[frozenset[int], ...]
    where: int
    end: End


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph of up to seven components, each of which needs only earlier ones."""
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=7))
    needs = [
        draw(st.frozensets(st.integers(0, number - 1))) if number else frozenset[int]() for number in range(len(kinds))
    ]
    where = draw(st.integers(0, len(kinds) - 1))
    end: End = draw(st.sampled_from(["nothing", "a failure", "a stop", "a cancellation"]))
    return Graph(tuple(kinds), tuple(needs), where, end)


class Node:
    """A component that notes the returns of its hooks, and ends the start if the graph says so."""

    def __init__(self, scene: Scene, number: int) -> None:
        self.scene, self.number = scene, number

    def end_start(self) -> None:
        """End the start as the graph says."""
        graph = self.scene.graph
        if self.number != graph.where or self.scene.has_ended:
            return
        if graph.end != "nothing":
            self.scene.has_ended = True
        if graph.end == "a failure":
            raise OSError("no network")
        if graph.end == "a stop":
            self.scene.bus.stop()
        if graph.end == "a cancellation":
            self.scene.cancel()


class SyncNode(Node):
    """A component whose hooks are sync."""

    def start(self) -> None:
        self.end_start()
        self.scene.notes.append(f"start {self.number}")

    def stop(self) -> None:
        self.scene.notes.append(f"stop {self.number}")


class AsyncNode(Node):
    """A component whose hooks are async."""

    async def start(self) -> None:
        self.end_start()
        await asyncio.sleep(0)
        self.scene.notes.append(f"start {self.number}")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.scene.notes.append(f"stop {self.number}")


class Scene:
    """A bus with the components of a graph, the notes of their hooks, and the events of the bus."""

    def __init__(self, graph: Graph, workers: int) -> None:
        self.graph = graph
        self.bus = Bus(workers=workers)
        self.has_ended = False
        self.notes: list[str] = []
        self.events: list[LifecycleEvent] = []
        self.cancel: Callable[[], object] = self.bus.request_exit
        nodes: list[StartNode] = []

        class Owned(Subscription):
            @property
            def node(self) -> StartNode | None:
                return nodes[self.listener.__self__.number]  # type: ignore[attr-defined]

            @property
            def path(self) -> str:
                return str(self.listener.__self__.number)  # type: ignore[attr-defined]

        for number, is_async in enumerate(graph.kinds):
            nodes.append(StartNode(str(number), tuple(nodes[need] for need in graph.needs[number])))
            part = (AsyncNode if is_async else SyncNode)(self, number)
            self.bus[START]._add(Owned(self.bus[START], part.start, 50))  # pyright: ignore[reportPrivateUsage]
            self.bus[STOP]._add(Owned(self.bus[STOP], part.stop, 50))  # pyright: ignore[reportPrivateUsage]
        self.bus[LIFECYCLE].subscribe(self.events.append)

    def took_place(self) -> tuple[list[int], list[int]]:
        """Return the components that have started and stopped, in order, and forget them."""
        started = [int(note.split()[1]) for note in self.notes if note.startswith("start")]
        stopped = [int(note.split()[1]) for note in self.notes if note.startswith("stop")]
        self.notes.clear()
        return started, stopped

    def paths(self, kind: type[ComponentStarted | ComponentStopped | Failed]) -> list[int]:
        """Return the components of the events of *kind*."""
        return [int(event.path) for event in self.events if isinstance(event, kind)]

    def check_orders(self) -> None:
        """Check that components start after their dependencies, and stop before them, by events and by notes."""
        started, stopped = self.took_place()
        for number in started:
            assert all(started.index(need) < started.index(number) for need in self.graph.needs[number])
        for number in stopped:
            assert all(stopped.index(need) > stopped.index(number) for need in self.graph.needs[number])
        assert sorted(started) == sorted(stopped)
        assert sorted(self.paths(ComponentStarted)) == sorted(started)
        assert sorted(self.paths(ComponentStopped)) == sorted(stopped)
        begins: set[int] = set()
        returns: set[int] = set()
        for event in self.events:
            if isinstance(event, ComponentStarting):
                assert returns >= self.graph.needs[int(event.path)]
                begins.add(int(event.path))
            elif isinstance(event, ComponentStarted):
                assert int(event.path) in begins
                returns.add(int(event.path))

    def check_end(self, error: BaseException | None) -> None:
        """Check the outcome of the start, whose components have been stopped."""
        graph, rolled_back = self.graph, [event for event in self.events if isinstance(event, RolledBack)]
        failed = [event for event in self.events if isinstance(event, Failed) and isinstance(event.error, OSError)]
        if graph.end == "nothing":
            assert error is None
            assert len(self.paths(ComponentStarted)) == len(graph.kinds)
            assert not rolled_back
            return
        [event] = rolled_back
        assert [int(path) for path in event.paths] == self.paths(ComponentStopped)
        assert len(failed) == (graph.end == "a failure")
        if graph.end == "a failure":
            assert isinstance(error, TransitionFailures)
            assert [type(failure) for failure in error.exceptions] == [OSError]
            assert graph.where not in self.paths(ComponentStarted)
        elif graph.end == "a stop":
            assert isinstance(error, StartCancelled)


def outcome(call: Callable[[], object]) -> BaseException | None:
    """Return the exception that *call* raises."""
    try:
        call()
    except BaseException as error:
        return error
    return None


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(graph=graphs(), workers=st.sampled_from([1, 4]))
def test_on_the_loop_of_the_bus_a_start_is_complete_or_rolled_back(graph: Graph, workers: int) -> None:
    """Whatever ends it, and where; a start that follows is complete."""
    scene = Scene(graph, workers)

    error = outcome(scene.bus.start)
    assert scene.bus.state is {"nothing": State.STARTED, "a cancellation": State.EXITED}.get(graph.end, State.STOPPED)
    scene.bus.stop()
    scene.check_end(error)
    scene.check_orders()
    if graph.end == "a cancellation":
        assert isinstance(error, StartCancelled)
    scene.events.clear()

    scene.bus.start()
    scene.bus.exit()
    scene.check_orders()
    assert len([event for event in scene.events if isinstance(event, ComponentStarted)]) == len(graph.kinds)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(graph=graphs(), workers=st.sampled_from([1, 4]))
def test_on_the_loop_of_the_caller_a_start_is_complete_or_rolled_back(graph: Graph, workers: int) -> None:
    """Whatever ends it, and where; a cancellation of the caller is raised after the rollback."""
    scene = Scene(graph, workers)

    async def main() -> None:
        start = asyncio.create_task(scene.bus.start_async())
        loop = asyncio.get_running_loop()
        scene.cancel = lambda: loop.call_soon_threadsafe(start.cancel)
        await asyncio.wait([start])
        assert start.cancelled() is (graph.end == "a cancellation")
        assert scene.bus.state is (State.STARTED if graph.end == "nothing" else State.STOPPED)
        await scene.bus.stop_async()
        if not start.cancelled():
            scene.check_end(start.exception())
        scene.check_orders()
        scene.events.clear()

        await scene.bus.start_async()
        await scene.bus.exit_async()

    asyncio.run(main())
    scene.check_orders()
    assert len([event for event in scene.events if isinstance(event, ComponentStarted)]) == len(graph.kinds)
