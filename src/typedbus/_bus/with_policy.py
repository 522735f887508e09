"""Buses with a policy other than the typed one."""

from __future__ import annotations

from typedbus._bus.bus import Bus
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry


def bus_with(registry: Registry, policy: TransitionPolicy) -> Bus:
    """Return a bus with the channels *registry* and a *policy* other than the typed one, for the old API."""
    bus = Bus.__new__(Bus)
    bus._compose(registry, policy, None, 1, None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return bus
