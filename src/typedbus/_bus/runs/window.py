"""The failures of a run within the window of its policy."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

from typedbus._base.coroutines import CO_GENERATORS
from typedbus._base.restart import Restart


class Window:
    """
    Decides whether a run is called again after a failure, and when.

    Args:
        policy: The policy; None if the run is never called again.
        roll: Returns a random number from 0 to 1, for the jitter.

    Attributes:
        errors: The failures within the window, oldest first.
    """

    __slots__ = ("_failures", "_policy", "_roll")

    def __init__(self, policy: Restart | None, roll: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._roll = roll
        self._failures: list[tuple[float, BaseException]] = []

    @property
    def errors(self) -> tuple[BaseException, ...]:
        return tuple(error for _, error in self._failures)

    def failed(self, now: float, error: BaseException) -> float | None:
        """Add a failure at *now*; return the pause before the next call in seconds, or None if there is none."""
        policy = self._policy
        if policy is None:
            self._failures = [(now, error)]
            return None
        self._failures = [(when, earlier) for when, earlier in self._failures if now - when < policy.within]
        before = len(self._failures)
        self._failures.append((now, error))
        if policy.when == "never" or before >= policy.most or isinstance(error, policy.fatal):
            return None
        return policy.pause(before) * (1 + policy.jitter * self._roll())


def release_locals(error: BaseException) -> None:
    """
    Delete the local variables in the tracebacks of *error*, of its causes and contexts, and of the members of a group.

    Otherwise a failure in the window would keep objects of the failed call alive, such as a connection. The traceback
    can still be printed.
    """
    visited: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        # Chains of exceptions may be circular.
        if link is None or id(link) in visited:
            continue
        visited.add(id(link))
        links += (link.__cause__, link.__context__)
        if isinstance(link, BaseExceptionGroup):
            links += link.exceptions
        trace = link.__traceback__
        while trace is not None:
            # A generator may be suspended, and clearing its frame would close it.
            if not trace.tb_frame.f_code.co_flags & CO_GENERATORS:
                with contextlib.suppress(RuntimeError):  # the frame is executing
                    trace.tb_frame.clear()
            trace = trace.tb_next
