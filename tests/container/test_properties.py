"""Properties of the start and stop orders, over containers and graphs that Hypothesis generates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import (
    EXIT,
    GRACEFUL,
    START,
    STOP,
    Bus,
    Component,
    Container,
    State,
    TransitionFailures,
    running,
)
from typedbus._base.ordering import dependencies_first, start_order

Graph = list[list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph: the dependencies of each node, with cycles."""
    count = draw(st.integers(1, 12))
    return draw(st.lists(st.lists(st.integers(0, count - 1), max_size=4), min_size=count, max_size=count))


@st.composite
def acyclic_graphs(draw: st.DrawFn, *, least: int = 0, most: int = 40) -> Graph:
    """Draw a graph in which each node needs only nodes before it."""
    count = draw(st.integers(least, most))
    return [draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else [] for number in range(count)]


def below(graph: Graph, roots: list[int]) -> set[int]:
    """Return the nodes that can be reached from *roots*, by another algorithm than the tested one."""
    reached = set(roots)
    while further := {need for number in reached for need in graph[number]} - reached:
        reached |= further
    return reached


@attrs.frozen
class Part:
    """The declaration of a generated component, and the hook in which it fails."""

    needs: list[int]
    priority: int | None
    hooks: frozenset[str]
    failing: frozenset[str]


@attrs.define(eq=False)
class Instance:
    """The component of a `Part`; records its calls, and fails in the hook of the part."""

    notes: list[tuple[str, int]]
    number: int
    part: Part
    needed: list[object]

    def __attrs_post_init__(self) -> None:
        self.note("build")

    def note(self, what: str) -> None:
        """Record *what*, and fail if the part fails there."""
        self.notes.append((what, self.number))
        if what in self.part.failing:
            raise OSError(f"{what} {self.number}")

    def begin(self) -> None:
        """Listen to START."""
        self.note("start")

    def end(self) -> None:
        """Listen to STOP."""
        self.note("stop")

    def leave(self) -> None:
        """Listen to EXIT."""
        self.note("exit")

    def renew(self) -> None:
        """Listen to GRACEFUL."""
        self.note("graceful")


def parts(*failures: str) -> st.SearchStrategy[list[Part]]:
    """Draw the parts of a container; *failures* are the hooks that may fail in each."""
    may_fail = st.frozensets(st.sampled_from(failures), max_size=1) if failures else st.just(frozenset[str]())
    some_hooks = st.frozensets(st.sampled_from(["start", "stop", "exit", "graceful"]))
    priorities = st.sampled_from([None, 1, 49, 50, 51, 90])

    @st.composite
    def draw_parts(draw: st.DrawFn) -> list[Part]:
        return [
            Part(needs, draw(priorities), draw(some_hooks), draw(may_fail)) for needs in draw(acyclic_graphs(least=5))
        ]

    return draw_parts()


def container_of(made_up: list[Part], notes: list[tuple[str, int]]) -> Any:
    """Return a container of *made_up*, whose components record their calls."""
    declared: dict[str, object] = {"bus": Component(Bus)}
    components: list[Component[Instance]] = []
    for number, part in enumerate(made_up):
        component = Component(Instance, notes, number, part, [components[need].provided for need in part.needs])
        first = "start" if "start" in part.hooks else "stop"
        hooks = {
            "start": START.calls(Instance.begin, priority=part.priority),
            "stop": STOP.calls(Instance.end, priority=part.priority if first == "stop" else None),
            "exit": EXIT.calls(Instance.leave),
            "graceful": GRACEFUL.calls(Instance.renew),
        }
        components.append(component.on(*(hooks[name] for name in sorted(part.hooks))))
        declared[f"c{number}"] = component
    container_class: Callable[[], Container] = type("Shop", (Container,), declared)
    return container_class()


def numbers_with(notes: list[tuple[str, int]], what: str) -> list[int]:
    """Return the numbers of the components with the event *what*, in order."""
    return [number for event, number in notes if event == what]


def with_hook(made_up: list[Part], order: list[int], hook: str) -> list[int]:
    """Return the parts of *order* that have *hook*."""
    return [number for number in order if hook in made_up[number].hooks]


def assert_start_order(order: list[int], graph: Graph, priorities: list[int]) -> None:
    """Assert that each component follows its dependencies, and that the rest is sorted by priority and number."""
    assert all(order.index(need) < order.index(number) for number in order for need in graph[number])
    for one, following in zip(order, order[1:], strict=False):
        waited = one in graph[following]
        assert waited or (priorities[one], one) < (priorities[following], following)


@settings(max_examples=60, deadline=None, database=None)
@given(graphs(), st.data())
def test_dependencies_come_first_in_any_graph(graph: Graph, data: st.DataObject) -> None:
    """Each reachable node appears once, after its dependencies outside of a cycle."""
    roots = data.draw(st.lists(st.sampled_from(range(len(graph)))))

    order, circles = dependencies_first(roots, graph.__getitem__)

    assert sorted(order) == sorted(below(graph, roots))
    late = [(number, need) for number in order for need in graph[number] if order.index(need) >= order.index(number)]
    closing = {(circle[-1], circle[0]) for circle in circles}
    assert set(late) == closing


