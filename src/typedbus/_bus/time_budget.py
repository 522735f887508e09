"""How long each hook of a phase may take: the least of its own limit, its component's and the limit of the phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from typedbus._base.limits import StartNode, time_left
from typedbus._bus.hooks import PhaseLimit, ScheduledHook


class TimeBudget:
    """
    The time of one phase, and of its components, that is left for the hooks that have not ended.

    Args:
        hooks: The hooks of the phase.
        hook_limit: The limit of a hook without a limit of its own.
        whole: The limit of the phase.
        spares: Whether the remaining hooks are still called when the limit of the phase has passed.
    """

    def __init__(
        self, hooks: Sequence[ScheduledHook], *, hook_limit: float | None, whole: PhaseLimit, spares: bool
    ) -> None:
        self._hook_limit = hook_limit
        self._whole = whole
        self._spares = spares
        self._left = len(hooks)
        self._left_of = Counter(node for hook in hooks if (node := hook.node) is not None and node.limit is not None)
        self._spent: dict[StartNode, float] = {}
        #: Whether any limit is in force but those of single hooks.
        self._is_limited = hook_limit is not None or whole.seconds is not None or bool(self._left_of)

    def allowed(self, hook: ScheduledHook, now: float) -> tuple[float, float, str] | None:
        """Return how long *hook* may run from *now*, the limit in force and its scope; None without a limit."""
        own = hook.limit
        if own is None and not self._is_limited:
            return None
        node = hook.node
        limits: list[tuple[float, float, str]] = []
        limit = self._hook_limit if own is None else own
        if limit is not None:
            limits.append((limit, limit, "hook"))
        if node is not None and node.limit is not None:
            limits.append(
                (time_left(node.limit, self._spent.get(node, 0.0), self._left_of[node]), node.limit, "component")
            )
        if self._whole.seconds is not None:
            seconds, spent = self._whole.seconds, now - self._whole.began
            allowed = time_left(seconds, spent, self._left) if self._spares else seconds - spent
            limits.append((allowed, seconds, self._whole.scope))
        return min(limits) if limits else None

    def has_passed(self, hook: ScheduledHook, now: float) -> bool:
        """Whether a limit has passed already, so that *hook* gets a part of the time that is spared after it."""
        node, whole = hook.node, self._whole
        if node is not None and node.limit is not None and self._spent.get(node, 0.0) >= node.limit:
            return True
        return self._spares and whole.seconds is not None and now - whole.began >= whole.seconds

    def grace(self, hook: ScheduledHook, longest: float, began: float, now: float) -> float:
        """Return how long *hook*, which began at *began* and has overrun, may take to end; at most *longest*."""
        node, whole = hook.node, self._whole
        grace = longest
        if node is not None and node.limit is not None:
            spent = self._spent.get(node, 0.0) + now - began
            grace = min(grace, time_left(node.limit, spent, self._left_of[node]))
        if whole.seconds is not None and self._spares:
            grace = min(grace, time_left(whole.seconds, now - whole.began, self._left))
        return grace

    def spend(self, hook: ScheduledHook, seconds: float) -> None:
        """Record that *hook* has ended after *seconds*."""
        self._left -= 1
        if self._left_of and (node := hook.node) is not None and node.limit is not None:
            self._left_of[node] -= 1
            self._spent[node] = self._spent.get(node, 0.0) + seconds
