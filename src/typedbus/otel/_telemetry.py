"""The component that instruments one bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from typedbus._bus.bus import Bus, parts_of
from typedbus.otel._instrumentation import instrumentation_of
from typedbus.otel._settings import Settings

if TYPE_CHECKING:
    from typedbus.plugins.health import Health


@attrs.define(eq=False)
class Telemetry:
    """
    Records spans and metrics of one bus, from its construction until the end of the exit.

    As a component it is declared first, ``telemetry = Component(Telemetry, bus.provided)``: components that are
    constructed before it are not recorded, and the span of the first start begins when it is constructed. Under
    `TypedbusInstrumentor` its arguments take precedence for its bus, and nothing is recorded twice.

    Spans begin and end in the thread of the transition. Exporting is left to the SDK: with a batching
    processor a transition never waits for an exporter, except before a restart replaces the process, when what has been recorded
    is flushed for at most 5 seconds.

    Args:
        bus: The bus.
        health: Returns the `Health` whose last probes are a metric; in a container pass ``health.lazy``.
        tracer_provider: Provides the tracer; that of the process unless given.
        meter_provider: Provides the meter; that of the process unless given.

    """

    bus: Bus
    health: Callable[[], Health] | None = attrs.field(default=None, kw_only=True)
    tracer_provider: TracerProvider | None = attrs.field(default=None, kw_only=True)
    meter_provider: MeterProvider | None = attrs.field(default=None, kw_only=True)
    _settings: Settings = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._settings = Settings(
            health=self.health,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
        )
        instrumentation_of(self.bus).add(self._settings)

    def exit(self) -> None:
        """End the recording, at the end of the transition under way if there is one; a hook of `EXIT`."""
        current = parts_of(self.bus).machine.current
        if current is None:
            self._end()
        else:
            current.when_done(self._end)

    def _end(self) -> None:
        instrumentation_of(self.bus).remove(self._settings)
