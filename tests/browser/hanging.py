"""A start that hangs in one component: ``python -m tests.browser.hanging ADDRESS``."""

from __future__ import annotations

import sys
import threading

from tests.browser.texts import TOKEN

from typedbus import START, Bus, Component, Container, on, run
from typedbus.inspector import Inspector


class Database:
    """Never gets its connection."""

    @on(START)
    def connect(self) -> None:
        threading.Event().wait()


class Desk:
    """Needs the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @on(START)
    def open(self) -> None: ...


class Shop(Container):
    """The shop."""

    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, bind=sys.argv[1], token=TOKEN)
    database = Component(Database)
    desk = Component(Desk, database.provided)


if __name__ == "__main__":
    raise SystemExit(run(Shop))
