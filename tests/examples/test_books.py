"""The bookshop in `examples/books`: with a real database, a wholesaler over HTTP, and the FastAPI application."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from examples.books.catalogue import Catalogue
from examples.books.catalogue.prices import Prices
from examples.books.infra import Infra, Table
from examples.books.notices import Notices
from examples.books.notices.postman import Mail, Postman
from examples.books.orders import Orders
from examples.books.site import Bookshop, Site, web
from examples.books.wholesaler import Wholesaler
from httpx2 import Client
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from starlette.testclient import TestClient
from tests.doubles import LIMIT, ThreadCall
from tests.processes import free_port

from typedbus import Component, Scoped, State, running
from typedbus.hosting.asgi import Hosted
from typedbus.pytest_plugin import RunningFixture, ScopeFixture
from typedbus.settings import Sources, load

pytestmark = pytest.mark.slow
Shop = TypeVar("Shop", bound=Bookshop)

EMMA, ULYSSES = "9780141439587", "9780141182803"
#: A database to use in place of SQLite, such as postgresql+asyncpg://user@localhost/books; its tables are dropped.
OTHER_DATABASE = os.environ.get("BOOKS_TEST_DATABASE", "")


@pytest.fixture(scope="module")
def wholesaler() -> Iterator[str]:
    """The address of a wholesaler."""
    with running(Wholesaler) as wholesaler:
        yield f"http://{wholesaler.server().address}"


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The URL of an empty database."""

    async def drop_tables() -> None:
        engine = create_async_engine(OTHER_DATABASE)
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.drop_all)
        await engine.dispose()

    if OTHER_DATABASE:
        asyncio.run(drop_tables())
    return OTHER_DATABASE or f"sqlite+aiosqlite:///{tmp_path}/books.sqlite3"


def configured(shop: Shop, **settings: str) -> Shop:
    """Return *shop* with these settings, and a free port."""
    options = {"bind": "127.0.0.1:0", **settings}
    load(shop, sources=Sources(options={f"books.{name}": value for name, value in options.items()}))
    return shop


@pytest.fixture
def shop(database: str, wholesaler: str) -> Bookshop:
    """A bookshop with an empty database, which has not started."""
    return configured(Bookshop(), database=database, wholesaler=wholesaler)


def client_of(shop: Bookshop) -> TestClient:
    """Return a client of the web application with *shop*."""
    return TestClient(Hosted(web, shop, scopes=True))


def fill(client: Client) -> None:
    """Put four copies of Emma and one of Ulysses on the shelf."""
    for isbn, title, copies in [(EMMA, "Emma", 4), (ULYSSES, "Ulysses", 1)]:
        assert client.put(f"/books/{isbn}", json={"title": title, "copies": copies}).status_code == 204


def order(client: Client, **copies: int) -> int:
    """Order copies of books, and return the status of the answer."""
    isbns = {"emma": EMMA, "ulysses": ULYSSES}
    body = {"email": "ada@example.org", "copies": {isbns[title]: count for title, count in copies.items()}}
    return client.post("/orders", json=body).status_code


def stock(client: Client) -> dict[str, int]:
    """Return the copies that are left of each book."""
    return {book["title"]: book["copies"] for book in client.get("/books").json()}


class Postbox(Mail):
    """Keeps the letters that the postman delivers."""

    def __init__(self) -> None:
        self.letters: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def deliver(self, recipient: str, text: str) -> None:
        self.letters.put(f"{recipient}: {text}")

    def take(self) -> str:
        """Return the next letter."""
        return self.letters.get(timeout=LIMIT)


@pytest.mark.parametrize("container", [Bookshop, Site])
def test_the_bookshop_is_wired(container: type[Bookshop]) -> None:
    """Nothing is constructed for this."""
    container().validate()


def test_an_order_is_kept_with_the_prices_of_the_wholesaler(shop: Bookshop) -> None:
    """The price comes over HTTP, and the order is in the database when the next request looks for it."""
    with client_of(shop) as client:
        fill(client)
        prices = [client.get(f"/books/{isbn}/price").json() for isbn in (EMMA, ULYSSES)]
        assert order(client, emma=2, ulysses=1) == 201

        assert client.get("/orders/1").json() == {"number": 1, "pence": 2 * prices[0] + prices[1]}
        assert stock(client) == {"Emma": 2, "Ulysses": 0}


