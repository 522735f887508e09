"""The shop on the web, as its deployers run it: under load, through reloads and ends, in one process and in several."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples.shop.settings import SHOP_TOML

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")]

BY_ITSELF = [
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
UVICORN = ["uvicorn", "--workers", "2", "--port", "{port}", "examples.shop.hosted:app"]
DISAGREEMENTS = """
SELECT number FROM orders WHERE number NOT IN (SELECT order_number FROM invoices);
SELECT number FROM invoices WHERE number > (SELECT count(*) FROM invoices);
SELECT sku FROM products WHERE level <> initial -
    (SELECT coalesce(sum(quantity), 0) FROM order_lines WHERE order_lines.sku = products.sku)
"""


class Server:
    """A shop in processes of its own, with its books in a folder of the test."""

    def __init__(self, folder: Path, *command: str, cwd: Path = ROOT, wrong: str = "") -> None:
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        settings = folder / "shop.toml"
        # Enough for any machine.
        text = SHOP_TOML.read_text(encoding="utf-8").replace("stock = 1650", "stock = 900000000")
        settings.write_text(text.replace(wrong, "") if wrong else text, encoding="utf-8")
        environment = {**os.environ, "TYPEDBUS_CONFIG": str(settings), "PYTHONPATH": str(cwd)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=self.port) for part in command)],
            cwd=folder if cwd is ROOT else cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        """Keep what it says."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def reach(self, text: str, times: int = 1) -> None:
        """Return when *text* was said so many times."""

        def is_said() -> bool:
            return sum(text in line for line in self.lines) >= times

        with self.changed:
            assert self.changed.wait_for(lambda: is_said() or self.process.poll() is not None, 60), self.output
            assert is_said(), self.output

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and return the status when nobody holds the output any more: no process is left."""
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.reader.join(60)
        assert not self.reader.is_alive(), f"a process is left:\n{self.output}"
        return status

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what *query* finds in the books."""
        with contextlib.closing(sqlite3.connect(self.folder / "shop.sqlite3")) as books:
            return books.execute(query).fetchall()

    @property
    def output(self) -> str:
        """All that it said so far."""
        return "\n".join(self.lines)


class Customers:
    """Who order one piece after the other, each under a number of its own, and ask again where no answer came."""

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
        """Order until it is over."""
        while not self.over.is_set():
            said = {"number": number, "customer": "Ada", "email": "ada@example.org", "date": "2025-03-31"}
            answer = self.ask(json.dumps({**said, "lines": [{"sku": "TEA-ASSAM", "quantity": 1}]}))
            if answer is None:
                continue
            with self.changed:
                self.receipts[number] = answer
                self.changed.notify_all()
            number += 3

    def ask(self, body: str) -> object:
        """Return the receipt, or nothing if no answer came, or one that says to come again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
        except (OSError, http.client.HTTPException):
            # Nobody is there for the moment, or whoever was had no time left: it may be in the books, or not.
            self.over.wait(0.01)
            return None
        finally:
            connection.close()
        self.statuses.add(response.status)
        return json.loads(said) if response.status in (200, 201) else None

    def reach(self, more: int) -> None:
        """Return when so many more orders were taken."""
        with self.changed:
            enough = len(self.receipts) + more
            assert self.changed.wait_for(lambda: len(self.receipts) >= enough, 60), self.server.output

    def end(self) -> None:
        """Let the last answers come."""
        self.over.set()
        for thread in self.threads:
            thread.join(60)


Begin = Callable[..., Server]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin servers; none of their processes outlives the test."""
    servers: list[Server] = []

    def begin_server(*command: str, cwd: Path = ROOT, wrong: str = "") -> Server:
        servers.append(Server(tmp_path, *command, cwd=cwd, wrong=wrong))
        return servers[-1]

    yield begin_server
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.reader.join()
        assert server.process.stdout is not None
        server.process.stdout.close()


