"""The decision which of several hosts starts a bus, and the checks before it."""

from __future__ import annotations

import threading
from typing import Final

from typedbus._base.errors import WaitError
from typedbus._base.states import State
from typedbus._bus.bus import Bus, parts_of
from typedbus._os.forks import after_fork

_locks: Final[dict[str, threading.Lock]] = {}


def claim_lock() -> threading.Lock:
    """Return the lock under which a host decides whether it starts a bus or shares it."""
    # Created at the first use: by then gevent, for example, has replaced the class.
    return _locks.setdefault("claim", threading.Lock())


def is_free(bus: Bus) -> bool:
    """Return whether no other code has started *bus*, as far as that is known."""
    # Code that calls Bus.start() and Bus.stop() directly is not recorded.
    is_down = bus.state is State.EXITED or (bus.state is State.STOPPED and parts_of(bus).machine.started_by is None)
    return is_down and parts_of(bus).machine.current is None


def check_waiting(bus: Bus) -> None:
    """Raise a `WaitError` if the calling thread belongs to the transition of *bus* that it is about to wait for."""
    current = parts_of(bus).machine.current
    if current is not None and threading.get_ident() in current.threads:
        reason = (
            f"the bus is {bus.state.name} and goes on only when this listener returns; call this when it is STARTED"
        )
        raise WaitError(frozenset({State.STARTED}), reason)


after_fork(_locks.clear)
