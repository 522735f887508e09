"""The settings of the bookshop: the table [books] of a file, and BOOKS_DATABASE and so on in the environment."""

import attrs


@attrs.frozen
class Settings:
    """The settings of all packages."""

    # SQLite has one writer at a time, and the others wait, here for up to 30 seconds.
    database: str = "sqlite+aiosqlite:///books.sqlite3?timeout=30"
    wholesaler: str = "http://127.0.0.1:8081"
    bind: str = "127.0.0.1:8080"  # under `typedbus run`; any other server has its own
    buyer: str = "buyer@example.org"
