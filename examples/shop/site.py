"""The shop on the web, and the site that serves it with its own server."""

from examples.shop.channels import stock_low
from examples.shop.container import Office
from examples.shop.daybook import Daybook
from examples.shop.front import Front
from examples.shop.invoicing import Outbox, letters_in
from examples.shop.page import Page
from examples.shop.purchasing import Restocking
from examples.shop.telemetry import TracedFront, console_telemetry
from examples.shop.web import ASGIFront, WSGIFront
from typedbus import START, Component
from typedbus.plugins.health import Health
from typedbus.prometheus import Metrics
from typedbus.servers.wsgi import WSGIServer


class Hall(Office):
    """The web application without a server; `Site` adds one, or another program has it."""

    # A folder, since several processes cannot safely append to one file.
    outbox: Component[Outbox] = Component(letters_in, Office.settings.provided.letters)
    health = Component(Health, Office.bus.provided)
    daybook = Component(Daybook)
    page = Component(Page, Office.bus.provided, Office.database.provided, health.provided, daybook.provided)
    front = Component(Front, Office.desk.provided, page.provided)
    wsgi = Component(WSGIFront, front.provided, health.provided)
    asgi = Component(ASGIFront, front.provided, health.provided)


class Site(Hall):
    """
    The hall with its own server: ``typedbus run examples.shop.site:Site --config examples/shop/shop.toml``.

    It is one process, so its page of metrics has the metrics of the whole shop.
    """

    metrics = Component(Metrics, Hall.bus.provided, health=Hall.health.lazy, level="each").enabled(
        Hall.settings.provided.metrics, reason="metrics = false"
    )
    # It starts first, so that all other components have spans.
    telemetry = (
        Component(console_telemetry, Hall.bus.provided)
        .on(START.calls(lambda telemetry: None, priority=1))
        .enabled(Hall.settings.provided.traces, reason="traces = false")
    )
    restocking = Component(Restocking, Hall.database.provided, low=Hall.bus.provided[stock_low])
    wsgi = Component(WSGIFront, Hall.front.provided, Hall.health.provided, metrics.optional)
    traced = Component(TracedFront, wsgi.provided, telemetry.optional)
    server = Component(WSGIServer, Hall.bus.provided, traced.provided, bind=Hall.settings.provided.bind)
