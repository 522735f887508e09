"""The shop as a web site in production: under load, through reloads and stops, in one process and in several."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples.shop.settings import SHOP_TOML
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tests.processes import Program, free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")]

STANDALONE = [
    "typedbus",
    "run",
    "examples.shop.site:Site",
    "--pidfile",
    "site.pid",
    "--set",
    "shop.bind=127.0.0.1:{port}",
]
GUNICORN = ["gunicorn", "-c", "python:typedbus.hosting.gunicorn", "--no-control-socket", "--workers", "2"]
GUNICORN += ["--bind", "127.0.0.1:{port}", "examples.shop.hosted:application"]
# A new worker that is not ready within 5 seconds, the default, would end the reload.
UVICORN = ["uvicorn", "--workers", "2", "--timeout-worker-healthcheck", "60"]
UVICORN += ["--port", "{port}", "examples.shop.hosted:app"]
DISAGREEMENTS = """
SELECT number FROM orders WHERE number NOT IN (SELECT order_number FROM invoices);
SELECT number FROM invoices WHERE number > (SELECT count(*) FROM invoices);
SELECT sku FROM products WHERE level <> initial -
    (SELECT coalesce(sum(quantity), 0) FROM order_lines WHERE order_lines.sku = products.sku)
"""


class Server(Program):
    """A shop in separate processes, with its database in the folder of the test."""

    def __init__(self, folder: Path, *command: str, cwd: Path = ROOT, omitted: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.customers: list[Customers] = []
        settings = folder / "shop.toml"
        # More than any machine sells in this test.
        text = SHOP_TOML.read_text(encoding="utf-8").replace("stock = 1650", "stock = 900000000")
        settings.write_text(text.replace(omitted, "") if omitted else text, encoding="utf-8")
        super().__init__(
            sys.executable,
            "-m",
            *(part.format(port=self.port) for part in command),
            cwd=folder if cwd is ROOT else cwd,
            env={**os.environ, "TYPEDBUS_CONFIG": str(settings), "PYTHONPATH": str(cwd)},
        )

    def begin_customers(self) -> "Customers":
        """Return customers that order from now on; `kill` ends them as well."""
        self.customers.append(Customers(self))
        return self.customers[-1]

    def kill(self) -> None:
        """Kill the remaining processes, and end the customers."""
        super().kill()
        for customers in self.customers:
            customers.end()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of *query* from the database."""
        with contextlib.closing(sqlite3.connect(self.folder / "shop.sqlite3")) as books:
            return books.execute(query).fetchall()


class Customers:
    """Threads that each place one order after the other, with different numbers, and repeat orders without an answer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.over = threading.Event()
        self.changed = threading.Condition()
        self.receipts: dict[int, object] = {}
        self.statuses: set[int] = set()
        self.threads = [threading.Thread(target=self.buy, args=(number,)) for number in range(1, 4)]
        for thread in self.threads:
            thread.start()

    def buy(self, number: int) -> None:
        """Order until `end`."""
        while not self.over.is_set():
            order = {"number": number, "customer": "Ada", "email": "ada@example.org", "date": "2025-03-31"}
            receipt = self.order(json.dumps({**order, "lines": [{"sku": "TEA-ASSAM", "quantity": 1}]}))
            if receipt is None:
                continue
            with self.changed:
                self.receipts[number] = receipt
                self.changed.notify_all()
            number += 3

    def order(self, body: str) -> object:
        """Return the receipt, or None if there was no answer, or a status that asks to repeat the order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            receipt = response.read()
        except (OSError, http.client.HTTPException):
            # No server listens at the moment, or it was killed before its answer: the order may be in the books, or not.
            self.over.wait(0.01)
            return None
        finally:
            connection.close()
        self.statuses.add(response.status)
        return json.loads(receipt) if response.status in (200, 201) else None

    def reach(self, more: int) -> None:
        """Return when *more* further orders have been answered."""
        with self.changed:
            enough = len(self.receipts) + more
            assert self.changed.wait_for(lambda: len(self.receipts) >= enough, 60), self.server.output

    def end(self) -> None:
        """Stop ordering, and wait for the last answers."""
        self.over.set()
        for thread in self.threads:
            thread.join(60)


Begin = Callable[..., Server]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start servers; their processes and customers end with the test, even if it fails."""
    with contextlib.ExitStack() as servers:

        def begin_server(*command: str, cwd: Path = ROOT, omitted: str = "") -> Server:
            server = Server(tmp_path, *command, cwd=cwd, omitted=omitted)
            servers.callback(server.kill)
            return server

        yield begin_server


def samples_in(text: str) -> list[Sample]:
    """Return the samples in the answer to a scrape."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def check_books(server: Server, customers: Customers) -> None:
    """Check that every receipt is in the books, and that the tables agree with each other."""
    books = {
        order: {"order": order, "invoice": invoice, "total": total}
        for invoice, order, total in server.rows("SELECT number, order_number, total FROM invoices")
    }
    assert {number: books.get(number) for number in customers.receipts} == customers.receipts
    # Each customer may have lost one answer at the end.
    assert len(books) - len(customers.receipts) <= len(customers.threads)
    assert [row for query in DISAGREEMENTS.split(";") for row in server.rows(query)] == []
    assert len(list((server.folder / "shop.sqlite3.letters" / "new").iterdir())) == len(books)


