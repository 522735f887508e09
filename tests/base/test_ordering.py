"""The two orders of a container: dependencies first, and the start order."""

from collections.abc import Mapping

import pytest

from typedbus._base.ordering import dependencies_first, start_order

Graph = Mapping[int, list[int]]


def ordered(graph: Graph, *roots: int) -> list[int]:
    """Return the nodes under *roots*, in order; there must be no circle."""
    order, circles = dependencies_first(roots, graph.__getitem__)
    assert circles == []
    return order


class Thing:
    """A node that is equal to every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_a_node_comes_after_its_dependencies() -> None:
    """Also after indirect ones, in the order in which they are needed."""
    graph = {1: [2, 3], 2: [4], 3: [], 4: []}

    assert ordered(graph, 1) == [4, 2, 3, 1]


def test_a_dependency_of_several_nodes_comes_once() -> None:
    """Both paths of a diamond lead to the same node."""
    graph = {1: [2, 3], 2: [4], 3: [4], 4: []}

    assert ordered(graph, 1) == [4, 2, 3, 1]


@pytest.mark.parametrize(
    ("roots", "expected"),
    [([1, 2], [2, 1]), ([2, 1], [2, 1]), ([3, 1, 2], [3, 2, 1]), ([1, 1], [2, 1]), ([], [])],
    ids=["needed root later", "needed root first", "unrelated first", "the same twice", "none"],
)
def test_roots_keep_their_order_where_dependencies_allow_it(roots: list[int], expected: list[int]) -> None:
    """A root that another one needs moves before it; each comes once."""
    graph = {1: [2], 2: [], 3: []}

    assert ordered(graph, *roots) == expected


def test_equal_nodes_are_different_nodes() -> None:
    """Nodes are compared by identity."""
    first, second = Thing(), Thing()

    order, _ = dependencies_first([first, second], lambda _: [])

    assert [id(node) for node in order] == [id(first), id(second)]


def test_the_dependencies_of_each_node_are_read_once() -> None:
    """The work grows with the graph, not with the number of paths through it."""
    asked: list[int] = []

    def needs(number: int) -> list[int]:
        asked.append(number)
        return [number - 1, number - 2] if number > 1 else []

    dependencies_first([20, 20, 10], needs)

    assert sorted(asked) == list(range(21))


def test_a_chain_can_be_longer_than_the_stack() -> None:
    """There is no recursion."""
    order, circles = dependencies_first([50_000], lambda number: [number - 1] if number else [])

    assert order == list(range(50_001))
    assert circles == []


@pytest.mark.parametrize(
    ("graph", "circles"),
    [
        ({1: [1]}, [[1]]),
        ({1: [2], 2: [3], 3: [1]}, [[1, 2, 3]]),
        ({1: [2], 2: [3], 3: [2]}, [[2, 3]]),
        ({1: [2, 3], 2: [1], 3: [1]}, [[1, 2], [1, 3]]),
    ],
    ids=["itself", "three", "off the way", "two of them"],
)
def test_a_cycle_is_reported_by_its_nodes(graph: Graph, circles: list[list[int]]) -> None:
    """Only nodes of the cycle, from the node at which it was entered, each dependency after its user."""
    _, found = dependencies_first([1], graph.__getitem__)

    assert found == circles


def test_nodes_outside_of_a_cycle_are_ordered() -> None:
    """Each node is visited once."""
    graph = {1: [2, 3], 2: [1, 4], 3: [4], 4: []}

    order, circles = dependencies_first([1, 3], graph.__getitem__)

    assert order == [4, 2, 3, 1]
    assert circles == [[1, 2]]


def test_two_separate_cycles_are_both_reported() -> None:
    """A cycle under a later root is found as well."""
    graph = {1: [2], 2: [1], 3: [3]}

    _, circles = dependencies_first([1, 3], graph.__getitem__)

    assert circles == [[1, 2], [3]]


def test_the_lower_priority_starts_first() -> None:
    """Without dependencies, priorities decide."""
    assert start_order(3, {}, [50, -1, 7]) == [(1, -1), (2, 7), (0, 50)]


def test_equal_priorities_start_in_order_of_declaration() -> None:
    """The number is the place of the declaration."""
    assert start_order(3, {}, [5, 5, 5]) == [(0, 5), (1, 5), (2, 5)]


def test_a_dependency_starts_first_whatever_the_priorities() -> None:
    """Number 0 would come first by priority and waits for 1, which waits for 2."""
    order = start_order(3, {0: [1], 1: [2]}, [1, 2, 3])

    assert [number for number, _ in order] == [2, 1, 0]


def test_the_next_node_has_the_lowest_priority_of_the_ready_ones() -> None:
    """A node that becomes ready precedes earlier ones if its priority is lower."""
    order = start_order(4, {3: [0]}, [10, 20, 30, 5])

    assert [number for number, _ in order] == [0, 3, 1, 2]


def test_the_phase_is_the_highest_priority_so_far() -> None:
    """It never decreases, so that a stable sort by it changes nothing."""
    order = start_order(3, {0: [1]}, [1, 9, 4])

    assert order == [(2, 4), (1, 9), (0, 9)]


def test_a_dependency_that_is_named_twice_counts_once() -> None:
    """A component may take another in two arguments."""
    assert [number for number, _ in start_order(2, {0: [1, 1]}, [1, 1])] == [1, 0]


def test_the_order_of_nothing_is_empty() -> None:
    """An empty container has an empty order."""
    assert start_order(0, {}, []) == []
