"""The settings of the telemetry of a bus: which spans and metrics are recorded, and by which providers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
from opentelemetry.metrics import Meter, MeterProvider, get_meter
from opentelemetry.trace import Tracer, TracerProvider, get_tracer
from opentelemetry.util.types import AttributeValue

from typedbus._base.numbers import is_number
from typedbus._base.structured import StructuredError
from typedbus._channels.channel import AnyChannel

if TYPE_CHECKING:
    from typedbus.plugins.health import Health

ListenerSpans: TypeAlias = Literal["slow", "all", "none"]
"""Which listeners have a span."""

# The function takes the arguments of its channel, which no mapping type can express.
ChannelAttributes: TypeAlias = Mapping[AnyChannel, Callable[..., Mapping[str, AttributeValue]]]

_NAME: Final = "typedbus"

#: The semantic conventions of `error.type` and of exception events.
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"


class TelemetryError(StructuredError, ValueError):
    """
    Raised by `Telemetry` and `TypedbusInstrumentor` for an argument that they cannot use.

    Attributes:
        name: The argument.
        given: Its value.
        expected: The values that are accepted.
    """

    name: str
    given: object
    expected: str

    def __str__(self) -> str:
        return f"{self.name}={self.given!r} is not usable; give {self.expected}"


def _check_listeners(_: Settings, field: attrs.Attribute[Any], value: object) -> None:
    if value not in ("slow", "all", "none"):
        raise TelemetryError(field.name, value, "'slow', 'all' or 'none'")


def _check_slow(_: Settings, field: attrs.Attribute[Any], value: object) -> None:
    if not is_number(value) or value < 0:
        raise TelemetryError(field.name, value, "a number of seconds from 0 up")


def _check_sample(_: Settings, field: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TelemetryError(field.name, value, "a whole number from 1 up")


def _channels(given: Any) -> frozenset[AnyChannel]:
    if not isinstance(given, Iterable) or not _are_channels(channels := [*given]):
        raise TelemetryError("exclude", given, "several channels, as in [order_placed]")
    return frozenset(channels)


def _check_attributes(_: Settings, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or not _are_channels(value) or not all(map(callable, value.values())):
        raise TelemetryError(field.name, value, "a dict with a function for each channel")


def _are_channels(values: Iterable[object]) -> bool:
    return all(isinstance(value, AnyChannel) for value in values)


@attrs.frozen(eq=False, kw_only=True)
class Settings:
    """The settings of the telemetry of a bus; `Telemetry` describes the attributes."""

    listeners: ListenerSpans = attrs.field(default="slow", validator=_check_listeners)
    slow: float = attrs.field(default=0.001, validator=_check_slow)
    exclude: Collection[AnyChannel] = attrs.field(default=(), converter=_channels)
    attributes: ChannelAttributes = attrs.field(factory=dict[AnyChannel, Any], validator=_check_attributes)
    sample: int = attrs.field(default=1024, validator=_check_sample)
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
    except PackageNotFoundError:  # imported from sources that are not installed
        return ""
