"""A Chromium for all tests, and the programs whose pages it opens."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tests.browser.texts import TOKEN
from tests.processes import Program, free_port, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
LIMIT = 30_000
NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Give a Chromium for which every name ends at this machine; CHROMIUM has its path, or it is one of `NAMES`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"there is no {', '.join(NAMES)}; CHROMIUM may have the path of one")
    options = ["--host-resolver-rules=MAP *.example 127.0.0.1"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")
    sync_api.expect.set_options(timeout=LIMIT)
    with sync_api.sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


#: Opens an address with the sections of these names unfolded, and options of the browser context.
Visit: TypeAlias = "Callable[..., Page]"


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """
    Give a function that opens a page.

    At the end no script of a page has raised, and no markup from a program has become an element.
    """
    pages: list[Page] = []
    raised: list[object] = []
    with contextlib.ExitStack() as stack:

        def opened(address: str, *sections: str, token: str = TOKEN, **options: Any) -> Page:
            context = chromium.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(LIMIT)
            page.on("pageerror", lambda error: raised.append(error))
            if sections:
                names = ",".join(f'"{name}"' for name in sections)
                page.add_init_script(f"sessionStorage.setItem('typedbus-open', JSON.stringify([{names}]))")
            page.goto(f"{address}#{token}" if token else address)
            pages.append(page)
            return page

        yield opened

        broken = [page.evaluate("window.broken === true || document.querySelector('img') !== null") for page in pages]
    assert raised == []
    assert broken == [False] * len(pages)


def is_served(port: int) -> bool:
    """Return whether a program listens on *port*."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def program(module: str, *arguments: object, port: int) -> Iterator[Program]:
    """Run *module* with *arguments*, and give it as soon as it listens on *port*."""
    started = Program(sys.executable, "-m", module, *map(str, arguments), cwd=ROOT)
    try:
        until(lambda: is_served(port), lambda: f"no page on {port}:\n{started.output}")
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of the page of a shop under load."""
    port = free_port()
    with program("tests.browser.shop", tmp_path_factory.mktemp("shop"), f"127.0.0.1:{port}", port=port):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="session")
def many() -> Iterator[str]:
    """Give the address of the page of a container of 5,000 components."""
    port = free_port()
    with program("tests.browser.many", f"127.0.0.1:{port}", port=port) as started:
        started.reach("STARTED")
        yield f"http://127.0.0.1:{port}/"
