"""The component that instruments one bus."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import attrs
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from typedbus._bus.builtin import START
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.channel import AnyChannel
from typedbus._channels.marks import on
from typedbus.otel._instrumentation import instrumentation_of
from typedbus.otel._settings import ChannelAttributes, ListenerSpans, Settings

if TYPE_CHECKING:
    from typedbus.plugins.health import Health


@attrs.define(eq=False)
class Telemetry:
    """
    Records spans and metrics of one bus, from its construction until the end of the exit.

    As a component, ``telemetry = Component(Telemetry, bus.provided)``, it is constructed before the components of higher
    priorities, wherever it is declared. Components constructed before it are not recorded, and the span of the first
    start begins with its construction. Under `TypedbusInstrumentor` its arguments take precedence for its bus, and
    nothing is recorded twice.

    Spans begin and end in the thread of the transition or of the publish. The SDK exports them: with a batching
    processor no transition and no publish waits for an exporter. Only before a restart replaces the process, the
    providers are flushed, for at most 5 seconds each.

    Args:
        bus: The bus.
        listeners: Which listeners have a span below that of a publish: "slow" for listeners that are slow or fail,
            "all", or "none".
        slow: The duration from which a listener is slow, in seconds.
        exclude: Channels whose publishes have no spans and no durations, but are counted. The bus's own channels never
            have spans, durations or counts.
        attributes: For a channel, a function that takes the arguments of a publish and returns attributes for its span.
        sample: On each channel, the duration of one publish in *sample* is recorded.
        health: Returns the `Health` whose last probes are recorded as a metric; in a container pass ``health.lazy``.
        tracer_provider: Provides the tracer; that of the process unless given.
        meter_provider: Provides the meter; that of the process unless given.

    Raises:
        TelemetryError: *listeners*, *slow*, *exclude*, *attributes* or *sample* is not usable.
        WatcherError: A key of *attributes* is a channel of the bus itself.
    """

    bus: Bus
    listeners: ListenerSpans = attrs.field(default="slow", kw_only=True)
    slow: float = attrs.field(default=0.001, kw_only=True)
    exclude: Collection[AnyChannel] = attrs.field(default=(), kw_only=True)
    attributes: ChannelAttributes = attrs.field(factory=dict[AnyChannel, Any], kw_only=True)
    sample: int = attrs.field(default=1024, kw_only=True)
    health: Callable[[], Health] | None = attrs.field(default=None, kw_only=True)
    tracer_provider: TracerProvider | None = attrs.field(default=None, kw_only=True)
    meter_provider: MeterProvider | None = attrs.field(default=None, kw_only=True)
    _settings: Settings = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._settings = Settings(
            listeners=self.listeners,
            slow=self.slow,
            exclude=self.exclude,
            attributes=self.attributes,
            sample=self.sample,
            health=self.health,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
        )
        instrumentation_of(self.bus).add(self._settings)

    @on(START, priority=1)
    def start(self) -> None:
        """Do nothing; the priority of this hook makes the component one of the first to be constructed."""

    def exit(self) -> None:
        """End the recording, at the end of the transition under way if there is one; a hook of `EXIT`."""
        current = parts_of(self.bus).machine.current
        if current is None:
            self._end()
        else:
            current.when_done(self._end)

    def _end(self) -> None:
        instrumentation_of(self.bus).remove(self._settings)
