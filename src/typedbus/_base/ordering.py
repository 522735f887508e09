"""Orders of things that need each other; pure algorithms, without recursion."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from typing_extensions import TypeVar

Node = TypeVar("Node")


def dependencies_first(
    roots: Iterable[Node], needs: Callable[[Node], Collection[Node]]
) -> tuple[list[Node], list[list[Node]]]:
    """
    Return all that *roots* need, and themselves, each after what it needs.

    Nodes are told apart by identity. The order depends on that of *roots* and
    of what `needs` gives alone. Chains may be of any length.

    Returns:
        The nodes in order, and every circle that was met on the way, each as
        the nodes along it; a circle is entered once and left unordered.
    """
    order: list[Node] = []
    circles: list[list[Node]] = []
    done: set[int] = set()
    for root in roots:
        # The nodes between the root and where we are, each with what of its
        # needs is still to be looked at, and the place of each by identity.
        path = [(root, iter(needs(root)))] if id(root) not in done else []
        places = {id(root): 0}
        while path:
            node, unseen = path[-1]
            for need in unseen:
                if id(need) in done:
                    continue
                if id(need) in places:
                    circles.append([member for member, _ in path[places[id(need)] :]])
                    continue
                below = needs(need)
                if not below:
                    # Most nodes that a start looks at are built already, and need nothing.
                    done.add(id(need))
                    order.append(need)
                    continue
                places[id(need)] = len(path)
                path.append((need, iter(below)))
                break
            else:
                path.pop()
                del places[id(node)]
                done.add(id(node))
                order.append(node)
    return order, circles


def listeners_first(
    needs: Mapping[int, Iterable[int]], channels: Iterable[tuple[Iterable[int], Iterable[int]]]
) -> dict[int, set[int]]:
    """
    Return *needs*, with each publisher of a channel after the channel's listeners, as far as `channel_ranks` allows.

    The listeners that come before a publisher stand behind gates: numbers above
    the highest in *needs*, whose own needs are in the result. So the result
    grows with the number of publishers and listeners, not with its square.

    Args:
        needs: For each number from 0 on, without gaps, those that must come before it; without circles.
        channels: The publishers and the listeners of each channel.
    """
    edges = {number: set(needed) for number, needed in needs.items()}
    both = [(frozenset(publishers), frozenset(listeners)) for publishers, listeners in channels]
    ranks = channel_ranks(edges, both)
    gate = len(edges)
    for publishers, listeners in both if ranks else ():
        behind: set[int] = set()
        is_gated = False
        for number in sorted(publishers | listeners, key=ranks.__getitem__):
            if number in publishers:
                if behind:
                    edges[gate] = behind | ({gate - 1} if is_gated else set())
                    behind, is_gated, gate = set(), True, gate + 1
                if is_gated:
                    edges[number].add(gate - 1)
            if number in listeners:
                behind.add(number)
    return edges


def channel_ranks(
    needs: Mapping[int, Iterable[int]], channels: Sequence[tuple[Iterable[int], Iterable[int]]]
) -> dict[int, int]:
    """
    Return a rank for each number: above those of its needs and, unless in a circle, of the listeners of its channels.

    So a publisher starts after the listeners of lower ranks. Where publishers
    and listeners form circles, one that has a higher rank than its publisher
    would close a circle with *needs* and with the listeners of lower ranks;
    lower numbers tend to come first.

    Args:
        needs: As of `listeners_first`.
        channels: As of `listeners_first`.

    Returns:
        Nothing if no channel has both publishers and listeners.
    """
    both = [(frozenset(publishers), frozenset(listeners)) for publishers, listeners in channels]
    both = [(publishers, listeners) for publishers, listeners in both if publishers and listeners]
    if not both:
        return {}
    count = len(needs)
    # A channel is a node between its publishers and its listeners.
    edges = [sorted(needs[number]) for number in range(count)]
    edges.extend(sorted(listeners) for _, listeners in both)
    for channel, (publishers, _) in enumerate(both, count):
        for publisher in publishers:
            edges[publisher].append(channel)
    order: list[int] = []
    for members in _strongly_connected(edges):
        order.extend(members if len(members) == 1 else _unrolled(members, needs, both))
    return {number: rank for rank, number in enumerate(order) if number < count}


def _strongly_connected(edges: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give the strongly connected components of a graph, each after those that it leads to: Tarjan's algorithm."""
    indices: list[int | None] = [None] * len(edges)
    lows = [0] * len(edges)
    is_open = [False] * len(edges)
    opened: list[int] = []
    count = 0
    for root in range(len(edges)):
        path = [] if indices[root] is not None else [(root, iter(edges[root]))]
        while path:
            node, unseen = path[-1]
            if indices[node] is None:
                indices[node] = lows[node] = count
                count += 1
                opened.append(node)
                is_open[node] = True
            for other in unseen:
                index = indices[other]
                if index is None:
                    path.append((other, iter(edges[other])))
                    break
                if is_open[other]:
                    lows[node] = min(lows[node], index)
            else:
                path.pop()
                if path:
                    lows[path[-1][0]] = min(lows[path[-1][0]], lows[node])
                if lows[node] == indices[node]:
                    members = []
                    while is_open[node]:
                        members.append(opened.pop())
                        is_open[members[-1]] = False
                    yield members


