"""The instrumentor, which ``opentelemetry-instrument`` finds by its entry point."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy skips it

from typedbus._bus.bus import Bus
from typedbus._bus.created import CREATED
from typedbus.otel._instrumentation import instrumentation_of, instrumentations
from typedbus.otel._settings import Settings


class TypedbusInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # Any for mypy
    """
    Instruments every bus of the process that is created after `instrument`, until `uninstrument`.

    ``instrument()`` takes the keyword arguments of `Telemetry`. ``uninstrument()`` ends the recording on all these
    buses and leaves them as they were. ``opentelemetry-instrument typedbus run ...`` calls ``instrument()`` before
    the program is imported.

    Raises:
        TypeError: By ``instrument()``, for a keyword argument that `Telemetry` does not take.
    """

    _settings: Settings  # of the last `instrument`

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the package that it instruments."""
        return ("typedbus >= 0.1",)

    def _instrument(self, **kwargs: Any) -> None:  # the base class declares Any
        self._settings = Settings(**kwargs)
        CREATED.append(self._begin)

    def _uninstrument(self, **kwargs: Any) -> None:
        CREATED.remove(self._begin)
        for instrumentation in instrumentations():
            instrumentation.remove(self._settings)

    def _begin(self, bus: Bus) -> None:
        instrumentation_of(bus).add(self._settings)