def check_books(server: Server, customers: Customers) -> None:
    """Hold the books against the receipts: every one is in them, and they agree with themselves."""
    books = {
        order: {"order": order, "invoice": invoice, "total": total}
        for invoice, order, total in server.rows("SELECT number, order_number, total FROM invoices")
    }
    assert {number: books.get(number) for number in customers.receipts} == customers.receipts
    # Each of the customers may have lost one answer at the end.
    assert len(books) - len(customers.receipts) <= len(customers.threads)
    assert [found for query in DISAGREEMENTS.split(";") for found in server.rows(query)] == []
    assert len(list((server.folder / "shop.sqlite3.letters" / "new").iterdir())) == len(books)


def test_a_site_by_itself_loses_no_order_when_it_ends(begin: Begin) -> None:
    """Every order that was answered is in the books, and process and PID file are gone."""
    server = begin(*BY_ITSELF)
    server.reach("STARTED")
    customers = Customers(server)
    customers.reach(30)

    status = server.end()
    customers.end()

    assert status == 0, server.output
    assert customers.statuses == {201}
    assert not (server.folder / "site.pid").exists()
    check_books(server, customers)


def test_a_site_that_is_killed_loses_no_order(begin: Begin) -> None:
    """The next one goes on with the same books, and whoever heard no answer has one receipt."""
    server = begin(*BY_ITSELF)
    server.reach("STARTED")
    customers = Customers(server)
    customers.reach(30)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    next_one = begin(*[part.replace("{port}", str(server.port)) for part in BY_ITSELF])
    customers.reach(30)

    status = next_one.end()
    customers.end()

    assert status == 0, next_one.output
    assert customers.statuses <= {200, 201}
    books = {number for (number,) in server.rows("SELECT number FROM orders")}
    assert customers.receipts.keys() <= books
    assert [found for query in DISAGREEMENTS.split(";") for found in server.rows(query)] == []


def test_a_site_that_reloads_itself_loses_no_order(begin: Begin, tmp_path: Path) -> None:
    """Whoever edits the shop has it started anew, in the same process, while customers go on."""
    copied = tmp_path / "copy"
    shutil.copytree(ROOT / "examples", copied / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    server = begin(*BY_ITSELF, "--autoreload", cwd=copied)
    server.reach("STARTED")
    customers = Customers(server)
    customers.reach(30)

    with (copied / "examples" / "shop" / "front.py").open("a") as edited:
        edited.write("\n# edited\n")
    server.reach("STARTED", 2)
    customers.reach(30)
    status = server.end()
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
        pytest.param(UVICORN, id="uvicorn"),
    ],
)
def test_two_workers_keep_one_set_of_books(begin: Begin, command: list[str]) -> None:
    """Through a reload under load and an end under load: every order that was answered is there once, and nobody is left."""
    server = begin(*command)
    server.reach("INFO shop: bus STARTED", 2)
    customers = Customers(server)
    customers.reach(30)

    server.process.send_signal(signal.SIGHUP)
    server.reach("INFO shop: bus STARTED", 4)
    customers.reach(30)
    status = server.end()
    customers.end()

    assert status == 0, server.output
    assert customers.statuses <= {200, 201}
    assert "Traceback" not in server.output
    check_books(server, customers)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(BY_ITSELF, id="typedbus"),
        *(pytest.param(one, id=one[0], marks=pytest.mark.exhaustive) for one in (GUNICORN, UVICORN)),
    ],
)
def test_wrong_settings_are_told_by_every_server(begin: Begin, tmp_path: Path, command: list[str]) -> None:
    """With file, line and key, and none of them serves."""
    server = begin(*command, wrong="price = 890")
    server.process.wait(60)
    server.reader.join(60)

    assert f"{tmp_path / 'shop.toml'}:16: shop.products[0].price is missing" in server.output
    assert "bus STARTED" not in server.output
    assert not (tmp_path / "shop.sqlite3").exists()
