"""What each section of the page shows of a shop under load."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.browser.conftest import Visit
from tests.browser.texts import HOSTILE, PASSWORD

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect


def test_the_head_shows_the_process_and_its_state(shop: str, visit: Visit) -> None:
    """Without any section unfolded, the head has the name of the container, the state, the process and the versions."""
    page = visit(shop, "none")

    expect(page.locator("#name")).to_have_text("Inspected")
    expect(page.locator("#state")).to_have_text(re.compile(r"^STARTED for \d+ "))
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#facts")).to_have_text(re.compile(r"pid\d+up\d.*threads\d+Python3\.\d+.*typedbus\d"))
    expect(page).to_have_title("started – Inspected")


def test_the_head_stays_in_sight(shop: str, visit: Visit) -> None:
    """The state is on the screen at the end of a long page."""
    page = visit(shop, "life", "components", "channels", "threads", "log")
    expect(page.locator("#log .lines li").first).to_be_attached()

    page.locator("#log .lines").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")

    assert page.evaluate("scrollY") > 500
    expect(page.locator("#state")).to_be_in_viewport()


def test_a_folded_section_causes_no_request(shop: str, visit: Visit) -> None:
    """Only the snapshot is requested, and it names only what is unfolded."""
    page = visit(shop, "failures")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(3):
        with page.expect_response(re.compile("snapshot")):
            pass

    asked = [url for url in asked if "/api/" in url]  # not the icon
    assert {urlsplit(url).path for url in asked} == {"/api/v1/snapshot"}
    assert {parse_qs(urlsplit(url).query)["open"][0] for url in asked} == {"failures"}

    with page.expect_request(re.compile("open=failures%2Cchannels")), page.expect_request(re.compile("/threads$")):
        page.get_by_role("button", name="Channels", exact=False).last.click()
        page.locator("#head-threads").click()


def test_life_has_the_transitions_and_the_last_start(shop: str, visit: Visit) -> None:
    """Each slow component has a bar of its own; those of the critical path are marked."""
    page = visit(shop, "life")

    expect(page.locator(".moves li").last).to_have_text(re.compile(r"STARTED\d\d:\d\d:\d\d · for "))
    camellia = page.locator(".bars li", has_text="Inspected.camellia")
    expect(camellia.locator(".piece.start")).to_have_count(1)
    expect(camellia).to_have_class("critical")
    expect(page.locator(".bars .critical")).not_to_have_count(0)
    assert page.locator(".lanes rect").count() >= page.locator(".bars li:not(.axis):not(.all)").count()
    assert all(
        box["width"] > 0
        for box in page.locator(".piece").evaluate_all("all => all.map(one => one.getBoundingClientRect())")
    )


def test_a_bar_leads_to_its_component(shop: str, visit: Visit) -> None:
    """A click on its name unfolds the components with that component in focus."""
    page = visit(shop, "life")

    page.locator(".bars .label", has_text="Inspected.database").click()

    expect(page.locator(".detail h3")).to_have_text("Inspected.database")


def test_components_are_found_and_shown_with_their_neighbours(shop: str, visit: Visit) -> None:
    """The search reduces the rows; the drawing has the needs on the left and the users on the right, and moves."""
    page = visit(shop, "components", viewport={"width": 1400, "height": 900})
    rows = page.locator(".components .rows .row:visible")

    page.get_by_label("Search components").fill("invoic")
    expect(rows).to_have_count(1)
    rows.first.click()
    expect(page.locator(".detail h3")).to_have_text("Inspected.invoicing")
    names = page.locator(".graph .node .name")
    expect(names).to_have_text(["database", "outbox", "desk", "invoicing"])
    database, outbox, desk, invoicing = names.evaluate_all("all => all.map((one) => one.getBoundingClientRect().x)")
    assert database == outbox < invoicing - 100
    assert invoicing < desk - 100

    page.locator(".graph .node", has_text="database").click()
    expect(page.locator(".detail h3")).to_have_text("Inspected.database")
    expect(page.locator(".graph .focus .name")).to_have_text("database")
    users = page.locator(".graph .node", has_text="invoicing").bounding_box()
    focus = page.locator(".graph .focus").bounding_box()
    assert users and focus
    assert users["x"] > focus["x"] + 100


def test_components_have_the_colour_of_their_state(shop: str, visit: Visit) -> None:
    """One that waits for a restart is restarting, in the table and in the drawing."""
    page = visit(shop, "components")
    page.get_by_label("Search components").fill("tracking")
    page.locator(".components .rows .row:visible").first.click()

    state = page.locator(".components .rows .row:visible .state").first
    expect(state).to_have_text("restarting")
    expect(state).to_have_attribute("data-tone", "warn")
    expect(page.locator(".graph .focus")).to_have_attribute("data-tone", re.compile("warn|ok"))
    expect(page.locator(".detail .error")).to_contain_text("the carrier hung up")


def test_channels_have_figures_and_unfold_to_their_listeners(shop: str, visit: Visit) -> None:
    """Rates, durations and failures are of the time since the section was unfolded."""
    page = visit(shop, "channels", viewport={"width": 1400, "height": 900})
    row = page.locator(".channels .row[aria-level='1']", has_text="order_taken")

    expect(row.locator(".cell").nth(3)).to_have_text(re.compile(r"^[1-9]\d*(\.\d)?$"))
    expect(row.locator(".cell").nth(5)).to_have_text(re.compile(r"\d (µs|ms|s)$"))
    expect(row.locator(".cell").nth(7)).to_have_text(re.compile(r"^[1-9]"))
    expect(row.locator("polyline")).to_have_attribute("points", re.compile(r"\d,\d.* .*\d,\d"))

    row.click()
    expect(row).to_have_attribute("aria-expanded", "true")
    listeners = page.locator(".channels .row[data-kind='listener']:visible")
    expect(listeners.filter(has_text="Inspected.parcels.send").locator(".cell").nth(7)).to_have_text(
        re.compile("^[1-9]")
    )
    expect(listeners.first).to_have_text(re.compile(r"^1\. .*priority \d+"))
    expect(listeners.locator("svg")).to_have_count(0)
    expect(page.locator(".channels .row[data-kind='about']")).to_contain_text("declared in examples.shop.channels")

    row.click()
    expect(listeners).to_have_count(0)


def test_failures_are_counted_and_unfold_to_a_traceback(shop: str, visit: Visit) -> None:
    """The same error at the same place is one line with a number, which grows."""
    page = visit(shop, "failures")
    line = page.locator("#failures details", has_text="Inspected.parcels.send")

    expect(line).to_have_count(1)
    expect(line.locator(".times")).to_have_text(re.compile(r"^×([2-9]|\d\d+)$"))
    line.locator("summary").click()
    expect(line.locator(".trace")).to_contain_text("Traceback (most recent call last)")
    expect(line.locator(".trace")).to_contain_text(f"LookupError: no carrier for {HOSTILE}")
    expect(page.locator("#rail button", has_text="Failures").locator(".badge")).to_have_text(re.compile(r"^\d+$"))


def test_runs_have_their_state_and_restarts(shop: str, visit: Visit) -> None:
    """A run that is restarted over and over again shows how often, and its last error."""
    page = visit(shop, "runs", viewport={"width": 1400, "height": 900})
    row = page.locator(".runs .rows .row", has_text="Inspected.tracking")

    expect(row.locator(".state")).to_have_text("waiting")
    expect(row.locator(".cell").nth(3)).to_have_text(re.compile(r"^[1-9]"))
    expect(row.locator(".cell").nth(6)).to_contain_text("ConnectionError")
    expect(page.locator(".runs .rows .row", has_text="Inspected.orders").locator(".state")).to_have_text("running")


def test_health_is_probed_only_on_demand(shop: str, visit: Visit) -> None:
    """The button calls the checks; the section alone does not."""
    page = visit(shop, "health")
    methods: list[str] = []
    page.on("request", lambda request: methods.append(request.method))
    expect(page.get_by_role("button", name="Probe now")).to_be_enabled()
    assert set(methods) <= {"GET"}

    page.get_by_role("button", name="Probe now").click()

    check = page.get_by_label("Ready").locator("tbody tr", has_text="database")
    expect(check.locator(".state")).to_have_text("ok")
    expect(page.locator("#health .found")).to_have_text(re.compile(r"^probed at \d\d:\d\d:\d\d$"))


def test_threads_unfold_to_their_stacks(shop: str, visit: Visit) -> None:
    """Also a thread whose name is hostile; the search looks into the stacks."""
    page = visit(shop, "threads")

    page.get_by_label("Search stacks").fill("readline shop.py wait")
    expect(page.locator("#threads details")).to_have_count(0)
    page.get_by_label("Search stacks").fill("shop.py wait")
    line = page.locator("#threads details", has_text=HOSTILE)
    expect(line.locator(".marks")).to_have_text("thread · daemon")
    line.locator("summary").click()
    expect(line.locator(".trace")).to_contain_text(re.compile(r"^main\.<locals>\.wait .*shop\.py:\d+"))


def test_a_secret_is_dots_and_is_never_sent(shop: str, visit: Visit) -> None:
    """The other settings have their value and its source."""
    page = visit(shop)
    page.locator("#head-settings").scroll_into_view_if_needed()
    with page.expect_response(re.compile("/settings$")) as answered:
        page.locator("#head-settings").click()

    row = page.locator("#settings tr", has_text="carrier.password")
    expect(row.locator("td")).to_have_text(["••••••", "option carrier.password"])
    expect(page.locator("#settings tr", has_text="shop.orders_per_second").locator("td").first).to_have_text("400")
    assert PASSWORD not in answered.value.text()
    assert PASSWORD not in page.content()


def test_the_log_is_filtered_and_paused(shop: str, visit: Visit) -> None:
    """A pause keeps the lines that follow, and shows how many there are."""
    page = visit(shop, "log")
    lines = page.locator("#log .lines li")
    expect(lines.filter(has_text="orders;").first).to_contain_text(HOSTILE)

    page.get_by_label("Lowest level").select_option("warning")
    expect(lines.filter(has_text="begins again")).to_have_count(0)
    page.get_by_label("Lowest level").select_option("all levels")
    page.get_by_label("Filter the log").fill("orders; <IMG")
    expect(lines.filter(has_not_text="orders;")).to_have_count(0)
    page.get_by_label("Filter the log").fill("")

    page.get_by_role("button", name="Pause").click()
    shown = lines.count()
    expect(page.locator("#log .found")).to_have_text(re.compile(r", [1-9]\d* more since the pause$"))
    assert lines.count() == shown
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#log .found")).to_have_text(re.compile(r"lines$"))
    assert lines.count() > shown
