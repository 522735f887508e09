"""The shop of the examples: as a real process with its own orders, and in this process."""

import asyncio
import contextlib
import json
import mailbox
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from datetime import date
from logging import INFO, WARNING
from pathlib import Path

import attrs
import pytest
from examples.shop.channels import lines_read, offer_wanted, order_placed, order_refused, order_taken, stock_low
from examples.shop.container import Shop
from examples.shop.intake import Intake
from examples.shop.make_orders import BAD_LINES, LINES, ORDERS_JSONL, make_orders
from examples.shop.orders import Offer, Order, OrderLine, Receipt, Refused, parse_order
from examples.shop.settings import SHOP_TOML, Product, Settings
from tests.processes import without_frameworks

from typedbus import LOG, ChannelFailures, Component, State, TransitionFailures, on, running
from typedbus.settings import InvalidSettings, SettingsFault, Sources, load
from typedbus.testing import Recorder

ROOT = Path(__file__).parents[2]
GOOD_LINES = LINES - BAD_LINES
#: The components that get offers, in the order of the stop.
SUPPLIERS = ["teahouse", "camellia", "market"]
POSIX = pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to another process there")


DISAGREEMENTS = """
SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok';
SELECT * FROM pragma_foreign_key_check;
SELECT number FROM orders WHERE number NOT IN (SELECT order_number FROM invoices);
SELECT number FROM orders WHERE number NOT IN (SELECT order_number FROM order_lines);
SELECT number FROM invoices WHERE number > (SELECT count(*) FROM invoices);
SELECT order_number, sku, sum(quantity) FROM
    (SELECT order_number, sku, quantity FROM order_lines UNION ALL SELECT order_number, sku, quantity FROM movements)
    GROUP BY order_number, sku HAVING sum(quantity) <> 0;
SELECT sku FROM products WHERE level <> initial +
    (SELECT coalesce(sum(quantity), 0) FROM movements WHERE movements.sku = products.sku);
SELECT order_number FROM invoices WHERE total <>
    (SELECT sum(quantity * price) FROM order_lines JOIN products USING (sku) WHERE order_number = invoices.order_number)
"""


def command(folder: Path, *more: str, speed: int = 0) -> list[str]:
    """Return the command line that runs the shop with its own orders, and with its books in *folder*."""
    settings = folder / "shop.toml"
    text = SHOP_TOML.read_text(encoding="utf-8").replace("orders_per_second = 400", f"orders_per_second = {speed}")
    settings.write_text(text, encoding="utf-8")
    choices = ["--settings", str(settings), "--orders", str(ORDERS_JSONL), "--database", str(folder / "books")]
    return [sys.executable, "-X", "utf8", "-m", "examples.shop", *choices, *more]


