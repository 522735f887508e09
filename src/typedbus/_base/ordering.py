"""Ordering of nodes by their dependencies; pure algorithms, without recursion."""

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
    Return *roots* and all their direct and indirect needs, each node after its needs.

    Nodes are compared by identity. The order depends only on the order of *roots* and
    of the results of `needs`. Chains may be of any length.

    Returns:
        The nodes in order, and every circle that was found, each as
        the list of its nodes; a circle is entered once and left unordered.
    """
    order: list[Node] = []
    circles: list[list[Node]] = []
    done: set[int] = set()
    for root in roots:
        # The path from the root to the current node, each node with an iterator over
        # its unvisited needs; *places* has the position of each node by identity.
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
                needs_below = needs(need)
                if not needs_below:
                    # Most nodes in a start are constructed already, and have no needs.
                    done.add(id(need))
                    order.append(need)
                    continue
                places[id(need)] = len(path)
                path.append((need, iter(needs_below)))
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

    A publisher depends on its listeners through gates: additional nodes, with numbers above
    the highest in *needs*, whose own needs are in the result. So the size of the result
    grows linearly with the number of publishers and listeners, not quadratically.

    Args:
        needs: For each number from 0 on, without gaps, the numbers that must come before it; without circles.
        channels: The publishers and the listeners of each channel.
    """
    edges = {number: set(others) for number, others in needs.items()}
    sets = [(frozenset(publishers), frozenset(listeners)) for publishers, listeners in channels]
    ranks = channel_ranks(edges, sets)
    gate = len(edges)
    for publishers, listeners in sets if ranks else ():
        pending: set[int] = set()
        is_gated = False
        for number in sorted(publishers | listeners, key=ranks.__getitem__):
            if number in publishers:
                if pending:
                    edges[gate] = pending | ({gate - 1} if is_gated else set())
                    pending, is_gated, gate = set(), True, gate + 1
                if is_gated:
                    edges[number].add(gate - 1)
            if number in listeners:
                pending.add(number)
    return edges


def channel_ranks(
    needs: Mapping[int, Iterable[int]], channels: Sequence[tuple[Iterable[int], Iterable[int]]]
) -> dict[int, int]:
    """
    Return a rank for each number: above the ranks of its needs and, unless in a cycle, of its channels' listeners.

    A publisher starts after the listeners of lower ranks. Where publishers
    and listeners form circles, a listener has a higher rank than its publisher only if
    the opposite order would close a circle with *needs* and the listeners of lower ranks;
    lower numbers tend to come first.

    Args:
        needs: As in `listeners_first`.
        channels: As in `listeners_first`.

    Returns:
        The ranks by number; empty if no channel has both publishers and listeners.
    """
    sets = [(frozenset(publishers), frozenset(listeners)) for publishers, listeners in channels]
    sets = [(publishers, listeners) for publishers, listeners in sets if publishers and listeners]
    if not sets:
        return {}
    count = len(needs)
    # A channel is a node between its publishers and its listeners.
    edges = [sorted(needs[number]) for number in range(count)]
    edges.extend(sorted(listeners) for _, listeners in sets)
    for channel, (publishers, _) in enumerate(sets, count):
        for publisher in publishers:
            edges[publisher].append(channel)
    order: list[int] = []
    for members in _strongly_connected(edges):
        order.extend(members if len(members) == 1 else _search_order(members, needs, sets))
    return {number: rank for rank, number in enumerate(order) if number < count}


def _strongly_connected(edges: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components of a graph, each after its successors (Tarjan's algorithm)."""
    indices: list[int | None] = [None] * len(edges)
    lows = [0] * len(edges)
    is_open = [False] * len(edges)
    stack: list[int] = []
    count = 0
    for root in range(len(edges)):
        path = [] if indices[root] is not None else [(root, iter(edges[root]))]
        while path:
            node, unseen = path[-1]
            if indices[node] is None:
                indices[node] = lows[node] = count
                count += 1
                stack.append(node)
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
                        members.append(stack.pop())
                        is_open[members[-1]] = False
                    yield members


def _search_order(
    members: Sequence[int],
    needs: Mapping[int, Iterable[int]],
    channels: Sequence[tuple[frozenset[int], frozenset[int]]],
) -> list[int]:
    """
    Return *members*, a strongly connected component, without its channels, each after its needs.

    A depth-first search along needs and from publishers to listeners. It does
    not follow the edge from a publisher to a listener that is on the current path, or
    that depends on a node of the path; only such edges are left out.
    """
    numbers = sorted((member for member in members if member in needs), reverse=True)
    inside = set(numbers)
    inner_needs = {number: sorted(inside.intersection(needs[number]), reverse=True) for number in numbers}
    users: dict[int, list[int]] = {number: [] for number in numbers}
    listener_lists: dict[int, list[list[int]]] = {number: [] for number in numbers}
    for number in numbers:
        for need in inner_needs[number]:
            users[need].append(number)
    for publishers, listeners in channels:
        inner = sorted(listeners & inside, reverse=True)
        for publisher in publishers & inside:
            listener_lists[publisher].append(inner)
    order: list[int] = []
    done: set[int] = set()
    # Each number on the path blocks itself and its direct and indirect users, until the search leaves it.
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
                path.append((entering, chain(inner_needs[entering], *listener_lists[entering]), blocking))
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
    Return the numbers 0 … *count* - 1 in the order in which to start them, with the gates among *needs* in between.

    Of the numbers whose needs have been placed, the number of the lowest priority comes
    next, ties by number; a gate is placed at once. Each number is returned with the highest
    priority so far, which never decreases along the order: a stable sort by it
    keeps the order.

    Args:
        count: How many numbers there are, without the gates.
        needs: For each number the numbers that must come before it, without circles. As in the result of
            `listeners_first`, higher numbers are gates.
        priorities: The priority of each number; lower comes earlier.
    """
    total = max(count, len(needs))
    phase = min(priorities, default=0)
    ranks = [*priorities, *[phase - 1] * (total - count)]
    missing = [0] * total
    users: list[list[int]] = [[] for _ in range(total)]
    for number, others in needs.items():
        for other in set(others):
            missing[number] += 1
            users[other].append(number)
    ready = [(ranks[number], number) for number in range(total) if not missing[number]]
    heapq.heapify(ready)
    order: list[tuple[int, int]] = []
    while ready:
        rank, number = heapq.heappop(ready)
        phase = max(phase, rank)
        order.append((number, phase))
        for other in users[number]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (ranks[other], other))
    return order
