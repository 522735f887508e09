"""The last probes of a `Health`, for metrics."""

from __future__ import annotations

from collections.abc import Callable

from typedbus._base.errors import ComponentDisabled
from typedbus.plugins.health import ALIVE, READY, Health, Probe


def last_probes(health_of: Callable[[], Health] | None) -> list[tuple[str, Probe]]:
    """
    Return the last probe of each channel of `Health`, with the name of the channel; no check is called.

    Args:
        health_of: Returns the `Health`. There are no probes without it, or if it returns a component that is not enabled.
    """
    if health_of is None:
        return []
    try:
        health = health_of()
    except ComponentDisabled:
        return []
    probes = [(ALIVE.name, health.last_alive), (READY.name, health.last_ready)]
    return [(channel, probe) for channel, probe in probes if probe is not None]
