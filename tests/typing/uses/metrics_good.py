"""Metrics of a bus for Prometheus."""

from typing import assert_type

from prometheus_client import REGISTRY, CollectorRegistry

from typedbus import Bus, Component, Container
from typedbus.plugins.health import Health
from typedbus.prometheus import Metrics, MetricsConflict
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.wsgi import WSGIServer


class Site(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    metrics = Component(Metrics, bus.provided, health=health.lazy, level="each")
    shared = Component(Metrics, bus.provided, registry=REGISTRY)
    over_wsgi = Component(WSGIServer, bus.provided, metrics.provided.wsgi, bind="127.0.0.1:0")
    over_asgi = Component(ASGIServer, bus.provided, metrics.provided.asgi, bind="127.0.0.1:0")


def use(bus: Bus, health: Health, site: Site) -> None:
    metrics = Metrics(bus, health=lambda: health)
    assert_type(metrics.registry, CollectorRegistry)
    assert_type(site.metrics(), Metrics)
    try:
        metrics.start()
    except MetricsConflict as error:
        assert_type(error.names, tuple[str, ...])