def test_a_standalone_site_loses_no_order_when_it_ends(begin: Begin) -> None:
    """Every order that was answered is in the books, and process and PID file are gone."""
    server = begin(*STANDALONE)
    server.reach_all("STARTED")
    customers = server.begin_customers()
    customers.reach(30)

    status = server.end(signal.SIGTERM)
    customers.end()

    assert status == 0, server.output
    assert customers.statuses == {201}
    assert not (server.folder / "site.pid").exists()
    check_books(server, customers)


def test_a_standalone_site_shows_its_metrics_and_traces(begin: Begin) -> None:
    """`/metrics` counts each order once, and stderr has a span for each order."""
    server = begin(*STANDALONE, "--set", "shop.traces=true")
    server.reach_all("STARTED")
    customers = server.begin_customers()
    customers.reach(10)
    customers.end()

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    status = server.end(signal.SIGTERM)

    orders = len(customers.receipts)
    samples = {(one.name, *one.labels.values()): one.value for one in samples_in(text)}
    assert samples["typedbus_publish_total", "order_taken"] == orders
    assert samples["typedbus_publish_duration_seconds_count", "order_taken"] == orders
    assert samples["typedbus_run_state", "Site.restocking", "RUNNING"] == 1
    assert status == 0, server.output
    assert server.output.count('"name": "POST /orders"') == orders
    assert server.output.count('"name": "start Site.database"') == 1


def test_a_site_that_is_killed_loses_no_order(begin: Begin) -> None:
    """The next process continues with the same books, and a repeated order has one receipt."""
    server = begin(*STANDALONE)
    server.reach_all("STARTED")
    customers = server.begin_customers()
    customers.reach(30)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    successor = begin(*[part.replace("{port}", str(server.port)) for part in STANDALONE])
    customers.reach(30)

    status = successor.end(signal.SIGTERM)
    customers.end()

    assert status == 0, successor.output
    assert customers.statuses <= {200, 201}
    books = {number for (number,) in server.rows("SELECT number FROM orders")}
    assert customers.receipts.keys() <= books
    assert [row for query in DISAGREEMENTS.split(";") for row in server.rows(query)] == []


@pytest.mark.exhaustive
def test_a_site_that_reloads_itself_loses_no_order(begin: Begin, tmp_path: Path) -> None:
    """An edit of the shop restarts it, in the same process, while customers order."""
    copied = tmp_path / "copy"
    shutil.copytree(ROOT / "examples", copied / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    server = begin(*STANDALONE, "--autoreload", cwd=copied)
    server.reach_all("STARTED")
    customers = server.begin_customers()
    customers.reach(30)

    with (copied / "examples" / "shop" / "front.py").open("a") as source:
        source.write("\n# edited\n")
    server.reach_all("STARTED", 2)
    customers.reach(30)
    status = server.end(signal.SIGTERM)
    customers.end()

    assert status == 0, server.output
    assert customers.statuses <= {200, 201}
    check_books(server, customers)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(GUNICORN, id="gunicorn"),
        pytest.param([*GUNICORN[:-1], "--threads", "4", GUNICORN[-1]], id="gthread", marks=pytest.mark.exhaustive),
        pytest.param([*GUNICORN[:-1], "--preload", GUNICORN[-1]], id="preload", marks=pytest.mark.exhaustive),
        pytest.param(UVICORN, id="uvicorn", marks=pytest.mark.exhaustive),
    ],
)
def test_two_workers_keep_one_set_of_books(begin: Begin, command: list[str]) -> None:
    """After a reload and an end under load, every answered order is in the books once, and no process is left."""
    server = begin(*command)
    server.reach_all("INFO shop: bus STARTED", 2)
    customers = server.begin_customers()
    customers.reach(30)

    server.child.send_signal(signal.SIGHUP)
    server.reach_all("INFO shop: bus STARTED", 4)
    customers.reach(30)
    status = server.end(signal.SIGTERM)
    customers.end()

    assert status == 0, server.output
    assert customers.statuses <= {200, 201}
    assert "Traceback" not in server.output
    check_books(server, customers)


@pytest.mark.parametrize("command", [STANDALONE, GUNICORN, UVICORN], ids=lambda command: command[0])
def test_an_order_gets_offers_on_the_event_loop_of_every_server(begin: Begin, command: list[str]) -> None:
    """Request handlers run in threads, and suppliers are asked on the loop of the host or of the bus."""
    server = begin(*command)
    customers = server.begin_customers()
    customers.reach(1)
    order = {"number": 900_000, "customer": "Ada", "email": "ada@example.org", "date": "2025-03-31"}

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        body = json.dumps({**order, "lines": [{"sku": "SIEVE", "quantity": 130}]})
        connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
        answer = connection.getresponse().status
    customers.end()
    status = server.end(signal.SIGTERM)

    assert (answer, status) == (201, 0), server.output
    assert "20 of SIEVE left; reordered from " in server.output
    assert "Traceback" not in server.output


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(STANDALONE, id="typedbus"),
        pytest.param(GUNICORN, id="gunicorn", marks=pytest.mark.exhaustive),
        # uvicorn may wait as long for the answer of a worker that has just ended.
        pytest.param([*UVICORN, "--timeout-worker-healthcheck", "1"], id="uvicorn", marks=pytest.mark.exhaustive),
    ],
)
def test_every_server_reports_wrong_settings(begin: Begin, tmp_path: Path, command: list[str]) -> None:
    """The report has file, line and key, and the server does not start."""
    server = begin(*command, omitted="price = 890")
    server.end()

    assert f"{tmp_path / 'shop.toml'}:18: shop.products[0].price is missing" in server.output
    assert "bus STARTED" not in server.output
    assert not (tmp_path / "shop.sqlite3").exists()
