"""Ends the threads that watch a transition, for calls that are only possible in a process with a single thread."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Protocol, runtime_checkable

from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import LIFECYCLE
from typedbus._os.forks import WATCHING


@runtime_checkable
class _Watches(Protocol):
    """A listener of `LIFECYCLE` that watches a transition in a separate thread, as the console of `run` does."""

    def rest(self) -> None: ...
    def set_out(self, state: State, /) -> None: ...


@contextlib.contextmanager
def aside(bus: Bus) -> Generator[None]:
    """End the threads that watch a transition of *bus*, or the process, and start them again after the block."""
    owners = [getattr(one.listener, "__self__", None) for one in bus[LIFECYCLE].subscriptions]
    watching = [owner for owner in owners if isinstance(owner, _Watches)]
    threads = [*WATCHING]
    for owner in watching:
        owner.rest()
    for thread in threads:
        thread.rest()
    try:
        yield
    finally:
        for owner in watching:
            owner.set_out(bus.state)
        for thread in threads:
            thread.set_out()
