"""The channels of the shop in `examples/shop`, as the catalogue finds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from typedbus.catalogue import Catalogue, CatalogueChannel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def channels() -> dict[str, CatalogueChannel]:
    """The channels by name; some modules of the shop set environment variables, so another process imports them."""
    command = [sys.executable, "-m", "typedbus", "channels", "examples.shop.site:Site", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
    catalogue = Catalogue.load(done.stdout)
    assert not catalogue.unread
    return {channel.name: channel for channel in catalogue.channels}


def uses(channel: CatalogueChannel, *hows: str) -> set[str]:
    """Return the components, or the functions, that use *channel* in these ways."""
    return {use.component or use.name for use in channel.uses if use.how in hows}


def test_every_publisher_and_listener_is_found(channels: dict[str, CatalogueChannel]) -> None:
    """Among them functions that keep ``self.bus[channel].publish``, and methods of objects that no container declares."""
    publishers = {name: uses(channel, "publishes") for name, channel in channels.items()}
    listeners = {name: uses(channel, "listens") for name, channel in channels.items()}

    assert publishers == {
        "lines_read": {"Intake._read"},
        "offer_wanted": {"Site.purchasing"},
        "order_placed": {"Site.desk"},
        "order_refused": {"Site.desk"},
        "order_taken": {"Site.desk"},
        "stock_low": {"Site.stock", "Site.restocking"},
    }
    assert listeners == {
        "lines_read": {"Report.read"},
        "offer_wanted": {"Site.camellia", "Site.teahouse"},
        "order_placed": {"Site.invoicing"},
        "order_refused": {"Site.daybook", "Report.refused"},
        "order_taken": {"Site.daybook", "Site.invoicing", "Site.stock", "Report.taken"},
        "stock_low": {"Site.purchasing", "Report.low"},
    }
    assert not [name for name, channel in channels.items() if channel.verdict]


def test_signatures_have_full_names(channels: dict[str, CatalogueChannel]) -> None:
    """Two classes of the same name differ."""
    assert channels["order_placed"].signature == "(arg0: examples.shop.orders.Order, /) -> examples.shop.orders.Receipt"
    assert channels["lines_read"].signature == "(lines: int, /, *, share: float) -> None"


def test_the_text_below_an_assignment_is_the_doc(channels: dict[str, CatalogueChannel]) -> None:
    """As documentation tools read it."""
    assert channels["order_taken"].doc == "An order has been booked; published after the transaction is committed."
    assert channels["order_placed"].doc.endswith("a listener that raises rolls it back.")
