"""A page that does not show the channels, or is gone, costs a publish nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from tests.browser.conftest import Visit
from tests.browser.texts import TOKEN
from tests.processes import until

from typedbus import Bus, Channel
from typedbus.inspector import Inspector
from typedbus.testing import FakeClock

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect

order_placed = Channel[[str]]("order_placed")
LEASE = "inspector lease"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(100.0)


@pytest.fixture
def bus(clock: FakeClock) -> Bus:
    bus = Bus(clock=clock)
    bus[order_placed].subscribe(lambda sku: None)
    return bus


@pytest.fixture
def address(bus: Bus) -> Iterator[str]:
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    assert inspector.url is not None
    yield inspector.url
    inspector.close()


def is_observed() -> bool:
    return LEASE in [thread.name for thread in threading.enumerate()]


def test_nothing_is_observed_before_the_channels_are_unfolded_and_after_they_are_folded(
    bus: Bus, address: str, clock: FakeClock, visit: Visit
) -> None:
    """Fifteen seconds after the last request for them the publishes are what they were before."""
    page = visit(address, "life", "components", "failures", "runs", "log")
    expect(page.locator("#link")).to_have_text("live")
    assert not is_observed()

    page.locator("#head-channels").click()
    row = page.locator(".channels .row", has_text="order_placed")
    expect(row).to_be_visible()
    until(is_observed)
    bus[order_placed].publish("A-1")
    clock.advance(1.0)
    expect(row.locator(".cell").nth(2)).to_have_text("1")

    page.locator("#head-channels").click()
    with page.expect_response(lambda answer: "channels" not in answer.url and "snapshot" in answer.url):
        pass
    clock.advance(16.0)
    until(lambda: not is_observed())


def test_lines_that_were_dropped_between_two_requests_are_counted(bus: Bus, address: str, visit: Visit) -> None:
    """The process keeps a thousand; the page shows how many it has missed."""
    page = visit(address, "log")
    expect(page.locator("#link")).to_have_text("live")
    bus.log("the first one")
    expect(page.locator("#log .lines li", has_text="the first one")).to_be_attached()

    for number in range(10_000):
        bus.log(f"line {number}")

    expect(page.locator("#log .lines li", has_text="line 9999")).to_be_attached()
    expect(page.locator("#log .lost")).to_have_text(re.compile(r"^\d,\d{3} lines were dropped between two requests\.$"))
    assert page.locator("#log .lines li").count() == 1_000


def test_the_time_since_the_last_publish_is_shown(bus: Bus, address: str, visit: Visit) -> None:
    """The row of an idle channel has the time of its last publish, from which the page computes the age."""
    page = visit(address, "channels", viewport={"width": 1400, "height": 900})
    last = page.locator(".channels .row", has_text="order_placed").locator(".cell").nth(8)
    expect(last).to_have_text("–")

    bus[order_placed].publish("tea")
    expect(last).to_have_text("now")
    expect(last).to_have_text(re.compile(r"^[1-9] s ago$"))
