"""The two orders that everything else rests on: dependencies first, and the start order."""

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


def test_a_node_comes_after_everything_that_it_needs() -> None:
    """What is needed far down comes first, in the order in which it is needed."""
    graph = {1: [2, 3], 2: [4], 3: [], 4: []}

    assert ordered(graph, 1) == [4, 2, 3, 1]


def test_a_node_that_several_need_comes_once() -> None:
    """Both ways through a diamond lead to one and the same node."""
    graph = {1: [2, 3], 2: [4], 3: [4], 4: []}

    assert ordered(graph, 1) == [4, 2, 3, 1]


@pytest.mark.parametrize(
    ("roots", "expected"),
    [([1, 2], [2, 1]), ([2, 1], [2, 1]), ([3, 1, 2], [3, 2, 1]), ([1, 1], [2, 1]), ([], [])],
    ids=["needed root later", "needed root first", "unrelated first", "the same twice", "none"],
)
def test_roots_keep_their_order_where_needs_do_not_speak(roots: list[int], expected: list[int]) -> None:
    """A root that is needed moves to the front of who needs it; each comes once."""
    graph = {1: [2], 2: [], 3: []}

    assert ordered(graph, *roots) == expected


def test_equal_nodes_are_told_apart() -> None:
    """Identity decides: two equal nodes are two nodes."""
    first, second = Thing(), Thing()

    order, _ = dependencies_first([first, second], lambda _: [])

    assert [id(node) for node in order] == [id(first), id(second)]


def test_each_node_is_asked_once_what_it_needs() -> None:
    """The work grows with the graph, not with the number of ways through it."""
    asked: list[int] = []

    def needs(number: int) -> list[int]:
        asked.append(number)
        return [number - 1, number - 2] if number > 1 else []

    dependencies_first([20, 20, 10], needs)

    assert sorted(asked) == list(range(21))


def test_a_chain_may_be_longer_than_any_stack() -> None:
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
def test_a_circle_is_told_by_the_nodes_along_it(graph: Graph, circles: list[list[int]]) -> None:
    """Only those on the circle are named, from where it was entered, each need after who needs it."""
    _, found = dependencies_first([1], graph.__getitem__)

    assert found == circles


def test_what_is_off_the_circle_is_ordered_all_the_same() -> None:
    """A circle keeps nobody from being visited, once."""
    graph = {1: [2, 3], 2: [1, 4], 3: [4], 4: []}

    order, circles = dependencies_first([1, 3], graph.__getitem__)

    assert order == [4, 2, 3, 1]
    assert circles == [[1, 2]]


def test_two_circles_apart_from_each_other_are_both_told() -> None:
    """A circle under a later root is found as well."""
    graph = {1: [2], 2: [1], 3: [3]}

    _, circles = dependencies_first([1, 3], graph.__getitem__)

    assert circles == [[1, 2], [3]]


def test_the_lower_priority_starts_first() -> None:
    """Where nothing is needed, priorities decide, whatever the numbers are."""
    assert start_order(3, {}, [50, -1, 7]) == [(1, -1), (2, 7), (0, 50)]


def test_equal_priorities_start_in_order_of_declaration() -> None:
    """The number is the place of the declaration."""
    assert start_order(3, {}, [5, 5, 5]) == [(0, 5), (1, 5), (2, 5)]


def test_what_is_needed_starts_before_whatever_the_priorities() -> None:
    """Number 0 would come first by priority and waits for 1, which waits for 2."""
    order = start_order(3, {0: [1], 1: [2]}, [1, 2, 3])

    assert [number for number, _ in order] == [2, 1, 0]


def test_the_next_is_the_lowest_of_those_whose_needs_have_come() -> None:
    """What becomes free goes ahead of what was free before, if its priority is lower."""
    order = start_order(4, {3: [0]}, [10, 20, 30, 5])

    assert [number for number, _ in order] == [0, 3, 1, 2]


def test_the_phase_is_the_highest_priority_so_far() -> None:
    """It never sinks, so that a stable sort by it changes nothing."""
    order = start_order(3, {0: [1]}, [1, 9, 4])

    assert order == [(2, 4), (1, 9), (0, 9)]


def test_a_need_that_is_named_twice_is_one_need() -> None:
    """A component may take another in two arguments."""
    assert [number for number, _ in start_order(2, {0: [1, 1]}, [1, 1])] == [1, 0]


def test_nothing_to_start_is_no_order() -> None:
    """An empty container has an empty order."""
    assert start_order(0, {}, []) == []
