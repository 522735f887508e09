"""Whether ASGI applications run on the event loop of the bus, and which calls would block it."""

from __future__ import annotations

from typedbus._base.errors import LoopError
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.event_loop import EventLoop


def loop_to_share(bus: Bus) -> EventLoop | None:
    """Return the event loop of *bus* if the caller of `Bus.start_async` has lent it, or if *bus* has async listeners."""
    parts = parts_of(bus)
    return parts.event_loop if parts.event_loop.is_lent or parts.registry.has_async_listeners else None


def refuse_on_loop(bus: Bus, call: str, instead: str) -> None:
    """
    Refuse *call*, which waits for code that runs on the event loop of *bus*, in the thread of that loop.

    Raises:
        LoopError: The loop calls the caller.
    """
    if parts_of(bus).event_loop.is_running_here:
        raise LoopError(
            call,
            f"it would block the event loop of the bus, on which the application runs; {instead}, or call it in "
            "another thread",
        )
