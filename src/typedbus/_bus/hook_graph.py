"""The dependencies between the hooks of one phase: which of them can be called once others have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from typedbus._base.limits import StartNode
from typedbus._bus.hooks import ScheduledHook


class HookGraph:
    """
    The hooks of one phase by their start nodes.

    A hook is named by its place, its index in *hooks*. Each place is returned once, by `first` or by `after`.

    Args:
        hooks: The hooks in running order.
        backwards: Whether each node comes after the nodes that need it, as in a stop.
    """

    def __init__(self, hooks: Sequence[ScheduledHook], *, backwards: bool) -> None:
        #: The places of each node whose hooks have not been returned.
        self._places: dict[StartNode, deque[int]] = {}
        #: The places of hooks without a node.
        self._independent: list[int] = []
        for place, hook in enumerate(hooks):
            if hook.node is None:
                self._independent.append(place)
            else:
                self._places.setdefault(hook.node, deque()).append(place)
        #: For each node, the number of nodes that must end before it, and the nodes that come directly after it.
        #: Nodes without a hook are included, because dependencies lead through them.
        self._missing: dict[StartNode, int] = {}
        self._next: dict[StartNode, list[StartNode]] = {}
        unseen = list(self._places)
        while unseen:
            node = unseen.pop()
            if node in self._next:
                continue
            self._next[node] = []
            self._missing[node] = 0
            unseen.extend(node.needs)
        for node in self._next:
            for need in node.needs:
                first, second = (node, need) if backwards else (need, node)
                self._next[first].append(second)
                self._missing[second] += 1

    def first(self) -> list[int]:
        """Return the places of the hooks that wait for no other hook."""
        return self._independent + self._open([node for node, missing in self._missing.items() if not missing])

    def after(self, node: StartNode | None) -> list[int]:
        """Return the places of the hooks that can be called now that a hook of *node* has ended."""
        if node is None:
            return []
        if self._places[node]:
            return [self._places[node].popleft()]
        return self._open(self._close(node))

    def behind(self, node: StartNode | None) -> set[StartNode | None]:
        """Return the nodes that come after *node*, directly or indirectly."""
        nodes: set[StartNode | None] = set()
        unseen = [] if node is None else list(self._next[node])
        while unseen:
            node = unseen.pop()
            if node not in nodes:
                nodes.add(node)
                unseen.extend(self._next[node])
        return nodes

    def _open(self, nodes: list[StartNode]) -> list[int]:
        """Return the first place of each of *nodes*; a node without a hook is closed, and the next nodes opened."""
        places = []
        while nodes:
            node = nodes.pop()
            if self._places.get(node):
                places.append(self._places[node].popleft())
            else:
                nodes.extend(self._close(node))
        return places

    def _close(self, node: StartNode) -> list[StartNode]:
        """Return the nodes for which *node* was the last missing dependency."""
        opened = []
        for other in self._next[node]:
            self._missing[other] -= 1
            if not self._missing[other]:
                opened.append(other)
        return opened
