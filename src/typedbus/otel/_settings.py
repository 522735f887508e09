"""What telemetry of a bus records, and where."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import attrs
from opentelemetry.metrics import Meter, MeterProvider, get_meter
from opentelemetry.trace import Tracer, TracerProvider, get_tracer

if TYPE_CHECKING:
    from typedbus.plugins.health import Health

_NAME: Final = "typedbus"

#: The semantic conventions of `error.type` and of exception events.
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"


@attrs.frozen(eq=False, kw_only=True)
class Settings:
    """What telemetry of a bus records, and where; `Telemetry` describes the attributes."""

    health: Callable[[], Health] | None = None
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None

    def tracer(self) -> Tracer:
        """Return the tracer of typedbus."""
        return get_tracer(_NAME, _version(), self.tracer_provider, _SCHEMA)

    def meter(self) -> Meter:
        """Return the meter of typedbus."""
        return get_meter(_NAME, _version(), self.meter_provider, _SCHEMA)


def _version() -> str:
    try:
        return version(_NAME)
    except PackageNotFoundError:  # it is imported from its sources
        return ""