def _unrolled(
    members: Sequence[int],
    needs: Mapping[int, Iterable[int]],
    channels: Sequence[tuple[frozenset[int], frozenset[int]]],
) -> list[int]:
    """
    Return those of *members*, a strongly connected component, that are no channels, each after its needs.

    A depth-first search along needs and from publishers to listeners. It does
    not follow a publisher to a listener that is on the way to it or needs what
    is: such an order, and no other, is left out.
    """
    numbers = sorted((member for member in members if member in needs), reverse=True)
    inside = set(numbers)
    needed = {number: sorted(inside.intersection(needs[number]), reverse=True) for number in numbers}
    users: dict[int, list[int]] = {number: [] for number in numbers}
    heard: dict[int, list[list[int]]] = {number: [] for number in numbers}
    for number in numbers:
        for need in needed[number]:
            users[need].append(number)
    for publishers, listeners in channels:
        inner = sorted(listeners & inside, reverse=True)
        for publisher in publishers & inside:
            heard[publisher].append(inner)
    order: list[int] = []
    done: set[int] = set()
    # Each number on the way blocks itself and its users, near and far, until the search leaves it.
    blocked: set[int] = set()
    for root in numbers:
        path: list[tuple[int, Iterator[int], list[int]]] = []
        entering: int | None = None if root in done else root
        while path or entering is not None:
            if entering is not None:
                blocking, pending = [], [entering]
                while pending:
                    user = pending.pop()
                    if user not in blocked:
                        blocked.add(user)
                        blocking.append(user)
                        pending.extend(users[user])
                path.append((entering, chain(needed[entering], *heard[entering]), blocking))
            number, unseen, blocking = path[-1]
            entering = next((other for other in unseen if other not in done and other not in blocked), None)
            if entering is None:
                path.pop()
                blocked.difference_update(blocking)
                done.add(number)
                order.append(number)
    return order


def start_order(count: int, needs: Mapping[int, Iterable[int]], priorities: Sequence[int]) -> list[tuple[int, int]]:
    """
    Return the numbers 0 … *count* - 1 in the order in which to start them, and the gates among *needs* in between.

    Of the numbers whose needs have come, the one of the lowest priority comes
    next, ties by number; a gate comes at once. With each goes the highest
    priority up to there: it never sinks along the order, so that sorting by it,
    stably, keeps the order.

    Args:
        count: How many there are.
        needs: For each number those that must come before it, without circles; as `listeners_first` returns it,
            higher numbers are gates.
        priorities: One for each number, lower earlier.
    """
    total = max(count, len(needs))
    phase = min(priorities, default=0)
    ranks = [*priorities, *[phase - 1] * (total - count)]
    missing = [0] * total
    wanted_by: list[list[int]] = [[] for _ in range(total)]
    for number, needed in needs.items():
        for other in set(needed):
            missing[number] += 1
            wanted_by[other].append(number)
    ready = [(ranks[number], number) for number in range(total) if not missing[number]]
    heapq.heapify(ready)
    order: list[tuple[int, int]] = []
    while ready:
        rank, number = heapq.heappop(ready)
        phase = max(phase, rank)
        order.append((number, phase))
        for other in wanted_by[number]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (ranks[other], other))
    return order
