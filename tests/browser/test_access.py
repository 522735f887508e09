"""Access to the page, and attempts of foreign pages and of texts of the program to run scripts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from tests.browser.conftest import Visit
from tests.browser.texts import TOKEN

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
expect = sync_api.expect


def test_the_token_leaves_the_address_and_survives_a_reload(shop: str, visit: Visit) -> None:
    """It is in the storage of this tab and in a header; no cookie and no local storage has it."""
    page = visit(shop)
    expect(page.locator("#link")).to_have_text("live")

    assert page.url == shop
    assert page.evaluate("[document.cookie, JSON.stringify(localStorage)]") == ["", "{}"]
    assert TOKEN not in page.content()

    with page.expect_request(re.compile("snapshot")) as asked:
        page.reload()
    assert TOKEN not in asked.value.url
    assert asked.value.headers["x-typedbus-token"] == TOKEN
    expect(page.locator("#link")).to_have_text("live")


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("", "The process wants a token."),
        ("not-the-token-of-these-tests", "The process does not accept this token."),
        ("%E2%82%AC" * 16, "The token has characters that no token has."),
    ],
)
def test_without_the_token_nothing_is_shown_until_it_is_given(shop: str, visit: Visit, token: str, text: str) -> None:
    """The page asks for it once, and does not go on polling."""
    page = visit(shop, token=token)
    expect(page.locator("#refused")).to_have_text(text)
    expect(page.locator("#link")).to_have_text("no access")
    expect(page.locator("#state")).to_have_text("not connected")
    expect(page.get_by_label(text)).to_be_focused()

    page.get_by_label(text).fill(TOKEN)
    page.keyboard.press("Enter")

    expect(page.locator("#state")).to_have_text(re.compile("^STARTED"))
    expect(page.locator("#door")).to_be_hidden()


def test_a_broken_fragment_is_a_wrong_token(shop: str, visit: Visit) -> None:
    """A percent sign that begins no character does not stop the page."""
    page = visit(shop, token="%E0%A4%A")

    expect(page.locator("#link")).to_have_text("no access")


@pytest.mark.parametrize("path", ["", "main.js", "api/v1/snapshot"])
def test_a_name_that_leads_to_this_machine_gets_nothing(shop: str, visit: Visit, path: str) -> None:
    """A foreign name, for which a server answers with 127.0.0.1, is refused on every path."""
    page = visit(shop, token="")
    port = urlsplit(shop).port

    answer = page.goto(f"http://rebound.example:{port}/{path}")

    assert answer is not None
    assert answer.status == 421
    assert "Inspected" not in page.content()


def test_a_foreign_page_cannot_read(shop: str, visit: Visit) -> None:
    """The header of the token needs a preflight, which is refused, and without it nothing may be read."""
    page = visit(shop, token="")
    page.goto(shop.replace("127.0.0.1", "localhost"))

    fetched = page.evaluate(
        """async ([address, token]) => {
            const outcomes = [];
            for (const headers of [{}, {"X-Typedbus-Token": token}]) {
                try {
                    await (await fetch(address, {headers})).text();
                    outcomes.push("read");
                } catch (error) {
                    outcomes.push(error.name);
                }
            }
            return outcomes;
        }""",
        [f"{shop}api/v1/snapshot", TOKEN],
    )

    assert fetched == ["TypeError", "TypeError"]


def test_an_inline_script_and_an_inline_handler_do_not_run(shop: str, visit: Visit) -> None:
    """Markup that found its way into the page would still do nothing."""
    page = visit(shop)

    blocked = page.evaluate(
        """async () => {
            const blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const button = document.createElement("button");
            button.setAttribute("onclick", "window.ran = true");
            document.body.append(button);
            button.click();
            await new Promise((resolve) => setTimeout(resolve, 300));
            return [window.ran === undefined, ...blocked];
        }"""
    )

    assert blocked == [True, "script-src-elem", "script-src-attr"]


def test_the_page_asks_no_other_host(shop: str, visit: Visit) -> None:
    """Everything comes from the process."""
    page = visit(shop, token="")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{shop}#{TOKEN}")
    page.reload()
    expect(page.locator("#link")).to_have_text("live")

    assert len(asked) > 10
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(shop).netloc}
