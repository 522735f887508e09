"""The shop on the web, in this process: real requests, over WSGI on cheroot and over ASGI on uvicorn."""

import contextlib
import http.client
import json
import mailbox
import socket
import sqlite3
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from queue import SimpleQueue

import pytest
from examples.shop.channels import order_refused, order_taken, stock_low
from examples.shop.database import Database
from examples.shop.front import LONGEST
from examples.shop.orders import Order, Receipt, Refused
from examples.shop.purchasing import Restocking
from examples.shop.settings import Product, Settings
from examples.shop.site import Hall, Site

from typedbus import LOG, Component, Container
from typedbus.plugins.health import READY, Check
from typedbus.pytest_plugin import RunningFixture
from typedbus.servers.asgi import ASGIServer
from typedbus.testing import Recorder

TEA = Product("TEA", "Tea & more", price=500, stock=90, reorder_level=5)
CUP = Product("CUP", "<b>Cup</b>", price=1150, stock=3, reorder_level=2)
JSON = {"Content-Type": "application/json"}


class AsyncSite(Hall):
    """The site with the ASGI server."""

    server = Component(ASGIServer, Hall.bus.provided, Hall.asgi.provided, bind=Hall.settings.provided.bind)


SITES = [Site, AsyncSite]


class Shop:
    """A running site, with the requests of its customers."""

    def __init__(self, site: Site | AsyncSite, folder: Path) -> None:
        self.site = site
        self.folder = folder

    @property
    def address(self) -> tuple[str, int]:
        """The address of the server."""
        host, port = self.site.server().address.rsplit(":", 1)
        return host, int(port)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, "http.client.HTTPMessage", bytes]:
        """Return status, headers and body of the answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})  # type: ignore[arg-type]  # anything may be sent
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def order(self, body: object) -> tuple[int, dict[str, object]]:
        """Return status and body of the answer to an order."""
        status, _, answer = self.ask("POST", "/orders", body, JSON)
        return status, json.loads(answer)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what *query* finds in the books."""
        with contextlib.closing(sqlite3.connect(self.folder / "books")) as books:
            return books.execute(query).fetchall()


@pytest.fixture(params=SITES)
def shop(request: pytest.FixtureRequest, tmp_path: Path, typedbus_running: RunningFixture) -> Shop:
    """Return a running site with its books in a separate folder."""
    site: Site | AsyncSite = request.param()
    return opened(site, tmp_path, typedbus_running)


def opened(site: Site | AsyncSite, folder: Path, typedbus_running: RunningFixture) -> Shop:
    """Run *site* for the duration of a test; its runs have begun."""
    settings = Settings(folder / "books", (TEA, CUP), bind="127.0.0.1:0")
    typedbus_running.enter(site.override(Hall.settings).by(settings))
    begun = threading.Semaphore(0)

    def note(message: str, level: int) -> None:
        if message.startswith("run ") and message.endswith(" begins"):
            begun.release()

    # After the listener of the site, whose lines the page shows.
    site.bus()[LOG].subscribe(note, priority=100)
    shop = Shop(typedbus_running(site), folder)
    for _ in site.bus().runs:
        assert begun.acquire(timeout=60)
    return shop