def test_a_refused_order_is_rolled_back(shop: Bookshop) -> None:
    """The route raises an HTTPException after it has taken copies of another book."""
    with client_of(shop) as client:
        fill(client)

        assert order(client, emma=2, ulysses=2) == 409
        assert stock(client) == {"Emma": 4, "Ulysses": 1}
        assert client.get("/orders/1").status_code == 404


def test_unknown_books_and_invalid_orders_are_refused(shop: Bookshop) -> None:
    """The parameters that are injected do not disturb the validation of the others."""
    with client_of(shop) as client:
        statuses = [
            order(client, emma=1),
            order(client, emma=0),
            order(client),
            client.get(f"/books/{EMMA}/price").status_code,
            client.post("/orders", json={"email": "ada@example.org", "copies": {"../admin": 1}}).status_code,
            client.get("/books/emma/price").status_code,
            client.get(f"/orders/{2**64}").status_code,
            client.put(f"/books/{EMMA}", json={"title": "Emma"}).status_code,
        ]

    assert statuses == [404, 422, 422, 404, 422, 422, 422, 422]


def test_without_the_wholesaler_nothing_is_sold(database: str) -> None:
    """The failure of the other service is a 502."""
    shop = configured(Bookshop(), database=database, wholesaler=f"http://127.0.0.1:{free_port()}")
    with client_of(shop) as client:
        fill(client)

        assert order(client, emma=1) == 502
        assert stock(client) == {"Emma": 4, "Ulysses": 1}


