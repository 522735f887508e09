"""Right uses of telemetry."""

from collections.abc import Mapping

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.otel import Telemetry, TelemetryError, TypedbusInstrumentor
from typedbus.plugins.health import Health

order_placed = Channel[[str, int], None]("order_placed")
quoted = AsyncChannel[[str], float]("quoted")


def item_of(item: str) -> Mapping[str, str]:
    return {"shop.item": item}


def attributes_of(item: str, quantity: int) -> Mapping[str, str | int]:
    return {"shop.item": item, "shop.quantity": quantity}


class Shop(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    telemetry = Component(
        Telemetry,
        bus.provided,
        listeners="all",
        slow=0.01,
        exclude=[quoted],
        attributes={order_placed: attributes_of, quoted: item_of},
        sample=1,
        health=health.lazy,
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider(),
    )


def instrument(bus: Bus, error: TelemetryError) -> str:
    TypedbusInstrumentor().instrument(listeners="none")
    Telemetry(bus).exit()
    return error.name + error.expected
