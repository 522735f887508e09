"""The page when the process ends, comes back, or is not looked at."""

from __future__ import annotations

import itertools
import re
import signal
from pathlib import Path

import pytest
from tests.browser.conftest import Visit, program
from tests.browser.texts import TOKEN
from tests.processes import free_port, until

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect


def test_the_page_shows_that_the_process_is_gone_and_goes_on_with_the_next_one(tmp_path: Path, visit: Visit) -> None:
    """What was known stays on the screen; the next process replaces it, and its log follows."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with program("tests.browser.shop", tmp_path, f"127.0.0.1:{port}", port=port) as first:
        page = visit(address, "components", "log")
        expect(page.locator("#facts")).to_contain_text(f"pid{first.pid}")
        expect(page.locator("#log .lines li").first).to_be_attached()
        expect(page.locator("#state")).to_have_text(re.compile("^STARTED for"))
        first.send(signal.SIGKILL)
        expect(page.locator("#gone")).to_have_text(re.compile(r"^The process has not answered for \d+ s"))
    expect(page.locator("#state")).to_have_text("was STARTED")
    expect(page.locator("#link")).to_have_text("no answer")
    expect(page).to_have_title("no answer – Inspected")
    expect(page.locator(".components .rows .row:visible").first).to_be_visible()

    with program("tests.browser.shop", tmp_path, f"127.0.0.1:{port}", port=port) as second:
        expect(page.locator("#facts")).to_contain_text(f"pid{second.pid}")
        expect(page.locator("#gone")).to_be_hidden()
        expect(page.locator("#state")).to_have_text(re.compile("^STARTED for"))
        expect(page.locator("#log .break")).to_have_text(f"process {second.pid} follows")


def test_a_requested_exit_is_shown(tmp_path: Path, visit: Visit) -> None:
    """As long as the process still answers, which it does while a component takes its time to stop."""
    port = free_port()
    with program("tests.browser.shop", tmp_path, f"127.0.0.1:{port}", "3.0", port=port) as shop:
        page = visit(f"http://127.0.0.1:{port}/")
        expect(page.locator("#state")).to_have_text(re.compile("^STARTED for"))
        shop.send(signal.SIGTERM)
        expect(page.locator("#exit")).to_have_text("An exit was requested.")
        expect(page.locator("#gone")).to_be_visible()


def test_a_hidden_tab_asks_every_five_seconds(shop: str, visit: Visit) -> None:
    """And a visible one each second; a tab that becomes visible asks at once."""
    page = visit(shop, token="")
    page.clock.install()
    page.add_init_script(
        """
        Object.defineProperty(document, "hidden", {get: () => window.away === true});
        window.times = [];
        const fetched = window.fetch;
        window.fetch = (...given) => {
            if (given[0].includes("snapshot")) window.times.push(Date.now());
            return fetched(...given);
        };
        """
    )
    page.goto(f"{shop}#{TOKEN}")
    page.reload()

    def pauses() -> list[int]:
        """Return the pauses between the next four requests, in milliseconds of the clock of the page."""
        page.evaluate("window.times.length = 0")

        def is_done() -> bool:
            page.clock.run_for(250)
            return bool(page.evaluate("window.times.length") >= 4)

        until(is_done)
        times = page.evaluate("window.times")
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    assert 1000 <= min(pauses()) < 2000
    page.evaluate("window.away = true")
    pauses()  # the first of these had begun before
    assert 5000 <= min(pauses()) < 6000
    page.evaluate("window.away = false; window.times.length = 0; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: page.evaluate("window.times.length > 0"))


def test_a_component_that_hangs_in_its_start_is_seen(visit: Visit) -> None:
    """The head has the state of the bus, and the component is starting in the table and in the drawing."""
    port = free_port()
    with program("tests.browser.hanging", f"127.0.0.1:{port}", port=port):
        page = visit(f"http://127.0.0.1:{port}/", "components", viewport={"width": 1400, "height": 900})
        expect(page.locator("#state")).to_have_text(re.compile("^STARTING for"))
        page.locator(".components .rows .row", has_text="Shop.desk").click()

        state = page.locator(".components .rows .row", has_text="Shop.database").locator(".state")
        expect(state).to_have_text("starting")
        expect(page.locator(".graph .node", has_text="database")).to_have_attribute("data-tone", "busy")
        expect(page.locator(".graph .focus .small")).not_to_have_text("started")
