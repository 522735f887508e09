"""What the packages for telemetry share: start durations, health checks, and the providers of spans."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from typedbus._base.events import ComponentStarted, Failed, LifecycleEvent
from typedbus._bus.builtin import START
from typedbus._bus.bus import Bus
from typedbus.plugins.health import Probe

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

TRACER_PROVIDERS: Final[weakref.WeakKeyDictionary[Bus, TracerProvider]] = weakref.WeakKeyDictionary()
"""The provider of the spans of a bus that `typedbus.otel` instruments, for `typedbus.nats`; none for the global one."""

START_BOUNDS: Final = (0.001, 0.004, 0.016, 0.064, 0.256, 1.0, 4.0, 16.0, 60.0)
"""The upper bounds of the buckets of start durations, in seconds."""


class StartHook(NamedTuple):
    """A start hook that has ended: the path of its component, "started" or "failed", and its duration in seconds."""

    path: str
    outcome: str
    seconds: float


def ended_start(event: LifecycleEvent) -> StartHook | None:
    """Return the start hook that has ended with *event*; None for any other event."""
    match event:
        case ComponentStarted(path, seconds):
            return StartHook(path, "started", seconds)
        case Failed(path, START.name, seconds):
            return StartHook(path, "failed", seconds)
        case _:
            return None


def passed_checks(probes: Iterable[tuple[str, Probe]]) -> dict[tuple[str, str], bool]:
    """
    Return whether each check of *probes* passed, by the names of its channel and of the check.

    Checks of the same name are one series, which has passed if all of them have.
    """
    passed: dict[tuple[str, str], bool] = {}
    for channel, probe in probes:
        for check in probe.checks:
            key = (channel, check.name)
            passed[key] = check.is_ok and passed.get(key, True)
    return passed
