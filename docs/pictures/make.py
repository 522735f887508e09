"""
``make pictures``: takes the pictures of the inspector's page, of the shop under load.

It starts the site of the shop, places orders for a minute, takes the folder of the letters away for a moment so that
there is a failure, and writes WebP files beside itself. CHROMIUM may have the path of the browser.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOKEN = "only-for-the-pictures"
SECONDS = 75.0
WIDE = {"width": 1240, "height": 880}
PHONE = {"width": 360, "height": 740}


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def shop(folder: Path, inspector: int, web: int) -> Iterator[None]:
    """Run the site of the shop with its files in *folder*, until the end of the block."""
    command = [sys.executable, "-m", "typedbus", "run", "examples.shop.site:Site", f"--inspect=127.0.0.1:{inspector}"]
    options = ["--quiet", "--config", "examples/shop/shop.toml", "--set", f"shop.bind=127.0.0.1:{web}"]
    options += ["--set", f"shop.database={folder / 'shop.sqlite3'}"]
    environment = {**os.environ, "TYPEDBUS_INSPECT_TOKEN": TOKEN}
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", web)):
                break
            if process.poll() is not None:
                raise SystemExit("the shop has ended")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def place_orders(web: int, ended: threading.Event) -> None:
    """Place the orders of the example, faster and slower by turns, until *ended* is set."""
    sys.path.insert(0, str(ROOT))
    from examples.shop.make_orders import make_orders

    lines = make_orders()[0].splitlines()
    for number in count():
        line = lines[number % len(lines)]
        with contextlib.suppress(ValueError, TypeError, KeyError):
            order = json.loads(line)
            order["number"] = int(order["number"]) + number // len(lines) * 100_000
            line = json.dumps(order).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{web}/orders", line, {"Content-Type": "application/json"}, method="POST"
        )
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request).close()
        if ended.wait(0.02 + 0.03 * (1 + math.sin(time.monotonic() / 4))):
            return


def opened(browser: Browser, address: str, sections: list[str], scheme: Any, size: Any) -> Page:
    """Return a page with *sections* unfolded."""
    page = browser.new_context(viewport=size, device_scale_factor=1.5, color_scheme=scheme).new_page()
    page.add_init_script(f"sessionStorage.setItem('typedbus-open', '{json.dumps(sections)}')")
    page.goto(f"{address}#{TOKEN}")
    return page


SHORTEN = """
    (folders) => {
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            for (const [folder, short] of folders) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, short);
        }
    }
"""


def save(page: Page, name: str, folder: Path) -> None:
    """Write the visible part of *page* as a WebP file, without the folders of this machine."""
    folders = [[f"{ROOT}/", ""], [f"{Path(os.__file__).parent}/", "python/"], [f"{folder}/", "/var/lib/shop/"]]
    page.evaluate(SHORTEN, folders)
    session = page.context.new_cdp_session(page)
    data = session.send("Page.captureScreenshot", {"format": "webp", "quality": 88})["data"]
    file = HERE / f"{name}.webp"
    file.write_bytes(base64.b64decode(data))
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


def take(browser: Browser, address: str, letters: Path) -> None:
    """Take all pictures; the pages of channels are opened first, so that they have a minute of figures."""
    pages = {
        (name, scheme): opened(browser, address, sections, scheme, PHONE if name == "phone" else WIDE)
        for scheme in ("light", "dark")
        for name, sections in (
            ("channels", ["channels", "failures"]),
            ("components", ["life", "components"]),
            ("health", ["runs", "health", "threads"]),
            ("phone", ["components", "channels"]),
            ("log", ["settings", "log"]),
        )
    }
    time.sleep(SECONDS * 0.6)
    shutil.move(letters, letters.with_name("away"))
    time.sleep(0.7)
    shutil.move(letters.with_name("away"), letters)
    time.sleep(SECONDS * 0.4)
    for (name, scheme), page in pages.items():
        page.bring_to_front()
        match name:
            case "components":
                page.locator(".components .rows .row", has_text="Site.stock").click()
                page.evaluate("scrollTo(0, 0)")
            case "channels":
                page.locator(".channels .rows .row", has_text="order_taken").click()
                page.locator("#failures summary").first.click()
                page.locator(".trace").first.wait_for()
            case "health":
                page.get_by_role("button", name="Probe now").click()
                page.locator("#threads summary").first.click()
                page.evaluate("document.querySelector('#runs').scrollIntoView()")
            case "log":
                page.evaluate("document.querySelector('#settings').scrollIntoView()")
            case _:
                pass
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)
        save(page, f"inspector-{name}-{scheme}", letters.parent)


def main() -> None:
    """Take the pictures."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    inspector, web = free_port(), free_port()
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as folder, shop(Path(folder), inspector, web), sync_playwright() as playwright:
        orders = threading.Thread(target=place_orders, args=[web, ended])
        orders.start()
        try:
            browser = playwright.chromium.launch(executable_path=path, args=options)
            take(browser, f"http://127.0.0.1:{inspector}/", Path(folder, "shop.sqlite3.letters"))
            browser.close()
        finally:
            ended.set()
            orders.join()


if __name__ == "__main__":
    main()
