"""Wrong uses of telemetry."""

from typedbus import Bus, Channel, Component, Container
from typedbus.otel import Telemetry, TelemetryError

order_placed = Channel[[str, int], None]("order_placed")


def count() -> int:
    return 1


class Shop(Container):
    bus = Component(Bus)
    telemetry = Component(Telemetry, bus.provided, listeners="fast")  # E
    other = Component(Telemetry, "bus")  # E


def instrument(bus: Bus, error: TelemetryError) -> None:
    Telemetry(bus, "all")  # E
    Telemetry(bus, listeners="some")  # E
    Telemetry(bus, slow="1 ms")  # E
    Telemetry(bus, exclude=["order_placed"])  # E
    Telemetry(bus, attributes={"order_placed": lambda item, quantity: {}})  # E
    Telemetry(bus, attributes={order_placed: count})  # E
    Telemetry(bus, health=count)  # E
    Telemetry(bus, tracer_provider=bus)  # E
    error.message  # E
