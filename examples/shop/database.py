"""The books of the shop: one SQLite file."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path

from typedbus import on
from typedbus.plugins.health import READY, Check

_SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    sku TEXT PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL,
    initial INTEGER NOT NULL, level INTEGER NOT NULL CHECK (level >= 0), reorder_level INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, customer TEXT NOT NULL, email TEXT NOT NULL, placed_on TEXT NOT NULL,
    source_line INTEGER NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS order_lines (
    order_number INTEGER NOT NULL REFERENCES orders, position INTEGER NOT NULL,
    sku TEXT NOT NULL REFERENCES products, quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_number, position));
CREATE TABLE IF NOT EXISTS movements (
    id INTEGER PRIMARY KEY, order_number INTEGER NOT NULL REFERENCES orders,
    sku TEXT NOT NULL REFERENCES products, quantity INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS invoices (
    number INTEGER PRIMARY KEY, order_number INTEGER NOT NULL UNIQUE REFERENCES orders, total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reorders (
    sku TEXT PRIMARY KEY REFERENCES products, remaining INTEGER NOT NULL);
"""


class Busy(TimeoutError):
    """
    Raised by `Database` if other processes have locked the books for too long.

    Attributes:
        seconds: How long the database has waited.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"another process has been writing into the books for {self.seconds:g} s; try again later"


class Database:
    """
    The connection to the books, open from start to stop.

    Any thread may use it, and several processes may open the same file: the stock
    is kept in the books alone, and transactions are serialized. A transaction waits
    up to *patience* seconds for those of other processes. Committed data survives
    the end of the process; a power failure may lose the last transactions.
    """

    _connection: sqlite3.Connection

    def __init__(self, path: Path, *, patience: float = 10.0) -> None:
        self._path = path
        self._patience = patience
        self._lock = threading.RLock()

    def start(self) -> None:
        """
        Open the file, and create it and its tables if they do not exist.

        Raises:
            SystemExit: The file is not a database, or cannot be written.
        """
        try:
            # The lock keeps a second thread out of the connection. Transactions are
            # begun explicitly, and not by the driver.
            self._connection = sqlite3.connect(
                self._path, timeout=self._patience, check_same_thread=False, isolation_level=None
            )
            with contextlib.ExitStack() as undo:
                undo.callback(self._connection.close)
                self._write_ahead()
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.executescript(_SCHEMA)
                undo.pop_all()
        except sqlite3.Error as error:
            raise SystemExit(f"error: database {self._path}: {error}; give another as shop.database") from None

    def _write_ahead(self) -> None:
        """
        Switch the file to a write-ahead log, which later connections find in use.

        SQLite reports a lock at once, in spite of the timeout of the connection, if
        another connection writes into a new file meanwhile. The workers of one server
        start at the same moment, so the switch is tried again here.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """
        Run a block in a transaction, which an exception rolls back.

        A transaction inside another of the same thread is part of the outer transaction.

        Raises:
            Busy: Another process has locked the books for too long.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._begin("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection, None, None]:
        """Read a consistent snapshot of the books, without blocking writers in other processes."""
        with self._lock:
            self._begin("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    @on(READY)
    def check(self) -> Check:
        """Check that the books can be read."""
        with self.reading() as books:
            (orders,) = books.execute("SELECT count(*) FROM orders").fetchone()
        return Check(is_ok=True, detail=f"orders in the books: {orders}")

    def _begin(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise Busy(self._patience) from None
            raise
