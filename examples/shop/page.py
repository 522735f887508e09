"""The page that shows the state of the shop; its template is ``page.html``."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from examples.shop.channels import offer_wanted, order_placed, order_refused, order_taken, stock_low
from examples.shop.database import Database
from examples.shop.daybook import Daybook
from examples.shop.invoicing import money
from typedbus import Bus
from typedbus.plugins.health import Health

_HTML = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
_TOTALS = "SELECT count(*), coalesce(sum(total), 0), (SELECT coalesce(max(number), 0) FROM orders) FROM invoices"
_STOCK = """
SELECT name, sku, price, level, initial, reorder_level, sku IN (SELECT sku FROM reorders)
FROM products ORDER BY name
"""
_LAST = """
SELECT order_number, placed_on, (SELECT sum(quantity) FROM order_lines WHERE order_number = orders.number), total
FROM invoices JOIN orders ON orders.number = order_number ORDER BY invoices.number DESC LIMIT 8
"""
_MOODS = {True: ("good", "well"), False: ("bad", "not well")}


class Page:
    """Renders the page for each request; it shows no personal data of customers."""

    HEADERS: Final = (("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),)
    """The page loads nothing from other sites."""

    def __init__(self, bus: Bus, database: Database, health: Health, daybook: Daybook) -> None:
        self._bus = bus
        self._database = database
        self._health = health
        self._daybook = daybook

    def html(self) -> str:
        """
        Return the page with the current figures.

        Raises:
            Busy: The books cannot be read.
        """
        probe = self._health.ready()
        with self._database.reading() as books:
            orders, turnover, highest = books.execute(_TOTALS).fetchone()
            stock, last = books.execute(_STOCK).fetchall(), books.execute(_LAST).fetchall()
        channels = {
            "order_placed": self._bus[order_placed].subscriptions,
            "order_taken": self._bus[order_taken].subscriptions,
            "order_refused": self._bus[order_refused].subscriptions,
            "stock_low": self._bus[stock_low].subscriptions,
            "offer_wanted": self._bus[offer_wanted].subscriptions,
        }
        listeners = {
            name: "\n".join(subscription.name for subscription in subscriptions)
            for name, subscriptions in channels.items()
        }
        return _HTML.substitute(
            health=_mark("good" if probe.is_ok else "bad", f"{probe.state.name}, {'' if probe.is_ok else 'not '}ready"),
            pid=os.getpid(),
            since=f"{self._daybook.since:%Y-%m-%d %H:%M:%S}",
            orders=f"{orders:,}",
            turnover=money(turnover),
            taken=f"{self._daybook.taken:,}",
            refused=f"{self._daybook.refused:,}",
            stock="".join(map(_product, stock)),
            last="".join(
                _row(str(order), escape(day), f"{pieces:,}", money(total)) for order, day, pieces, total in last
            ),
            checks="".join(
                _row(escape(check.name), _mark(*_MOODS[check.is_ok]), escape(check.detail)) for check in probe.checks
            ),
            listeners="".join(_row(name, escape(listening)) for name, listening in listeners.items()),
            lines=escape("\n".join(self._daybook.lines)),
            example=escape(_example(highest + 1, stock)),
        )


def _product(row: tuple[str, str, int, int, int, int, int]) -> str:
    name, sku, price, left, initial, level, is_reordered = row
    meter = f'<meter max="{max(initial, 1)}" low="{level}" value="{left}"></meter>'
    note = "" if left >= level else _mark("low", "low, reordered" if is_reordered else "low")
    return _row(escape(name), escape(sku), money(price), f"{left:,}", meter, note)


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _mark(mood: str, text: str) -> str:
    return f'<strong class="{mood}">{text}</strong>'


def _example(number: int, stock: Sequence[tuple[str, ...]]) -> str:
    lines = [{"sku": sku, "quantity": 1} for _, sku, *_ in stock[:1]]
    figures = {
        "number": number,
        "customer": "Ada",
        "email": "ada@example.org",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        "lines": lines,
    }
    return json.dumps(figures, indent=2)