@pytest.mark.skipif(bool(OTHER_DATABASE), reason="locks a file of SQLite")
def test_a_commit_that_fails_is_a_500(shop: Bookshop, database: str, wholesaler: str) -> None:
    """A reader of the file keeps the transaction from being committed; the next order succeeds."""
    # The postman reads the outbox at the start, and may delay the first writer.
    shop = configured(shop, database=f"{database}?timeout=0.3", wholesaler=wholesaler)
    with TestClient(Hosted(web, shop, scopes=True), raise_server_exceptions=False) as client:
        fill(client)
        with contextlib.closing(sqlite3.connect(database.partition(":///")[2], isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM books").fetchone()
            assert order(client, emma=1) == 500
            reader.execute("ROLLBACK")

        assert stock(client) == {"Emma": 4, "Ulysses": 1}
        assert order(client, emma=1) == 201


async def open_session_without_commit(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    """Yield a session that is closed at the end of the scope without a commit."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


def test_an_override_of_the_session_leaves_the_database_unchanged(shop: Bookshop) -> None:
    """A test may answer requests as usual, and keep none of their effects."""
    with (
        shop.override(Infra.session).by(Scoped(open_session_without_commit, Infra.engine.provided)),
        client_of(shop) as client,
    ):
        fill(client)

        assert stock(client) == {}


class FreeBooks(Prices):
    """In place of the wholesaler."""

    def __init__(self) -> None: ...

    async def price(self, isbn: str) -> int:
        return 0


def test_an_override_replaces_the_wholesaler(shop: Bookshop) -> None:
    """The packages that refer to the prices get the replacement."""
    with shop.override(Catalogue.prices).by(FreeBooks()), client_of(shop) as client:
        fill(client)
        assert order(client, emma=1) == 201

        assert client.get("/orders/1").json()["pence"] == 0


def test_letters_follow_the_commit(shop: Bookshop) -> None:
    """The customer and the buyer get letters, and a refused order causes none."""
    postbox = Postbox()
    with shop.override(Notices.mail).by(postbox), client_of(shop) as client:
        fill(client)
        assert order(client, emma=2, ulysses=2) == 409
        assert order(client, emma=2) == 201
        pence = client.get("/orders/1").json()["pence"]

        assert postbox.take() == "buyer@example.org: 2 left of Emma"
        assert postbox.take() == f"ada@example.org: your order 1 comes to {pence / 100:.2f}"
    assert postbox.letters.empty()


class FullPostbox(Postbox):
    """Takes no letter at the first attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.has_refused = threading.Event()

    async def deliver(self, recipient: str, text: str) -> None:
        if not self.has_refused.is_set():
            self.has_refused.set()
            raise OSError("the postbox is full")
        await super().deliver(recipient, text)


def test_a_letter_that_cannot_be_delivered_is_tried_again(shop: Bookshop) -> None:
    """It keeps its place in the outbox until the next letter wakes the postman."""
    postbox = FullPostbox()
    with shop.override(Notices.mail).by(postbox), client_of(shop) as client:
        fill(client)
        assert order(client, emma=1) == 201
        assert postbox.has_refused.wait(LIMIT)
        assert order(client, emma=1) == 201

        letters = [postbox.take() for _ in range(3)]
    assert [letter.split(" comes")[0] for letter in letters] == [
        "ada@example.org: your order 1",
        "buyer@example.org: 2 left of Emma",
        "ada@example.org: your order 2",
    ]


def test_a_letter_that_cannot_be_delivered_is_tried_again_after_a_pause(shop: Bookshop) -> None:
    """No other letter has to arrive."""
    postbox = FullPostbox()
    impatient = Component(Postman, Infra.bus.provided, Infra.session.async_opener, Notices.mail.provided, pause=0.01)
    with (
        shop.override(Notices.mail).by(postbox),
        shop.override(Notices.postman).by(impatient),
        client_of(shop) as client,
    ):
        fill(client)
        assert order(client, emma=1) == 201

        assert postbox.take().startswith("ada@example.org: your order 1")


class SlowPostbox(Postbox):
    """Takes a letter when the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_delivering = threading.Event()
        self.may_deliver = threading.Event()

    async def deliver(self, recipient: str, text: str) -> None:
        self.is_delivering.set()
        await asyncio.to_thread(self.may_deliver.wait, LIMIT)
        await super().deliver(recipient, text)


async def put_in_a_scope(shop: Bookshop, typedbus_scope: ScopeFixture) -> list[int]:
    """Return the number of books before and after one was put on the shelf, in a scope of the test."""
    async with typedbus_scope.on_loop(shop) as scope:
        shelf = await scope.get(Catalogue.shelf)
        before = len(await shelf.books())
        await shelf.put(EMMA, "Emma", 4)
        return [before, len(await shelf.books())]


def test_a_scope_of_a_test_leaves_the_database_unchanged(
    shop: Bookshop, typedbus_running: RunningFixture, typedbus_scope: ScopeFixture
) -> None:
    """A test of one component needs no request, and no clean-up."""
    bus = typedbus_running(shop).infra.bus()

    for _ in range(2):
        assert bus.run_on_loop(put_in_a_scope(shop, typedbus_scope)).result(LIMIT) == [0, 1]


async def place(shop: Bookshop) -> None:
    """Place an order of the last copy of Ulysses, without a web server."""
    async with shop.scope() as scope:
        shelf = await scope.get(Catalogue.shelf)
        await shelf.put(ULYSSES, "Ulysses", 1)
        desk = await scope.get(Orders.desk)
        await desk.place("ada@example.org", {ULYSSES: 1})


def test_the_stop_waits_for_the_letter_in_delivery(shop: Bookshop, typedbus_running: RunningFixture) -> None:
    """The letter is delivered once; the next one waits in the outbox for the next start."""
    postbox = SlowPostbox()
    typedbus_running.enter(shop.override(Notices.mail).by(postbox))
    bus = typedbus_running(shop).infra.bus()
    bus.run_on_loop(place(shop)).result(LIMIT)
    assert postbox.is_delivering.wait(LIMIT)

    stop = ThreadCall(bus.stop)
    bus.wait(State.STOPPING, timeout=LIMIT)
    postbox.may_deliver.set()
    stop.finished()

    assert postbox.take() == "buyer@example.org: 0 left of Ulysses"
    assert postbox.letters.empty()
    bus.start()
    assert postbox.take().startswith("ada@example.org: your order 1")


def test_no_copy_is_sold_twice(database: str, wholesaler: str, typedbus_running: RunningFixture) -> None:
    """Customers who order at the same time over HTTP do not get the same copy."""
    site = typedbus_running(configured(Site(), database=database, wholesaler=wholesaler))
    with Client(base_url=f"http://{site.server().address}", trust_env=False) as client:
        fill(client)

        with ThreadPoolExecutor(6) as customers:
            statuses = [*customers.map(lambda _: order(client, emma=1), range(6))]

        assert sorted(statuses) == [201, 201, 201, 201, 409, 409]
        assert stock(client) == {"Emma": 0, "Ulysses": 1}
