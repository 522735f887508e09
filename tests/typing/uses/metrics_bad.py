"""Wrong uses of the metrics for Prometheus."""

from typedbus import Bus, Component, Container
from typedbus.plugins.health import Health
from typedbus.prometheus import Metrics, MetricsConflict


class Site(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    without_bus = Component(Metrics)  # E
    number = Component(Metrics, bus.provided, health=3)  # E
    text = Component(Metrics, bus.provided, registry="metrics")  # E
    level = Component(Metrics, bus.provided, level="all")  # E
    positional = Component(Metrics, bus.provided, None)  # E


def use(bus: Bus, health: Health, error: MetricsConflict) -> None:
    Metrics(bus, health=health)  # E
    Metrics(bus, level=2)  # E
    Metrics(bus).wsgi("/metrics")  # E
    Metrics(bus).registry.unknown  # E
    error.names = "typedbus_bus_state"  # E
