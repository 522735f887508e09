"""The page by keyboard, on a small screen, in the dark, and for assistive technology."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from tests.browser.conftest import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect

ALL = "life", "components", "channels", "failures", "runs", "health", "threads", "settings", "log"

CONTRAST = """
    () => {
        const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = ([red, green, blue]) => [red, green, blue]
            .map((part) => part / 255).map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
        const ground = (element) => {
            for (let at = element; at; at = at.parentElement) {
                const colour = numbers(getComputedStyle(at).backgroundColor);
                if (colour.length === 3 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
        };
        const weak = [];
        for (const element of document.querySelectorAll("body *")) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || !element.checkVisibility() || element.closest("svg, noscript, .skip")) continue;
            const one = light(numbers(getComputedStyle(element).color)), other = light(ground(element));
            const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
            if (ratio < 4.5) weak.push(`${element.className}: ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
        }
        return [...new Set(weak)];
    }
"""


def test_360_pixels_are_enough(shop: str, visit: Visit) -> None:
    """With all sections unfolded, the page does not scroll sideways, and no table does."""
    page = visit(shop, *ALL, viewport={"width": 360, "height": 740})
    expect(page.locator("#log .lines li").first).to_be_attached()
    expect(page.locator("#settings tr").first).to_be_attached()
    expect(page.locator(".bars li").first).to_be_attached()
    page.locator("#failures summary").first.click()
    page.locator(".channels .rows .row").first.click()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.className)"
    assert page.locator(".grid, .lines, .list, .bars, .graph").evaluate_all(wide) == []
    outside = "all => all.filter(one => one.getBoundingClientRect().right > 361).map(one => one.outerHTML)"
    assert page.locator("button:visible, input:visible, select:visible").evaluate_all(outside) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(shop: str, visit: Visit, scheme: Literal["light", "dark"]) -> None:
    """Its contrast is at least 4.5 to 1, and the page follows the scheme of the system."""
    page = visit(shop, *ALL, color_scheme=scheme)
    expect(page.locator("#log .lines li").first).to_be_attached()
    expect(page.locator("#settings tr").first).to_be_attached()

    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 100) == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


def test_nothing_moves_with_reduced_motion(shop: str, visit: Visit) -> None:
    """Neither animations nor transitions."""
    page = visit(shop, reduced_motion="reduce")
    expect(page.locator("#link")).to_have_text("live")

    moving = """() => [...document.querySelectorAll("*")].flatMap((one) => ["", "::before"].map((part) => getComputedStyle(one, part)))
        .filter((style) => style.animationName !== "none" || (style.transitionProperty !== "none" && style.transitionDuration !== "0s")).length"""
    assert page.evaluate(moving) == 0


def test_a_slash_searches_and_escape_clears(shop: str, visit: Visit) -> None:
    """In the section that has the focus, otherwise among the components, which unfold."""
    page = visit(shop, "channels")
    expect(page.locator("#link")).to_have_text("live")

    page.keyboard.press("/")
    field = page.get_by_label("Search components")
    expect(field).to_be_focused()
    page.keyboard.type("desk/")
    expect(field).to_have_value("desk/")
    page.keyboard.press("Escape")
    expect(field).to_have_value("")

    page.get_by_role("treegrid", name="Channels").focus()
    page.keyboard.press("/")
    expect(page.get_by_label("Search channels")).to_be_focused()


def test_digits_unfold_sections_and_enter_folds_them(shop: str, visit: Visit) -> None:
    """The focus is on the head of the section, which shows it."""
    page = visit(shop, "none")
    expect(page.locator("#link")).to_have_text("live")

    page.keyboard.press("4")
    head = page.locator("#head-failures")
    expect(head).to_be_focused()
    expect(head).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("region", name="Failures")).to_be_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"

    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("region", name="Failures")).to_be_hidden()


def test_arrows_move_in_a_table_and_unfold_its_rows(shop: str, visit: Visit) -> None:
    """The active row is named to assistive technology, and the focus stays on the table."""
    page = visit(shop, "channels")
    table = page.get_by_role("treegrid", name="Channels")
    expect(table.locator(".row[aria-level='1']").nth(1)).to_be_visible()
    table.focus()

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    active = page.locator(f"#{table.get_attribute('aria-activedescendant')}")
    expect(active).to_have_attribute("aria-selected", "true")
    expect(active).to_have_attribute("aria-rowindex", "3")
    page.keyboard.press("ArrowRight")
    expect(active).to_have_attribute("aria-expanded", "true")
    expect(table.locator(".row[data-kind='listener']").first).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(active).to_have_attribute("aria-expanded", "false")
    expect(table).to_be_focused()


def test_the_drawing_is_used_by_keyboard(shop: str, visit: Visit) -> None:
    """Its boxes are buttons; the focus stays with the component that is shown next."""
    page = visit(shop, "components", viewport={"width": 1400, "height": 900})
    page.get_by_label("Search components").fill("invoicing")
    page.locator(".components .rows .row:visible").first.click()

    page.get_by_role("button", name=re.compile("^Inspected.database")).focus()
    page.keyboard.press("Enter")

    expect(page.locator(".detail h3")).to_have_text("Inspected.database")
    expect(page.locator(".detail h3")).to_be_focused()


def test_everything_that_can_be_pressed_has_a_name(shop: str, visit: Visit) -> None:
    """Buttons, fields, tables and regions are announced with a name of their own."""
    page = visit(shop, *ALL)
    expect(page.locator("#log .lines li").first).to_be_attached()

    snapshot = page.locator("body").aria_snapshot()

    nameless = [
        line
        for line in snapshot.splitlines()
        if re.search(r"- (button|searchbox|combobox|grid|treegrid|region|log|navigation):?$", line)
    ]
    assert nameless == []
    assert page.evaluate(
        "[...document.querySelectorAll('[id]')].length === new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size"
    )


def test_an_update_leaves_the_drawing_and_the_focus_alone(shop: str, visit: Visit) -> None:
    """Runs of neighbours that change each second do not take the focus from a box."""
    page = visit(shop, "components", viewport={"width": 1400, "height": 900})
    page.get_by_label("Search components").fill("database")
    page.locator(".components .rows .row:visible").first.click()
    box = page.get_by_role("button", name=re.compile("^Inspected.restocking"))
    box.focus()

    for _ in range(3):
        with page.expect_response(re.compile("snapshot")):
            pass

    expect(box).to_be_focused()
