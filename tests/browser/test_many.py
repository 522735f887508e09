"""5,000 components and 500 channels on the page."""

from __future__ import annotations

import re

import pytest
from tests.browser.conftest import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect

TYPE = """
    (text) => {
        const field = document.querySelector("#components .search");
        const took = [];
        for (let length = 1; length <= text.length; length++) {
            field.value = text.slice(0, length);
            const began = performance.now();
            field.dispatchEvent(new Event("input"));
            document.body.offsetHeight;
            took.push(performance.now() - began);
        }
        return took;
    }
"""


def test_each_key_of_a_search_takes_a_frame(many: str, visit: Visit) -> None:
    """The median is less than 16 ms, with the layout; a few dozen rows are elements."""
    page = visit(many, "components")
    expect(page.locator("#components .found")).to_have_text("5,004 components")

    took = page.evaluate(TYPE, "part_49")

    expect(page.locator("#components .found")).to_have_text("100 of 5,004")
    assert sorted(took)[len(took) // 2] < 16, took
    assert page.locator(".components .row").count() < 60


def test_the_table_scrolls_to_its_last_row(many: str, visit: Visit) -> None:
    """End and Home reach both ends; the rows have their numbers for assistive technology."""
    page = visit(many, "components")
    table = page.get_by_role("grid", name="Components")
    expect(table).to_have_attribute("aria-rowcount", "5005")

    table.press("End")
    last = page.locator(".components .row", has_text="Many.part_4999")
    expect(last).to_be_in_viewport()
    expect(last).to_have_attribute("aria-rowindex", "5005")
    expect(page.locator(".detail h3")).to_have_text("Many.part_4999")

    table.press("Home")
    expect(page.locator(".components .rows .row[aria-rowindex='2']")).to_be_in_viewport()


def test_a_component_that_all_others_need_shows_some_and_leads_to_the_rest(many: str, visit: Visit) -> None:
    """The rest is a search, which gives all of them."""
    page = visit(many, "components")
    page.get_by_label("Search components").fill("many.root")
    page.locator(".components .rows .row:visible").first.click()

    expect(page.locator(".graph .node")).to_have_count(10)
    page.get_by_role("button", name="and 4,992 more").click()

    expect(page.get_by_label("Search components")).to_have_value("needs:Many.root")
    expect(page.locator("#components .found")).to_have_text("5,000 of 5,004")


def test_a_sorted_table_begins_with_the_slowest(many: str, visit: Visit) -> None:
    """A second click turns the order around; what has no value is last both times."""
    page = visit(many, "components", viewport={"width": 1400, "height": 900})
    heading = page.get_by_role("columnheader", name="Start ms")
    cells = page.locator(".components .rows .row .cell:nth-child(4)")

    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    first, second = (float(cells.nth(number).inner_text()) for number in range(2))
    assert first >= second > 0
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert float(cells.nth(0).inner_text()) <= second


def test_500_channels_are_searched_and_unfolded(many: str, visit: Visit) -> None:
    """A few dozen are elements."""
    page = visit(many, "channels")
    expect(page.locator("#channels .found")).to_have_text("500 channels")
    assert page.locator(".channels .row").count() < 60

    page.get_by_label("Search channels").fill("channel_499")
    page.locator(".channels .rows .row:visible").first.click()

    expect(page.locator(".channels .row[data-kind='listener']")).to_have_text(re.compile("^1. "))


def test_the_last_start_shows_the_slowest_of_all(many: str, visit: Visit) -> None:
    """And the lanes have the others, joined where they would be thinner than a dot."""
    page = visit(many, "life")

    expect(page.locator(".start .hint").last).to_have_text(re.compile("the lanes have all 5,00"))
    assert page.locator(".bars li").count() < 80
    assert page.locator(".lanes rect").count() < 2500
