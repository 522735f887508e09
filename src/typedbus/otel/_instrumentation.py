"""The telemetry of each bus that has any."""

from __future__ import annotations

import threading
import weakref
from typing import Final

from typedbus._bus.builtin import LIFECYCLE, RUNS
from typedbus._bus.bus import Bus
from typedbus._channels.subscriptions import Subscription
from typedbus.otel._settings import Settings
from typedbus.otel._transition_spans import TransitionSpans


class Instrumentation:
    """
    The telemetry of one bus.

    The bus may be instrumented several times, for example by `TypedbusInstrumentor` and by a `Telemetry` component.
    The settings that were added last are in force, so nothing is recorded twice. The methods may be called from any
    thread.
    """

    def __init__(self, bus: Bus) -> None:
        # No reference to the bus, which the table below would otherwise keep alive.
        self._bus = weakref.ref(bus)
        self._lock = threading.Lock()
        self._settings: list[Settings] = []
        self._spans: TransitionSpans | None = None
        self._subscriptions: list[Subscription] = []

    def add(self, settings: Settings) -> None:
        """Record as *settings* describe, from now on."""
        with self._lock:
            self._settings.append(settings)
            self._apply()

    def remove(self, settings: Settings) -> None:
        """Record as before *settings* were added; without any other settings, leave the bus as it was."""
        with self._lock:
            self._settings = [others for others in self._settings if others is not settings]
            self._apply()

    def _apply(self) -> None:
        bus = self._bus()
        if bus is None:
            return
        if not self._settings:
            for subscription in self._subscriptions:
                subscription.cancel()
            self._spans, self._subscriptions = None, []
            return
        settings = self._settings[-1]
        if self._spans is None:
            self._spans = spans = TransitionSpans(bus, settings)
            self._subscriptions = [bus[LIFECYCLE].subscribe(spans.record), bus[RUNS].subscribe(spans.runs.record)]
        else:
            self._spans.use(settings)


_INSTRUMENTED: Final[weakref.WeakKeyDictionary[Bus, Instrumentation]] = weakref.WeakKeyDictionary()
_LOCK: Final = threading.Lock()


def instrumentation_of(bus: Bus) -> Instrumentation:
    """Return the telemetry of *bus*; the same object each time."""
    with _LOCK:
        return _INSTRUMENTED.setdefault(bus, Instrumentation(bus))


def instrumentations() -> list[Instrumentation]:
    """Return the telemetry of every bus that has had any."""
    with _LOCK:
        return list(_INSTRUMENTED.values())
