"""A file of SQLite for each process."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path

import attrs


@attrs.frozen
class Database:
    """
    A database with the tables of *schema*, which are created if they are missing.

    Each transaction has a connection of its own, so it may be used from any thread.
    """

    file: Path
    schema: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        with contextlib.closing(self.connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(self.schema)

    def connect(self) -> sqlite3.Connection:
        """Open a connection."""
        return sqlite3.connect(self.file, timeout=30)

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Commit at the end of the block, or roll back if it raises."""
        with contextlib.closing(self.connect()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
