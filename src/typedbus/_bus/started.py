"""The hooks that a stop has to call: the hooks of objects that have started, and have not been stopped since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from typedbus._base.limits import StartNode
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typedbus._bus.hooks import ScheduledHook


class StartedHooks:
    """
    The listeners of `START` that have returned since the bus began to start; only the thread of a transition uses it.

    Attributes:
        hooks: These listeners, in the order in which they returned.
        lost: The components that a partial restart has left stopped, by the component whose restart that was. They
            start again with the bus, or in a restart that includes that component.
    """

    # Not an attrs class, as `StateMachine`.
    __slots__ = ("_stopped", "hooks", "lost")

    def __init__(self, hooks: list[ScheduledHook] | None = None) -> None:
        self.hooks = [] if hooks is None else hooks
        self.lost: dict[StartNode, frozenset[StartNode]] = {}
        #: The listeners of `STOP` that a partial restart has called, of objects that have not started again.
        self._stopped: set[ScheduledHook] = set()

    def to_stop(self, starts: Iterable[Subscription], stops: Sequence[Subscription]) -> list[Subscription]:
        """
        Return the listeners of `STOP` to call, in the reverse of running order.

        Their objects have started, or have no listener of `START`.

        Args:
            starts: All subscriptions to `START`.
            stops: All subscriptions to `STOP`, in running order.
        """
        can_start = {id(subscription.owner) for subscription in starts}
        has_started = {id(hook.owner) for hook in self.hooks}
        return [
            subscription
            for subscription in reversed(stops)
            if subscription not in self._stopped
            and ((owner := id(subscription.owner)) in has_started or owner not in can_start)
        ]

    def startable(self, nodes: frozenset[StartNode]) -> frozenset[StartNode]:
        """Return the *nodes* that can start: each component that they need has started, or is one of *nodes*."""
        return nodes.difference(*(lost for root, lost in self.lost.items() if root not in nodes))

    def note_lost(self, root: StartNode, nodes: frozenset[StartNode]) -> None:
        """Record that the restart of *root* has left *nodes* stopped."""
        self.note_restarted(nodes)
        self.lost[root] = nodes

    def note_restarted(self, nodes: frozenset[StartNode]) -> None:
        """Record that those of *nodes* that can start have started again."""
        self.lost = {root: lost for root, lost in self.lost.items() if root not in nodes}

    def note_stopped(self, stops: Iterable[ScheduledHook]) -> None:
        """Record that the listeners *stops* of `STOP` have been called, so that no other stop calls them."""
        self._stopped.update(stops)

    def forget(self, nodes: Collection[StartNode]) -> None:
        """Record that the components of *nodes* have been stopped altogether, and may start again."""
        self.hooks = [hook for hook in self.hooks if hook.node not in nodes]

    def note_started(self, starts: Sequence[ScheduledHook]) -> None:
        """Record that the listeners *starts* of `START` have returned, after `forget`."""
        self.hooks += starts
        nodes = {hook.node for hook in starts}
        self._stopped = {hook for hook in self._stopped if hook.node not in nodes}
