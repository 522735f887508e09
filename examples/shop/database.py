"""The books of the shop: one SQLite file."""

import contextlib
import sqlite3
import threading
from collections.abc import Generator
from pathlib import Path

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


class Database:
    """
    The connection to the books, open from start to stop.

    Any thread may use it; transactions come one after the other.
    """

    _connection: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()

    def start(self) -> None:
        """
        Open the file, and make it and its tables if need be.

        Raises:
            SystemExit: The file is no database, or cannot be written.
        """
        try:
            # The lock sees to it that no two threads are in the connection;
            # transactions begin where we say so, and not where the driver would.
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            with contextlib.ExitStack() as undo:
                undo.callback(self._connection.close)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.executescript(_SCHEMA)
                undo.pop_all()
        except sqlite3.Error as error:
            raise SystemExit(f"error: database {self._path}: {error}; give another with --database FILE") from None

    def stop(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """
        Do all of a block or nothing of it.

        A transaction inside another of the same thread is a part of that one.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
