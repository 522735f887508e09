"""Orders of things that need each other; pure algorithms, without recursion."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

from typing_extensions import TypeVar

Node = TypeVar("Node")


def dependencies_first(
    roots: Iterable[Node], needs: Callable[[Node], Iterable[Node]]
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
                places[id(need)] = len(path)
                path.append((need, iter(needs(need))))
                break
            else:
                path.pop()
                del places[id(node)]
                done.add(id(node))
                order.append(node)
    return order, circles


def start_order(count: int, needs: Mapping[int, Iterable[int]], priorities: Sequence[int]) -> list[tuple[int, int]]:
    """
    Return the numbers 0 … *count* - 1 in the order in which to start them.

    Of those whose needs have come, the one of the lowest priority comes next,
    ties by number. With each goes the highest priority up to there: it never
    sinks along the order, so that sorting by it, stably, keeps the order.

    Args:
        count: How many there are.
        needs: For each number those that must come before it; without circles.
        priorities: One for each number, lower earlier.
    """
    missing = [0] * count
    wanted_by: list[list[int]] = [[] for _ in range(count)]
    for number, needed in needs.items():
        for other in set(needed):
            missing[number] += 1
            wanted_by[other].append(number)
    ready = [(priorities[number], number) for number in range(count) if not missing[number]]
    heapq.heapify(ready)
    order: list[tuple[int, int]] = []
    phase = min(priorities, default=0)
    while ready:
        priority, number = heapq.heappop(ready)
        phase = max(phase, priority)
        order.append((number, phase))
        for other in wanted_by[number]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (priorities[other], other))
    return order