@settings(max_examples=60, deadline=None, database=None)
@given(graphs())
def test_a_cycle_is_found_exactly_if_one_exists(graph: Graph) -> None:
    """Each node of a reported cycle needs the next."""
    _, circles = dependencies_first(range(len(graph)), graph.__getitem__)

    for circle in circles:
        assert len(set(circle)) == len(circle)
        assert all(after in graph[before] for before, after in zip(circle, [*circle[1:], circle[0]], strict=True))
    assert bool(circles) == any(number in below(graph, graph[number]) for number in range(len(graph)))


@settings(max_examples=30, deadline=None, database=None)
@given(acyclic_graphs(), st.data())
def test_the_start_order_respects_dependencies_and_is_sorted_by_phase(graph: Graph, data: st.DataObject) -> None:
    """It has each component once, with dependencies first, then by priority and number; phases never decrease."""
    priorities = data.draw(st.lists(st.integers(0, 5), min_size=len(graph), max_size=len(graph)))

    order = start_order(len(graph), dict(enumerate(graph)), priorities)

    numbers = [number for number, _ in order]
    assert sorted(numbers) == list(range(len(graph)))
    assert_start_order(numbers, graph, priorities)
    assert sorted(order, key=lambda one: one[1]) == order
    assert all(phase >= priorities[number] for number, phase in order)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts())
def test_a_container_starts_in_order_and_stops_in_reverse(made_up: list[Part]) -> None:
    """For any dependencies, priorities and hooks."""
    notes: list[tuple[str, int]] = []

    with running(container_of(made_up, notes)) as shop:
        shop.bus().graceful()

    built = numbers_with(notes, "build")
    has_turn = [part.hooks & {"start", "stop"} for part in made_up]
    priorities = [
        50 if part.priority is None or not turn else part.priority for part, turn in zip(made_up, has_turn, strict=True)
    ]
    assert_start_order(built, [part.needs for part in made_up], priorities)
    assert numbers_with(notes, "start") == with_hook(made_up, built, "start")
    assert numbers_with(notes, "graceful") == with_hook(made_up, built, "graceful")
    assert numbers_with(notes, "stop") == with_hook(made_up, built, "stop")[::-1]
    assert numbers_with(notes, "exit") == with_hook(made_up, built, "exit")[::-1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts("start", "stop", "exit"))
def test_a_failed_start_is_rolled_back_in_the_exact_reverse(made_up: list[Part]) -> None:
    """Each started component is stopped once, whatever fails during the rollback."""
    notes: list[tuple[str, int]] = []
    shop = container_of(made_up, notes)
    bus = shop.attach()

    failures = []
    try:
        bus.start()
    except TransitionFailures as failed:
        failures = [str(error) for error in failed.exceptions]

    built = numbers_with(notes, "build")
    broken = next((one for one in with_hook(made_up, built, "start") if "start" in made_up[one].failing), None)
    before = built if broken is None else built[: built.index(broken)]
    stops = with_hook(made_up, before, "stop")[::-1] if broken is not None else []
    assert numbers_with(notes, "start") == with_hook(made_up, before, "start") + [
        one for one in [broken] if one is not None
    ]
    assert numbers_with(notes, "stop") == stops
    expected = [f"stop {number}" for number in stops if "stop" in made_up[number].failing]
    assert failures == ([] if broken is None else [f"start {broken}", *expected])
    assert bus.state is (State.STARTED if broken is None else State.STOPPED)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts("stop", "exit"))
def test_every_component_is_stopped_and_exited_whatever_fails(made_up: list[Part]) -> None:
    """All failures are reported, in the order of events."""
    notes: list[tuple[str, int]] = []
    shop = container_of(made_up, notes)
    bus = shop.attach()
    bus.start()

    failures = []
    try:
        bus.exit()
    except TransitionFailures as failed:
        failures = [str(error) for error in failed.exceptions]

    built = numbers_with(notes, "build")
    assert numbers_with(notes, "stop") == with_hook(made_up, built, "stop")[::-1]
    assert numbers_with(notes, "exit") == with_hook(made_up, built, "exit")[::-1]
    assert failures == [f"{what} {number}" for what, number in notes if what in made_up[number].failing]
    assert bus.state is State.EXITED


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts("build"))
def test_a_failing_constructor_leaves_no_component_started(made_up: list[Part]) -> None:
    """Only the exit hooks of the components that were built before it are called."""
    notes: list[tuple[str, int]] = []
    bus = container_of(made_up, notes).attach()

    try:
        bus.start()
    except TransitionFailures:
        bus.exit()

    built = numbers_with(notes, "build")
    broken = [number for number in built if "build" in made_up[number].failing]
    assert broken == built[-1:] if bus.state is State.EXITED else broken == []
    if bus.state is State.EXITED:
        assert [what for what, _ in notes if what in ("start", "stop")] == []
        assert numbers_with(notes, "exit") == with_hook(made_up, built[:-1], "exit")[::-1]
