"""The instrumentation of buses: one object for each instrumented bus."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final

from typedbus._base.events import LifecycleEvent
from typedbus._base.run_events import RunBegan, RunEvent
from typedbus._base.run_records import RunState
from typedbus._base.states import State
from typedbus._bus.builtin import LIFECYCLE, RUNS
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.observation import Observation
from typedbus._channels.observing.stats import ChannelStats
from typedbus._channels.subscriptions import Subscription
from typedbus._telemetry import TRACER_PROVIDERS, ended_start
from typedbus.otel._metrics import Instruments, instruments_of
from typedbus.otel._publish_spans import PublishSpans, attributes_watcher
from typedbus.otel._settings import Settings
from typedbus.otel._transition_spans import TransitionSpans
from typedbus.plugins._last_probes import last_probes
from typedbus.plugins.health import Probe


class Recording:
    """
    Records publishes and metrics of a bus as *settings* describe, from the construction to `end`.

    It refers to the channels of the bus, but does not keep the bus alive.
    """

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._settings = settings
        self._bus = weakref.ref(bus)
        self._instruments: Instruments = instruments_of(settings)
        with contextlib.ExitStack() as cleanup:
            channel: Any  # of any signature
            for channel, function in settings.attributes.items():
                cleanup.callback(bus[channel].watch(attributes_watcher(channel, function)).cancel)
            self._observation: Observation = bus.observe(level="count")
            # A counter must not decrease: the instruments keep the figures of a bus that is collected as garbage.
            finalizer = weakref.finalize(bus, self._retire)
            finalizer.atexit = False
            cleanup.callback(finalizer)
            cleanup.callback(self._observation.close)
            tracer = PublishSpans(settings, self._instruments)
            cleanup.callback(parts_of(bus).registry.trace(tracer).close)
            cleanup.callback(bus[LIFECYCLE].subscribe(self._record_start).cancel)
            cleanup.callback(bus[RUNS].subscribe(self._record_run).cancel)
            self._instruments.add(self)
            self._cleanup = cleanup.pop_all()

    def end(self) -> None:
        """End the recording, and the observation of the channels."""
        self._cleanup.close()

    def _retire(self) -> None:
        self._instruments.retire(self, self._observation.stats())

    def _record_start(self, event: LifecycleEvent) -> None:
        """Record the duration of a start hook; a listener of `LIFECYCLE`."""
        if (hook := ended_start(event)) is not None:
            attributes = {"typedbus.component": hook.path, "typedbus.outcome": hook.outcome}
            self._instruments.start_duration.record(hook.seconds, attributes)

    def _record_run(self, event: RunEvent) -> None:
        """Count the restart of a run; a listener of `RUNS`."""
        if isinstance(event, RunBegan) and event.attempt > 1:
            self._instruments.run_restarts.add(1, {"typedbus.component": event.path})

    @property
    def state(self) -> State | None:
        """The state of the bus; None if it no longer exists."""
        bus = self._bus()
        return None if bus is None else bus.state

    def stats(self) -> Mapping[AnyChannel, ChannelStats]:
        """Return the figures of the channels."""
        return self._observation.stats()

    def runs(self) -> Iterable[tuple[str, RunState]]:
        """Return the path and the state of each run."""
        bus = self._bus()
        return [] if bus is None else [(path, record.state) for path, record in bus.runs.items()]

    def probes(self) -> Iterable[tuple[str, Probe]]:
        """Return the last probes; none unless the bus is STARTED, since `Settings.health` may construct it."""
        return last_probes(self._settings.health) if self.state is State.STARTED else []


class Instrumentation:
    """
    The telemetry of one bus.

    The bus may be instrumented several times, for example by `TypedbusInstrumentor` and by a `Telemetry` component.
    Only the settings that were added last apply, so nothing is recorded twice. The methods may be called from any
    thread.
    """

    def __init__(self, bus: Bus) -> None:
        # Weak, since the table below refers to this object as long as the bus exists.
        self._bus = weakref.ref(bus)
        self._lock = threading.Lock()
        self._settings: list[Settings] = []
        self._spans: TransitionSpans | None = None
        self._subscriptions: list[Subscription] = []
        self._recording: Recording | None = None

    def add(self, settings: Settings) -> None:
        """Record with *settings* from now on."""
        with self._lock:
            self._settings.append(settings)
            try:
                self._apply()
            except BaseException:
                self._settings.remove(settings)
                self._apply()
                raise

    def remove(self, settings: Settings) -> None:
        """Record with the settings that were added before *settings*, or end the recording if there are no others."""
        with self._lock:
            if settings not in self._settings:
                return
            self._settings.remove(settings)
            self._apply()

    def _apply(self) -> None:
        bus = self._bus()
        if self._recording is not None:
            self._recording.end()
            self._recording = None
        if bus is None:
            return
        TRACER_PROVIDERS.pop(bus, None)
        if not self._settings:
            for subscription in self._subscriptions:
                subscription.cancel()
            self._spans, self._subscriptions = None, []
            return
        settings = self._settings[-1]
        self._recording = Recording(bus, settings)
        if settings.tracer_provider is not None:
            TRACER_PROVIDERS[bus] = settings.tracer_provider
        if self._spans is None:
            self._spans = spans = TransitionSpans(bus, settings)
            self._subscriptions = [bus[LIFECYCLE].subscribe(spans.record), bus[RUNS].subscribe(spans.runs.record)]
        else:
            self._spans.use(settings)


_INSTRUMENTED: Final[weakref.WeakKeyDictionary[Bus, Instrumentation]] = weakref.WeakKeyDictionary()
_LOCK: Final = threading.Lock()


def instrumentation_of(bus: Bus) -> Instrumentation:
    """Return the instrumentation of *bus*; the same object each time."""
    with _LOCK:
        return _INSTRUMENTED.setdefault(bus, Instrumentation(bus))


def instrumentations() -> list[Instrumentation]:
    """Return the instrumentation of every bus that has been instrumented."""
    with _LOCK:
        return list(_INSTRUMENTED.values())
