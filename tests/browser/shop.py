"""
The site of the shop with orders that never end, an inspector, and faults: a program for the tests of the page.

``python -m tests.browser.shop FOLDER ADDRESS [SECONDS]``: the end takes *SECONDS*.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import attrs
from examples.shop.channels import order_taken
from examples.shop.make_orders import make_orders
from examples.shop.orders import Order, Receipt
from examples.shop.settings import SHOP_TOML
from examples.shop.site import Site
from examples.shop.web import WSGIFront
from tests.browser.texts import HOSTILE, PASSWORD, TOKEN

from typedbus import LOG, RUN, STOP, Bus, Channel, ChannelFailures, Component, Restart, Stopping, on, run
from typedbus.inspector import Inspector
from typedbus.settings import Sources, configured, load

parcel_sent = Channel[[str]](f"parcel {HOSTILE}")
"""A parcel is on its way."""


@attrs.frozen
class Carrier:
    """How to reach the carrier of the parcels."""

    password: str = attrs.field(default="", repr=False)
    label: str = HOSTILE


class Parcels:
    """Sends parcels; every seventh order is for an address that no carrier knows."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._orders = 0

    @on(order_taken)
    def send(self, order: Order, receipt: Receipt, /) -> None:
        self._orders += 1
        self._bus[parcel_sent].publish(order.customer)
        if self._orders % 7 == 0:
            raise LookupError(f"no carrier for {HOSTILE}")


class Tracking:
    """Follows the parcels, and loses its connection over and over again."""

    @on(RUN)
    def follow(self, stopping: Stopping) -> None:
        stopping.wait(0.2)
        if not stopping.is_set():
            raise ConnectionError(f"the carrier hung up on {HOSTILE}")


class Slow:
    """Takes its time to stop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @on(STOP)
    def stop(self) -> None:
        threading.Event().wait(self._seconds)


class Orders:
    """Places the orders of the example, one after the other, with new numbers each time."""

    def __init__(self, bus: Bus, front: WSGIFront, every: float) -> None:
        self._bus = bus
        self._front = front
        self._every = every

    @on(RUN)
    def place(self, stopping: Stopping) -> None:
        for number, line in enumerate(_lines()):
            if stopping.wait(self._every):
                return
            environ = _request(line)
            with contextlib.suppress(ChannelFailures):  # of the parcels
                self._front(environ, lambda status, headers, error=None: lambda data: None)
            if number % 50 == 0:
                self._bus[LOG].publish(f"{number} orders; {HOSTILE}", logging.WARNING)


def _lines() -> Iterator[bytes]:
    for turn in count():
        for line in make_orders()[0].splitlines():
            try:
                order = json.loads(line)
                order["number"] = int(order["number"]) + turn * 100_000
                yield json.dumps(order).encode()
            except (ValueError, TypeError, KeyError):
                yield line


def _request(line: bytes) -> dict[str, object]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/orders",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(line)),
        "wsgi.input": io.BytesIO(line),
    }


class Watched(Site):
    """The shop of the tests."""

    carrier = configured(Carrier, section="carrier")
    parcels = Component(Parcels, Site.bus.provided)
    tracking = Component(Tracking).supervised(Restart(most=1000, within=3600.0, first=0.3, longest=0.3, then="unready"))
    unused = Component(Tracking).enabled(False, reason=f"no {HOSTILE}")
    orders = Component(Orders, Site.bus.provided, Site.wsgi.provided, 0.02)


def main() -> int:
    """Run the shop until a signal."""
    folder, address = Path(sys.argv[1]), sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0

    class Inspected(Watched):
        slow = Component(Slow, seconds)
        inspector = Component(Inspector, Site.bus.provided, bind=address, token=TOKEN, health=Site.health.lazy)

    shop = Inspected()
    options = {
        "shop.database": str(folder / "shop.sqlite3"),
        "shop.bind": "127.0.0.1:0",
        "shop.metrics": "false",
        "carrier.password": PASSWORD,
    }
    load(shop, sources=Sources(files=(SHOP_TOML,), options=options))

    def wait() -> None:
        sys.stdin.read()

    threading.Thread(target=wait, name=HOSTILE, daemon=True).start()
    return run(shop)


if __name__ == "__main__":
    raise SystemExit(main())
