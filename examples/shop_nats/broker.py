"""The process of the server: ``typedbus run examples.shop_nats.broker:Broker``."""

from __future__ import annotations

from examples.shop_nats.settings import Settings
from typedbus import Bus, Component, Container, Restart
from typedbus.nats import LocalServer


def server(settings: Settings) -> LocalServer:
    """Return a server that keeps its streams in the folder of the settings."""
    return LocalServer(folder=settings.server, port=settings.port)


class Broker(Container):
    """Runs the server, and starts it again when it is killed."""

    bus = Component(Bus)
    settings = Component(Settings.of_environment)
    server = Component(server, settings.provided).supervised(Restart(most=20, first=0.1, longest=0.5))
