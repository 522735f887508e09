"""The books of the shop, opened by several processes."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from examples.shop.database import Database


def test_a_new_file_is_opened_while_another_process_writes_into_it(tmp_path: Path) -> None:
    """SQLite refuses to switch such a file to a write-ahead log, without waiting for the lock."""
    path = tmp_path / "shop.sqlite3"
    books = Database(path)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            start = threads.submit(books.start)
            with pytest.raises(TimeoutError):
                start.result(0.05)
            other.execute("COMMIT")
            start.result(10)
    books.stop()


def test_a_file_that_stays_locked_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SystemExit, match="database is locked; give another as shop.database"):
            Database(path, patience=0.05).start()
