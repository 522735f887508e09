"""Measurements that `typedbus.otel` and `typedbus.prometheus` share: start durations and health checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from typedbus._base.events import ComponentStarted, Failed, LifecycleEvent
from typedbus._bus.builtin import START
from typedbus.plugins.health import Probe

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