def order(number: int, /, *pieces: tuple[str, int], **changed: object) -> bytes:
    """Return an order as a customer sends it."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in pieces or [("TEA", 1)]]
    fields = {"number": number, "customer": "Zoë", "email": "zoe@example.org", "date": "2025-03-31", "lines": lines}
    return json.dumps({**fields, **changed}).encode()


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_valid(site: type[Container]) -> None:
    """Before components are built."""
    site().validate()


def test_an_order_is_answered_with_its_receipt(shop: Shop) -> None:
    """It is in the books by then, and all listeners have been called."""
    with Recorder(shop.site.bus()[order_taken]) as taken:
        status, receipt = shop.order(order(7, ("TEA", 2), ("CUP", 1)))

    assert (status, receipt) == (201, {"order": 7, "invoice": 1, "total": 2150})
    assert shop.rows("SELECT number, customer, source_line FROM orders") == [(7, "Zoë", 0)]
    assert shop.rows("SELECT sku, level FROM products") == [("TEA", 88), ("CUP", 2)]
    assert [call.args[1] for call in taken.calls] == [Receipt(7, 1, 2150)]


def test_an_order_can_be_repeated_after_a_lost_answer(shop: Shop) -> None:
    """The same text is the same order: it is booked once, and has one receipt."""
    first = shop.order(order(7))
    again = shop.order(order(7))

    assert (first[0], again[0], first[1]) == (201, 200, again[1])
    assert shop.rows("SELECT level FROM products WHERE sku = 'TEA'") == [(89,)]


@pytest.mark.parametrize(
    ("body", "status", "title"),
    [
        (b"", 400, "empty line"),
        (b'{"number"', 400, "broken JSON"),
        (b'{"customer": "Zo\xeb"}', 400, "not UTF-8"),
        (b"[]", 422, "wrong type"),
        (b"{}", 422, "missing field"),
        (order(0), 422, "bad number"),
        (order(1, email="\r\nBcc: a@b.c"), 422, "bad address"),
        (order(1, ("MUG", 1)), 422, "unknown SKU"),
        (order(1, ("TEA", 0)), 422, "bad quantity"),
        (order(1, ("CUP", 2), ("CUP", 2)), 409, "out of stock"),
        (order(9, ("TEA", 2)), 409, "duplicate order number"),
        (b"[" * LONGEST, 400, "broken JSON"),
        (b"[" * (LONGEST + 1), 413, "too long"),
        (b" " * 300_000 + order(1), 413, "too long"),
    ],
)
def test_an_invalid_order_is_refused_with_the_reason(shop: Shop, body: bytes, status: int, title: str) -> None:
    """With a status, a title and a sentence; the books are unchanged."""
    shop.order(order(9))

    answered, problem = shop.order(body)

    assert (answered, problem["status"], problem["title"]) == (status, status, title)
    assert isinstance(problem["detail"], str)
    assert shop.rows("SELECT number FROM orders") == [(9,)]
    assert shop.rows("SELECT sum(level) FROM products") == [(92,)]


def test_a_refused_order_is_published_on_the_bus(shop: Shop) -> None:
    """With the line number 0, because it comes from no file."""
    with Recorder(shop.site.bus()[order_refused]) as refused:
        shop.order(order(1, ("MUG", 1)))

    (call,) = refused.calls
    line, why = call.args
    assert (line, isinstance(why, Refused), str(why)) == (0, True, "unknown SKU: there is no 'MUG'")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "title", "allowed"),
    [
        ("GET", "/orders", {}, 405, "wrong method", "POST"),
        ("POST", "/", JSON, 405, "wrong method", "GET, HEAD"),
        ("DELETE", "/", {}, 405, "wrong method", "GET, HEAD"),
        ("GET", "/none", {}, 404, "no such page", None),
        ("POST", "/orders", {}, 415, "no JSON", None),
        ("POST", "/orders", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "no JSON", None),
    ],
)
def test_an_unknown_path_or_method_is_answered_with_the_allowed_methods(
    shop: Shop, method: str, path: str, headers: dict[str, str], status: int, title: str, allowed: str | None
) -> None:
    """In the same form as other refusals."""
    answered, answer_headers, body = shop.ask(method, path, order(1) if method == "POST" else None, headers)

    assert (answered, json.loads(body)["title"], answer_headers["Allow"]) == (status, title, allowed)
    assert answer_headers["Content-Type"] == "application/problem+json"
    assert shop.rows("SELECT * FROM orders") == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_content_type_of_json_may_have_parameters(shop: Shop, kind: str) -> None:
    """Upper and lower case are equal."""
    assert shop.ask("POST", "/orders", order(1), {"Content-Type": kind})[0] == 201


def test_an_order_can_be_sent_in_chunks(shop: Shop) -> None:
    """Without a Content-Length."""
    body = order(1)

    status, _, _ = shop.ask("POST", "/orders", iter([body[:20], body[20:]]), JSON)

    assert status == 201
    assert shop.rows("SELECT number FROM orders") == [(1,)]


def test_an_incomplete_request_orders_nothing(shop: Shop) -> None:
    """The next request is answered."""
    body = order(1)
    head = f"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    with socket.create_connection(shop.address) as client:
        client.sendall(head.encode() + body[:-1])
    status, _ = shop.order(order(2))

    assert status == 201
    assert shop.rows("SELECT number FROM orders") == [(2,)]


def test_no_item_is_sold_twice(shop: Shop) -> None:
    """Concurrent orders succeed as often as there are items."""
    answers: list[int] = []
    together = threading.Barrier(8)

    def buy(number: int) -> None:
        together.wait(30)
        answers.append(shop.order(order(number, ("CUP", 1)))[0])

    clients = [threading.Thread(target=buy, args=(number,)) for number in range(1, 9)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert sorted(answers) == [201] * 3 + [409] * 5
    assert shop.rows("SELECT level FROM products WHERE sku = 'CUP'") == [(0,)]
    assert shop.rows("SELECT number FROM invoices ORDER BY number") == [(1,), (2,), (3,)]
    assert len(list(mailbox.Maildir(shop.folder / "books.letters", create=False))) == 3


def test_an_order_is_kept_if_its_letter_fails(shop: Shop) -> None:
    """The answer is 500, and a repeated order has the receipt."""

    def fail(order: Order, receipt: Receipt, /) -> None:
        raise OSError("no paper")

    connection = http.client.HTTPConnection(*shop.address, timeout=30)
    with shop.site.bus()[order_taken].subscribe(fail), contextlib.closing(connection):
        connection.request("POST", "/orders", order(1), JSON)
        failed = connection.getresponse().status
    again = shop.order(order(1))

    assert (failed, again) == (500, (200, {"order": 1, "invoice": 1, "total": 500}))


@pytest.mark.parametrize("kind", SITES)
def test_locked_books_are_answered_with_503(
    kind: type[Site] | type[AsyncSite], tmp_path: Path, typedbus_running: RunningFixture
) -> None:
    """After a time limit; the order is not booked, and the page is available."""
    site = kind()
    impatient = Component(Database, Hall.settings.provided.database, patience=0.01)
    typedbus_running.enter(site.override(Hall.database).by(impatient))
    shop = opened(site, tmp_path, typedbus_running)
    with contextlib.closing(sqlite3.connect(tmp_path / "books", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        status, headers, body = shop.ask("POST", "/orders", order(1), JSON)

        assert (status, headers["Retry-After"], json.loads(body)["title"]) == (503, "1", "busy")
        assert shop.ask("GET", "/")[0] == 200
        other.execute("ROLLBACK")
    assert shop.order(order(1))[0] == 201


def test_the_shop_answers_health_probes(shop: Shop) -> None:
    """With `Health`, which checks the books."""
    shop.order(order(1))

    alive, ready = shop.ask("GET", "/livez"), shop.ask("GET", "/readyz")

    assert (alive[0], ready[0]) == (200, 200)
    check, *runs = json.loads(ready[2])["checks"]
    assert (check["ok"], check["detail"]) == (True, "orders in the books: 1")
    assert all(run["ok"] for run in runs)


class Page(HTMLParser):
    """A parsed page: the text of its cells by ID, and its links."""

    VOID = ("meta", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.meters: list[dict[str, str | None]] = []
        self.elsewhere: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        self.elsewhere += [(name, value) for name, value in attrs if name in ("src", "href", "action")]
        if tag == "meter":
            self.meters.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)
            self.ids.append(dict(attrs).get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        assert self.open.pop() == tag
        self.ids.pop()

    def handle_data(self, data: str) -> None:
        """Store a text."""
        within = next((name for name in reversed(self.ids) if name), "")
        if data.strip():
            self.texts.setdefault(within, []).append(data)


@pytest.fixture
def page(shop: Shop) -> Iterator[Page]:
    """Return the page of a shop that booked two orders and refused one."""
    shop.order(order(41, ("TEA", 2), ("CUP", 1)))
    shop.order(order(42, ("CUP", 1)))
    shop.order(order(43, ("CUP", 9)))
    status, headers, body = shop.ask("GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    yield Page(body.decode())


def test_the_page_shows_the_sales(page: Page) -> None:
    """Orders and revenue of the shop, and the share of this process."""
    texts = page.texts

    assert (texts["orders"], texts["turnover"], texts["taken"], texts["refused"]) == (["2"], ["33.00"], ["2"], ["1"])
    assert texts["last"][4:] == ["42", "2025-03-31", "1", "11.50", "41", "2025-03-31", "3", "21.50"]


def test_the_page_shows_the_stock(page: Page) -> None:
    """With the low items; names are escaped."""
    assert page.texts["stock"][5:] == [
        *("<b>Cup</b>", "CUP", "11.50", "1", "low, reordered"),
        *("Tea & more", "TEA", "5.00", "88"),
    ]
    assert page.meters == [{"max": "3", "low": "2", "value": "1"}, {"max": "90", "low": "5", "value": "88"}]


def test_the_page_shows_the_bus(page: Page) -> None:
    """Its state, the health checks, the listeners and the last events."""
    names = [text for listening in page.texts["listeners"] for text in listening.split("\n")]

    assert page.texts["health"] == ["STARTED, ready"]
    assert page.texts["checks"][1:3] == ["well", "orders in the books: 2"]
    assert [name.partition(".")[2] or name for name in names] == [
        *("order_placed", "invoicing.invoice"),
        *("order_taken", "invoicing.write", "daybook.take", "stock.look"),
        *("order_refused", "daybook.refuse"),
        *("stock_low", "purchasing.reorder"),
        *("offer_wanted", "camellia.offer", "teahouse.offer"),
    ]
    lines = [line[10:] for line in page.texts["lines"][0].split("\n")]
    assert lines[0] == "1 of CUP left; reordered from teahouse at 1.52"
    assert "the bus is STARTED" in lines


def test_the_page_shows_failed_health_checks(shop: Shop) -> None:
    """With the reason, and that the site is not ready."""
    with shop.site.bus()[READY].subscribe(lambda: Check(is_ok=False, detail="<no paper>")):
        texts = Page(shop.ask("GET", "/")[2].decode()).texts

    assert texts["health"] == ["STARTED, not ready"]
    checks = texts["checks"]
    assert checks[checks.index("not well") + 1] == "<no paper>"


def test_the_page_is_well_formed_and_has_no_personal_data(shop: Shop, page: Page) -> None:
    """Every element is closed, no resource is loaded from elsewhere, and no name or address of a customer is in it."""
    _, headers, body = shop.ask("GET", "/")

    assert page.open == []
    assert page.elsewhere == []
    assert headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "Zo" not in body.decode()
    assert "zoe@" not in body.decode()


def test_the_example_order_of_the_page_is_valid(shop: Shop, page: Page) -> None:
    """Without a change."""
    (example,) = (text for texts in page.texts.values() for text in texts if text.startswith("POST /orders"))

    status, receipt = shop.order(example[example.index("{") :].encode())

    assert (status, receipt["order"]) == (201, 43)


def test_a_shop_without_items_has_a_page(tmp_path: Path, typedbus_running: RunningFixture) -> None:
    """With empty tables."""
    site = Site()
    settings = Settings(tmp_path / "books", (), bind="127.0.0.1:0")
    typedbus_running.enter(site.override(Hall.settings).by(settings))

    status, _, body = Shop(typedbus_running(site), tmp_path).ask("GET", "/")

    assert (status, Page(body.decode()).texts["orders"]) == (200, ["0"])


def test_a_head_request_has_the_headers_of_the_page(shop: Shop) -> None:
    """Without the body."""
    status, headers, body = shop.ask("HEAD", "/")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


def test_the_page_shows_the_last_events(shop: Shop) -> None:
    """A dozen lines, the newest first."""
    for number in range(20):
        shop.site.bus()[LOG].publish(f"line <{number}>", 20)

    _, _, body = shop.ask("GET", "/")

    lines = Page(body.decode()).texts["lines"][0].split("\n")
    assert [line[10:] for line in lines] == [f"line <{number}>" for number in range(19, 7, -1)]


def test_a_product_that_was_not_reordered_is_looked_for_again(tmp_path: Path, typedbus_running: RunningFixture) -> None:
    """The run `restocking` publishes the product on `stock_low` until it is reordered."""
    site = Site()
    soon = Component(Restocking, Hall.database.provided, low=Hall.bus.provided[stock_low], seconds=0.01)
    typedbus_running.enter(site.override(Site.restocking).by(soon))
    shop = opened(site, tmp_path, typedbus_running)
    low = SimpleQueue[tuple[str, int]]()
    shop.order(order(1, ("CUP", 2)))
    with shop.site.bus()[stock_low].subscribe(lambda *product: low.put(product)):
        with contextlib.closing(sqlite3.connect(tmp_path / "books")) as books, books:
            books.execute("DELETE FROM reorders")
        product = low.get(timeout=30)

    assert product == ("CUP", 1)
    assert shop.site.bus().runs["Site.restocking"].restarts == 0