def run_shop(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run the shop to its end."""
    return subprocess.run(
        command(folder, *more), cwd=ROOT, check=False, capture_output=True, encoding="utf-8", timeout=60
    )


def interrupt(folder: Path, number: int, *, steps: int) -> tuple[int, str]:
    """Run the shop, send the signal *number* after so many lines of progress, and return status and stderr."""
    arguments = command(folder, speed=400)
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for _ in range(steps):
            process.stdout.readline()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    """Return what *query* finds in *database*."""
    with contextlib.closing(sqlite3.connect(database)) as books:
        return books.execute(query).fetchall()


def books_of(folder: Path) -> list[str]:
    """Return the content of the books as SQL."""
    with contextlib.closing(sqlite3.connect(folder / "books")) as books:
        return list(books.iterdump())


def report_of(folder: Path) -> str:
    """Return the report on the refused lines."""
    return (folder / "books.refused.txt").read_text(encoding="utf-8")


def letters_of(folder: Path) -> list[tuple[str, str]]:
    """Return the recipient and the subject of each letter."""
    with contextlib.closing(mailbox.mbox(folder / "books.mbox", create=False)) as letters:
        return [(letter["To"], letter["Subject"]) for letter in letters]


def faults_of(folder: Path) -> list[tuple[object, ...]]:
    """Return the rows of the books that contradict others."""
    return [row for query in DISAGREEMENTS.split(";") for row in rows(folder / "books", query)]


def components_with(stderr: str, what: str) -> list[str]:
    """Return the components for which stderr has the event *what*, in order."""
    return re.findall(rf"^{what} +Shop\.(\w+)", stderr, re.MULTILINE)


def test_the_orders_file_can_be_generated_again() -> None:
    """The generated file is identical to the shipped file."""
    made, bad = make_orders()

    assert made == ORDERS_JSONL.read_bytes()
    assert (made.count(b"\n"), len(bad)) == (1_200, 42)


TEA = Product("TEA", "Tea", price=500, stock=9, reorder_level=5)
CUP = Product("CUP", "Cup", price=1150, stock=3, reorder_level=0)


class NoIntake(Intake):
    """Reads no file, so that a test places the orders."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


def line_of(number: int, /, *pieces: tuple[str, int], **changed: object) -> bytes:
    """Return a line of an orders file."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in pieces or [("TEA", 1)]]
    fields = {"number": number, "customer": "Zoë", "email": "zoe@example.org", "date": "2025-03-31", "lines": lines}
    return json.dumps({**fields, **changed}).encode()


def settings_in(folder: Path, lines: Iterable[bytes] = (), *products: Product) -> Settings:
    """Return settings of a shop with its files in *folder*, with *lines* for its orders file."""
    orders = folder / "orders.jsonl"
    orders.write_bytes(b"\n".join(lines))
    return Settings(folder / "books", products or (TEA, CUP), orders, orders_per_second=50)


@contextlib.contextmanager
def shop_with(settings: Settings) -> Generator[Shop, None, None]:
    """Run a shop for the length of a block."""
    shop = Shop()
    with shop.override(Shop.settings).by(settings), running(shop):
        yield shop


@contextlib.contextmanager
def desk_of_shop(settings: Settings) -> Generator[Shop, None, None]:
    """Run a shop that reads no file, and return its order desk."""
    shop = Shop()
    idle = Component(NoIntake, Shop.bus.provided, Shop.desk.provided, settings.orders)
    with shop.override(Shop.settings).by(settings), shop.override(Shop.intake).by(idle), running(shop):
        yield shop


class TestInProcess:
    """The shop in this process."""

    def test_a_shop_requests_its_exit_after_its_file(self, tmp_path: Path) -> None:
        """The call of block returns, and the orders are in the books."""
        with shop_with(settings_in(tmp_path, [line_of(1), b"", line_of(2)])) as shop:
            shop.bus().block()

            assert shop.bus().state is State.EXITED
        assert rows(tmp_path / "books", "SELECT number, source_line FROM orders") == [(1, 1), (2, 3)]

    def test_a_stopped_shop_can_continue(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """After a stop and a start, the intake skips the orders that it has processed."""
        reached = threading.Event()

        def look(lines: int, /, *, share: float) -> None:
            reached.set()

        with shop_with(settings_in(tmp_path, map(line_of, range(1, 9)))) as shop:
            shop.bus()[lines_read].subscribe(look)
            reached.wait()
            shop.bus().stop()
            taken = rows(tmp_path / "books", "SELECT number FROM orders")
            shop.bus().start()
            shop.bus().block()

        assert 0 < len(taken) < 8
        assert re.findall(r"^taken in earlier runs +(\d+)$", capsys.readouterr().out, re.MULTILINE) == [
            "0",
            str(len(taken)),
        ]
        assert rows(tmp_path / "books", "SELECT number FROM orders") == [(number,) for number in range(1, 9)]

    def test_no_order_is_read_before_the_end_of_the_start(self, tmp_path: Path) -> None:
        """If a component fails to start after the intake, the books are empty."""

        class Door:
            def __init__(self) -> None:
                self.used = threading.Event()

            @on(order_taken)
            def look(self, order: Order, receipt: Receipt, /) -> None:
                self.used.set()

            def stop(self) -> None:
                self.used.wait(0.1)

        class Lights:
            def start(self) -> None:
                raise OSError("no current")

        class DarkShop(Shop):
            door = Component(Door)
            lights = Component(Lights)

        shop, settings = DarkShop(), attrs.evolve(settings_in(tmp_path, [line_of(1)]), orders_per_second=0)
        with shop.override(Shop.settings).by(settings):
            with pytest.raises(TransitionFailures, match=r"DarkShop\.lights\.start"), running(shop):
                pass

        assert rows(tmp_path / "books", "SELECT * FROM orders") == []

    def test_an_exit_waits_for_the_current_order(self, tmp_path: Path) -> None:
        """And for its letter, before components are closed."""
        begun = threading.Event()
        with shop_with(settings_in(tmp_path, map(line_of, range(1, 99)))) as shop:

            def dawdle(order: Order, receipt: Receipt, /) -> None:
                begun.set()
                shop.bus().wait(State.EXITED, 0.1)

            shop.bus()[order_taken].subscribe(dawdle, priority=1)
            begun.wait()

        orders = rows(tmp_path / "books", "SELECT email, number FROM orders")
        assert letters_of(tmp_path) == [(email, f"Your order {number}") for email, number in orders]

    def test_low_stock_is_published_after_each_order(self, tmp_path: Path) -> None:
        """Below the reorder level, with the remaining number."""
        with desk_of_shop(settings_in(tmp_path)) as shop, Recorder(shop.bus()[stock_low]) as lows:
            shop.desk().take(1, line_of(1, ("TEA", 4)))
            assert lows.calls == []
            shop.desk().take(2, line_of(2, ("TEA", 1), ("TEA", 1), ("CUP", 3)))
            shop.desk().take(3, line_of(3, ("TEA", 3)))

        assert (lows.times("TEA", 3), lows.times("TEA", 0), len(lows.calls)) == (1, 1, 2)
        assert rows(tmp_path / "books", "SELECT * FROM reorders") == [("TEA", 3)]

    def test_a_low_product_is_reordered_at_the_lowest_price(self, tmp_path: Path) -> None:
        """From the supplier whose offer that is; all of them are asked on the event loop of the bus."""
        asked: list[tuple[str, int]] = []

        async def offer(sku: str, quantity: int, /) -> Offer:
            await asyncio.sleep(0)
            asked.append((sku, quantity))
            return Offer("grocer", 1)

        with desk_of_shop(settings_in(tmp_path)) as shop, Recorder(shop.bus()[LOG]) as log:
            shop.bus()[offer_wanted].subscribe(offer)
            shop.desk().take(1, line_of(1, ("TEA", 5)))

        assert asked == [("TEA", 100)]
        assert log.times("4 of TEA left; reordered from grocer at 0.01", INFO) == 1

    def test_a_supplier_that_fails_does_not_prevent_a_reorder(self, tmp_path: Path) -> None:
        """The failure is logged, and the offers of the other suppliers are used."""

        async def fail(sku: str, quantity: int, /) -> Offer:
            raise OSError("no telephone")

        with desk_of_shop(settings_in(tmp_path)) as shop, Recorder(shop.bus()[LOG]) as log:
            shop.bus()[offer_wanted].subscribe(fail)
            shop.desk().take(1, line_of(1, ("TEA", 5)))

        assert [call.args[1] for call in log.calls if "offer_wanted" in str(call.args[0])] == [WARNING]
        assert rows(tmp_path / "books", "SELECT * FROM reorders") == [("TEA", 4)]

    def test_a_product_is_reordered_later_if_no_supplier_answers(self, tmp_path: Path) -> None:
        """The order that made it low is booked, and the next order asks again."""
        with desk_of_shop(settings_in(tmp_path)) as shop:
            shop.market().stop()
            shop.desk().take(1, line_of(1, ("TEA", 5)))
            reorders = rows(tmp_path / "books", "SELECT * FROM reorders")
            with shop.bus()[offer_wanted].subscribe(lambda sku, quantity, /: Offer("grocer", 1)):
                shop.desk().take(2, line_of(2))

        assert reorders == []
        assert rows(tmp_path / "books", "SELECT number FROM orders") == [(1,), (2,)]
        assert rows(tmp_path / "books", "SELECT * FROM reorders") == [("TEA", 3)]

    def test_an_order_that_exceeds_the_stock_changes_nothing(self, tmp_path: Path) -> None:
        """Its other lines are rolled back."""
        with desk_of_shop(settings_in(tmp_path)) as shop, Recorder(shop.bus()[order_refused]) as refused:
            shop.desk().take(7, line_of(1, ("TEA", 2), ("CUP", 2), ("CUP", 2)))

        (call,) = refused.calls
        assert [str(argument) for argument in call.args] == ["7", "out of stock: there are not 4 of CUP"]
        assert rows(tmp_path / "books", "SELECT sku, level FROM products") == [("TEA", 9), ("CUP", 3)]
        assert rows(tmp_path / "books", "SELECT * FROM orders") == []

    def test_a_listener_that_fails_rolls_the_order_back(self, tmp_path: Path) -> None:
        """The invoice is rolled back as well, and its number is used again."""

        def fail(order: Order, /) -> Receipt:
            raise OSError("no paper")

        with desk_of_shop(settings_in(tmp_path)) as shop:
            with shop.bus()[order_placed].subscribe(fail), pytest.raises(ChannelFailures, match="'order_placed'"):
                shop.desk().take(1, line_of(1))
            shop.desk().take(2, line_of(2))

        assert rows(tmp_path / "books", "SELECT * FROM invoices") == [(1, 2, 500)]
        assert letters_of(tmp_path) == [("zoe@example.org", "Your order 2")]

    def test_a_letter_has_the_total_of_the_order(self, tmp_path: Path) -> None:
        """With the name of the customer and the number of the invoice."""
        with desk_of_shop(settings_in(tmp_path)) as shop:
            shop.desk().take(1, line_of(1, ("TEA", 3)))

        with contextlib.closing(mailbox.mbox(tmp_path / "books.mbox", create=False)) as letters:
            (letter,) = letters
            text = letter.get_payload(decode=True)
        assert isinstance(text, bytes)
        assert "Dear Zoë," in text.decode()
        assert "It comes to 15.00; the invoice is number 1." in text.decode()

    def test_the_same_number_on_another_line_is_refused(self, tmp_path: Path) -> None:
        """Only a repetition of the same line is skipped without an error."""
        with desk_of_shop(settings_in(tmp_path)) as shop, Recorder(shop.bus()[order_refused]) as refused:
            for number, quantity in (1, 1), (1, 1), (2, 1), (1, 2):
                shop.desk().take(number, line_of(1, ("TEA", quantity)))

        assert [call.args[0] for call in refused.calls] == [2, 1]
        assert str(refused.calls[0].args[1]) == "duplicate order number: 1 was taken from line 1"

    def test_new_prices_apply_to_an_existing_stock(self, tmp_path: Path) -> None:
        """Prices and levels come from the settings, and the stock from the books."""
        with desk_of_shop(settings_in(tmp_path)) as shop:
            shop.desk().take(1, line_of(1, ("TEA", 2)))

        with desk_of_shop(settings_in(tmp_path, (), attrs.evolve(TEA, price=600, stock=99))) as shop:
            shop.desk().take(2, line_of(2, ("TEA", 1)))

        assert rows(tmp_path / "books", "SELECT total FROM invoices") == [(1000,), (600,)]
        assert rows(tmp_path / "books", "SELECT price, level FROM products WHERE sku = 'TEA'") == [(600, 6)]


ORDER = Order(1, "Zoë", "zoe@example.org", date(2025, 3, 31), (OrderLine("TEA", 2),))


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"  "], ids=["plain", "byte order mark", "spaces"])
@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n"], ids=["end of file", "LF", "CR LF"])
def test_an_order_is_read_with_any_line_end_and_byte_order_mark(before: bytes, after: bytes) -> None:
    """The result is the same."""
    assert parse_order(before + line_of(1, ("TEA", 2)) + after) == ORDER


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty line: nothing is ordered"),
        (b" \r\n", "empty line: nothing is ordered"),
        (b'{"number"', "broken JSON: .* in column 10"),
        (b"[" * 100_000, "broken JSON: "),
        (b"9" * 10_000, "broken JSON: "),
        (b'{"customer": "Zo\xeb"}', "not UTF-8: byte 0xeb in column 17"),
        (b"[]", "wrong type: an order must be an object and is list"),
        (b"{}", "missing field: 'number'"),
        (line_of(0), "bad number: 0 is not between"),
        (line_of(2**63), "bad number: "),
        (line_of(1, number=True), "wrong type: 'number' must be a whole number and is bool"),
        (line_of(1, number=1.0), "wrong type: 'number' must be a whole number and is float"),
        (line_of(1, customer=" "), "wrong type: 'customer' is not printable text"),
        (line_of(1, customer="\ud800"), "wrong type: 'customer' is not printable text"),
        (line_of(1, email="a@b.c\nBcc: d@e.f"), "bad address: no letter would reach"),
        (line_of(1, date="20250331"), "bad date: '20250331' is not a date"),
        (line_of(1, date="2025-02-30"), "bad date: '2025-02-30' is not a date"),
        (line_of(1, date=20250331), "wrong type: 'date' must be text and is int"),
        (line_of(1, lines=[]), "missing field: 'lines' is empty"),
        (line_of(1, lines=[1]), "wrong type: each of 'lines' must be an object and is int"),
        (line_of(1, lines=[{"sku": "TEA"}]), "missing field: 'quantity'"),
        (line_of(1, ("TEA", 0)), "bad quantity: 0 of TEA is not between"),
        (line_of(1, ("TEA", 10_000)), "bad quantity: 10000 of TEA is not between"),
    ],
)
def test_an_invalid_line_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    """Any content raises Refused, and no other exception."""
    with pytest.raises(Refused, match=f"^{reason}"):
        parse_order(raw)


def settings_of(*files: Path, **options: str) -> Settings:
    """Return the settings of *files*, overridden by *options*."""
    shop = Shop()
    values = {f"shop.{name}": text for name, text in options.items()}
    load(shop, sources=Sources(files=files, environ={}, options=values))
    return shop.settings()


def faults_in(*files: Path, **options: str) -> list[SettingsFault]:
    """Return the faults of the settings."""
    with pytest.raises(InvalidSettings) as raised:
        settings_of(*files, **options)
    return [fault for fault in raised.value.exceptions if isinstance(fault, SettingsFault)]


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("orders = ", "ordres = ", "shop.ordres", "is not a setting; did you mean orders?"),
        ("price = 890", 'price = "8.90"', "shop.products[0].price", "must be a whole number, not '8.90'"),
        (
            "price = 890",
            "price = -1",
            "shop.products[0].price",
            "must be a whole number from 0 to 1000000000 (the value is -1)",
        ),
        ("price = 890", "", "shop.products[0].price", "is missing"),
        (
            "price = 890\n",
            "price = 890\nprize = 890\n",
            "shop.products[0].prize",
            "is not a setting; did you mean price?",
        ),
        ('"Sieve"', '" "', "shop.products[9].name", "must be printable text that is not empty (the value is ' ')"),
        ('sku = "SIEVE"', 'sku = "HONEY"', "shop.products", "has HONEY more than once"),
        ("second = 400", "second = true", "shop.orders_per_second", "must be a whole number, not true"),
        ('database = "shop.sqlite3"', "database = 3", "shop.database", "must be a path, not 3"),
        ('database = "shop.sqlite3"', 'database = "no/books"', "shop.database", "which is not a writable folder"),
        ("[shop]", "[shpo]\nx = 1\n[shop]", "shpo", "is not a section; did you mean [shop]?"),
        ("[[shop.products]]", "[[ products", "", "is not valid TOML"),
    ],
)
def test_the_fault_of_a_setting_names_file_and_key(tmp_path: Path, old: str, new: str, key: str, problem: str) -> None:
    """It has the expected value as well."""
    file = tmp_path / "shop.toml"
    text = SHOP_TOML.read_text(encoding="utf-8").replace('name = "Tea sieve"', 'name = "Sieve"')
    file.write_text(text.replace(old, new, 1), encoding="utf-8")

    (fault,) = faults_in(file)

    assert (fault.source, fault.key) == (file, key)
    assert problem in fault.problem
    assert fault.line is not None


def test_a_read_only_folder_is_reported(tmp_path: Path) -> None:
    """Before a file of the shop is opened in it."""
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write anywhere")

    (fault,) = faults_in(SHOP_TOML, database=str(tmp_path / "closed" / "books"))

    assert re.fullmatch(
        "is in .*closed, which is not a writable folder; create it, or give another path", fault.problem
    )


def test_the_shipped_settings_are_valid() -> None:
    """Each key of the file sets its attribute."""
    settings = settings_of(SHOP_TOML)

    assert (settings.orders, settings.orders_per_second, len(settings.products)) == (ORDERS_JSONL, 400, 12)
    assert settings.products[0] == Product("TEA-ASSAM", "Assam, 250 g", price=890, stock=1650, reorder_level=200)
    assert (settings.report.name, settings.outbox.name) == ("shop.sqlite3.refused.txt", "shop.sqlite3.mbox")
    assert (settings.letters.name, settings.bind) == ("shop.sqlite3.letters", "127.0.0.1:8080")


def test_paths_in_the_settings_are_relative_to_their_file(tmp_path: Path) -> None:
    """The shop runs in any working directory; paths of options are relative to that directory."""
    file = tmp_path / "shop.toml"
    file.write_bytes(SHOP_TOML.read_bytes())

    alone, chosen = settings_of(file), settings_of(file, orders="here", database="there")

    assert (alone.orders, alone.database) == (tmp_path / "orders.jsonl", tmp_path / "shop.sqlite3")
    assert (chosen.orders, chosen.database) == (Path.cwd() / "here", Path.cwd() / "there")


@pytest.fixture(scope="module", autouse=True)
def _quick_programs(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """Hide web frameworks from the programs of these tests, which use none."""
    with without_frameworks(tmp_path_factory.mktemp("hidden")):
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """Return the folder of a shop that ran to its end, and the finished process."""
    folder = tmp_path_factory.mktemp("full")
    return folder, run_shop(folder)


@pytest.mark.slow
class TestProcess:
    """The shop as a process."""

    def test_a_full_run_books_exactly_the_valid_orders(
        self, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """Every valid line is in the books with all of its fields, and no other line."""
        folder, ended = full
        bad = make_orders()[1]
        lines = enumerate(ORDERS_JSONL.read_bytes().splitlines(), 1)
        good = [json.loads(line) for number, line in lines if number not in bad]

        taken = rows(folder / "books", "SELECT number, customer, email, placed_on FROM orders ORDER BY source_line")
        pieces = rows(folder / "books", "SELECT * FROM order_lines ORDER BY order_number, position")

        assert ended.returncode == 0
        assert taken == [(one["number"], one["customer"], one["email"], one["date"]) for one in good]
        assert pieces == [
            (one["number"], place, each["sku"], each["quantity"])
            for one in good
            for place, each in enumerate(one["lines"], 1)
        ]
        assert faults_of(folder) == []

    def test_the_report_has_exactly_the_invalid_lines(
        self, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """Each with its number and the reason."""
        report = report_of(full[0])

        lines = re.findall(r"^line (\d+): ([^:]+): .+$", report, re.MULTILINE)

        assert {int(number): kind for number, kind in lines} == make_orders()[1]
        assert len(lines) == report.count("\n") == BAD_LINES

    def test_progress_and_a_table_are_printed_without_colours(
        self, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """Without a terminal, stdout has twenty steps and the figures."""
        printed = full[1].stdout

        assert re.findall(r"^ +(\d+)%  [#.]{20} ", printed, re.MULTILINE) == [str(5 * step) for step in range(1, 21)]
        assert re.search(rf"^orders taken +{GOOD_LINES:,}  47,829\.30$", printed, re.MULTILINE)
        assert re.search(rf"^lines refused +{BAD_LINES}$", printed, re.MULTILINE)
        assert re.search(r"^products that ran low +4  HONEY, SIEVE, TEA-ASSAM, TEA-GREEN$", printed, re.MULTILINE)
        assert f"read to its end.\nEvery refused line stands in {full[0] / 'books.refused.txt'}.\n" in printed
        assert printed.isascii()
        assert "\x1b" not in printed

    def test_components_stop_in_reverse_order(self, full: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
        """A component starts after its dependencies and stops before them, as stderr shows."""
        stderr = full[1].stderr

        assert components_with(stderr, "started") == [
            *("database", "outbox", "report", "market", "camellia", "teahouse", "stock", "intake")
        ]
        assert components_with(stderr, "stopped") == ["intake", *SUPPLIERS, "report", "outbox", "database"]
        assert components_with(stderr, "exited") == ["market", "outbox"]
        assert stderr.splitlines()[-1].split() == ["bus", "EXITED"]

    def test_each_order_gets_a_letter(self, full: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
        """The mailbox class of the standard library writes them, so that mail programs can read them."""
        orders = rows(full[0] / "books", "SELECT email, number FROM orders ORDER BY source_line")

        assert letters_of(full[0]) == [(email, f"Your order {number}") for email, number in orders]

    def test_a_low_stock_is_reordered_once(self, full: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
        """Purchasing receives each event about a low stock, and acts on the first."""
        folder, ended = full

        low = rows(folder / "books", "SELECT sku FROM products WHERE level < reorder_level ORDER BY sku")

        assert low == rows(folder / "books", "SELECT sku FROM reorders ORDER BY sku")
        assert low == [("HONEY",), ("SIEVE",), ("TEA-ASSAM",), ("TEA-GREEN",)]
        assert ended.stderr.count("reordered") == 4

    @POSIX
    @pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.exhaustive), 6])
    def test_an_interrupted_run_is_completed_by_the_next(
        self, tmp_path: Path, full: tuple[Path, "subprocess.CompletedProcess[str]"], steps: int
    ) -> None:
        """Ctrl-C leaves consistent books; after the next run, the result is that of an uninterrupted run."""
        status, stderr = interrupt(tmp_path, signal.SIGINT, steps=steps)

        assert status == 0, stderr
        assert components_with(stderr, "stopped") == ["intake", *SUPPLIERS, "report", "outbox", "database"]
        assert 0 < len(rows(tmp_path / "books", "SELECT * FROM orders")) < GOOD_LINES
        assert faults_of(tmp_path) == []
        assert run_shop(tmp_path).returncode == 0
        assert books_of(tmp_path) == books_of(full[0])
        assert report_of(tmp_path) == report_of(full[0])
        assert letters_of(tmp_path) == letters_of(full[0])

    @POSIX
    def test_a_killed_run_loses_no_order(
        self, tmp_path: Path, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """The books have only complete orders."""
        status, _ = interrupt(tmp_path, signal.SIGKILL, steps=6)

        assert status == -signal.SIGKILL
        assert report_of(tmp_path).count("\n") >= 13
        assert faults_of(tmp_path) == []
        assert run_shop(tmp_path).returncode == 0
        assert faults_of(tmp_path) == []
        assert rows(tmp_path / "books", "SELECT * FROM invoices") == rows(full[0] / "books", "SELECT * FROM invoices")

    def test_a_second_run_books_no_order_twice(
        self, tmp_path: Path, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """Orders in the books are skipped, and counted as such."""
        shutil.copytree(full[0], tmp_path, dirs_exist_ok=True)
        before = books_of(tmp_path)

        second = run_shop(tmp_path)

        assert second.returncode == 0
        assert re.search(rf"^taken in earlier runs +{GOOD_LINES:,}$", second.stdout, re.MULTILINE)
        assert books_of(tmp_path) == before

    def test_a_failing_listener_ends_the_program_and_rolls_its_order_back(
        self, tmp_path: Path, full: tuple[Path, "subprocess.CompletedProcess[str]"]
    ) -> None:
        """The failure is not an invalid line: the status is 70, and the next run continues with this order."""
        (tmp_path / "none.jsonl").touch()
        assert "read to its end" in run_shop(tmp_path, "--orders", str(tmp_path / "none.jsonl")).stdout
        with contextlib.closing(sqlite3.connect(tmp_path / "books")) as books:
            books.execute(
                "CREATE TRIGGER fire BEFORE INSERT ON invoices WHEN NEW.order_number = 41100"
                " BEGIN SELECT RAISE(ABORT, 'the printer is on fire'); END"
            )

        failed = run_shop(tmp_path)

        assert failed.returncode == 70
        assert "the printer is on fire" in failed.stderr
        assert f"while line 100 of {ORDERS_JSONL} was taken" in failed.stderr
        assert components_with(failed.stderr, "stopped") == ["intake", *SUPPLIERS, "report", "outbox", "database"]
        assert rows(tmp_path / "books", "SELECT max(number) FROM orders") == [(41099,)]
        assert faults_of(tmp_path) == []
        with contextlib.closing(sqlite3.connect(tmp_path / "books")) as books:
            books.execute("DROP TRIGGER fire")
        assert run_shop(tmp_path).returncode == 0
        assert books_of(tmp_path) == books_of(full[0])

    def test_a_missing_orders_file_is_reported_and_rolls_back(self, tmp_path: Path) -> None:
        """Started components are stopped, and the last line names the file and the remedy."""
        ended = run_shop(tmp_path, "--orders", str(tmp_path / "none.jsonl"))

        assert ended.returncode == 1
        assert components_with(ended.stderr, "stopped") == [*SUPPLIERS, "report", "outbox", "database"]
        assert f"\nerror: orders file {tmp_path / 'none.jsonl'}: No such file" in ended.stderr
        assert "give another with --orders FILE" in ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout

    def test_a_file_that_is_not_a_database_is_reported(self, tmp_path: Path) -> None:
        """With the remedy; the file is unchanged."""
        (tmp_path / "letter").write_text("Dear shop")

        ended = run_shop(tmp_path, "--database", str(tmp_path / "letter"))

        assert ended.returncode == 1
        assert f"\nerror: database {tmp_path / 'letter'}: file is not a database" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert (tmp_path / "letter").read_text() == "Dear shop"

    def test_invalid_settings_are_reported_before_anything_is_built(self, tmp_path: Path) -> None:
        """A line for each names file, line and key; no life cycle event is printed."""
        wrong = tmp_path / "wrong.toml"
        wrong.write_text('[shop]\nordres = "orders.jsonl"')

        ended = run_shop(tmp_path, "--settings", str(wrong))

        assert ended.returncode == 2
        assert ended.stderr.endswith(f"\n- {wrong}:2: shop.ordres is not a setting; did you mean orders?\n")
        assert "bus" not in ended.stderr
        assert "Traceback" not in ended.stderr

    @POSIX
    def test_a_terminal_gets_bars_and_bold_type(self, tmp_path: Path) -> None:
        """On a terminal, the same figures are formatted."""
        import pty

        shown, terminal = pty.openpty()
        with (
            subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=terminal, stderr=subprocess.DEVNULL) as process,
            os.fdopen(shown, encoding="utf-8") as screen,
        ):
            os.close(terminal)
            lines = [screen.readline() for _ in range(22)]
            process.kill()

        assert "█" * 20 in lines[19]
        assert "\x1b[1m" in lines[21]
