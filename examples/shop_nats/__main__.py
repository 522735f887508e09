"""
``python -m examples.shop_nats``: start the processes and the server, kill them at random, and count.

It ends with status 0 if each order has exactly one invoice and one parcel, with the right total.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.shop_nats.settings import FOLDER, PORT

PROGRAMS: Final = {"broker": "Broker", "front": "Front", "invoicing": "Invoicing", "shipping": "Shipping"}
#: What may be killed: the server is the child of the broker.
VICTIMS: Final = ("server", "front", "invoicing", "shipping")
#: Seconds between two looks at the databases, and between two kills.
_LOOK, _CALM = 0.1, 1.0


@attrs.frozen
class Counts:
    """What the databases of the processes contain."""

    orders: int = 0
    invoices: int = 0
    parcels: int = 0
    redelivered: int = 0
    duplicates: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in attrs.asdict(self).items())


@attrs.define
class Shop:
    """
    The processes of the shop.

    Args:
        folder: The folder of their files.
        orders: How many orders the front takes.
    """

    folder: Path
    orders: int
    port: int = attrs.field(init=False)
    running: dict[str, subprocess.Popen[bytes]] = attrs.field(init=False, factory=dict)
    kills: dict[str, int] = attrs.field(init=False, factory=lambda: dict.fromkeys(VICTIMS, 0))

    def __attrs_post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self, name: str) -> None:
        """Start the process *name*; it appends its messages to a file."""
        environment = {FOLDER: str(self.folder), PORT: str(self.port), "SHOP_ORDERS": str(self.orders)}
        command = [sys.executable, "-m", "typedbus", "run", f"examples.shop_nats.{name}:{PROGRAMS[name]}"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)

    def start_all(self) -> None:
        """Start the broker, and the others when its server has a token."""
        self.start("broker")
        wait((self.folder / "server" / "token").is_file, self.running["broker"])
        for name in PROGRAMS:
            if name != "broker":
                self.start(name)

    def kill(self, name: str) -> None:
        """Kill *name* with SIGKILL; a process is started again here, the server by its broker."""
        if name == "server":
            # The server names this file after its pid.
            files = sorted((self.folder / "server" / "ports").glob("*.ports"), key=lambda file: file.stat().st_mtime)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(int(files[-1].stem.rpartition("_")[2]), signal.SIGKILL)
                self.kills[name] += 1
            return
        process = self.running[name]
        process.kill()
        process.wait()
        self.kills[name] += 1
        self.start(name)

    def stop(self) -> list[str]:
        """Stop all processes in order, and return the names of those that failed."""
        failed: list[str] = []
        for name in reversed(PROGRAMS):
            if (process := self.running.get(name)) is not None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                # A process that was started again just before may end by the signal before it has a handler.
                if process.returncode not in (0, -signal.SIGTERM):
                    failed.append(f"{name} ended with status {process.returncode}")
        return failed

    def counts(self) -> Counts:
        """Read the databases."""
        repeated = [
            [
                self._number(name, f"SELECT count(*) FROM repeated WHERE {condition}")
                for name in ("invoicing", "shipping")
            ]
            for condition in ("attempt > 1", "was_duplicate")
        ]
        return Counts(
            self._number("front", "SELECT count(*) FROM orders"),
            self._number("invoicing", "SELECT count(*) FROM invoices"),
            self._number("shipping", "SELECT count(*) FROM parcels"),
            sum(repeated[0]),
            sum(repeated[1]),
        )

    def faults(self) -> list[str]:
        """Compare the databases, and return each difference."""
        orders = self._rows("front", "SELECT number, quantity * price FROM orders")
        invoices = self._rows("invoicing", 'SELECT "order", total FROM invoices')
        parcels = self._rows("shipping", 'SELECT "order" FROM parcels')
        numbers = sorted(number for number, _ in orders)
        found: list[str] = []
        if numbers != list(range(1, self.orders + 1)):
            found.append(f"{len(numbers)} orders were taken, of {self.orders}")
        if sorted(invoices) != sorted(orders):
            found.append(f"{len(orders)} orders have {len(invoices)} invoices, or a total is wrong")
        if sorted(parcels) != [(number,) for number in numbers]:
            found.append(f"{len(orders)} orders have {len(parcels)} parcels")
        return found

    def _number(self, name: str, query: str) -> int:
        try:
            ((number,),) = self._rows(name, query)
        except sqlite3.OperationalError:
            return 0  # the process has not created it yet
        return int(number)

    def _rows(self, name: str, query: str) -> list[tuple[int, ...]]:
        file = self.folder / f"{name}.db"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()


def wait(until: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """
    Wait until *until* returns True.

    Raises:
        TimeoutError: *process* has ended before, or *seconds* are over.
    """
    end = time.monotonic() + seconds
    while not until():
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"the process {process.pid} is not ready")
        time.sleep(_LOOK)


def table_of(shop: Shop, counts: Counts, began: float) -> Table:
    """Return the counts as a table."""
    table = Table(title=f"{time.monotonic() - began:.0f} s, {sum(shop.kills.values())} kills", min_width=60)
    for name in ("orders", "invoices", "parcels", "redelivered", "duplicates"):
        table.add_column(name, justify="right")
    table.add_row(*(f"{count:,}" for count in attrs.astuple(counts)))
    table.caption = "killed: " + ", ".join(f"{name} {count}" for name, count in shop.kills.items())
    return table


def run(shop: Shop, kills: int, limit: float) -> list[str]:
    """Run *shop* until each order has a parcel, with *kills* kills, and return what is wrong."""
    console = Console()
    began = last_kill = last_line = time.monotonic()
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
    random.shuffle(victims)
    try:
        shop.start_all()
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while (counts := shop.counts()).parcels < shop.orders or victims:
                now = time.monotonic()
                if now - began > limit:
                    return [f"it did not end within {limit:g} s; see the logs in {shop.folder}", *shop.faults()]
                if console.is_terminal:
                    live.update(table_of(shop, counts, began), refresh=True)
                elif now - last_line > 1:
                    last_line = now
                    print(f"{now - began:.0f} s: {counts}, {sum(shop.kills.values())} kills", flush=True)
                if victims and counts.invoices and now - last_kill > _CALM:
                    last_kill = now
                    shop.kill(victims.pop())
                time.sleep(_LOOK)
        console.print(table_of(shop, counts, began))
    except TimeoutError as error:
        return [str(error)]
    finally:
        failed = shop.stop()
    return [*failed, *shop.faults()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop_nats", description=__doc__)
    parser.add_argument("--orders", type=int, default=3000, help="how many orders are taken (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=12, help="how often something is killed (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep databases, streams and logs here")
    parser.add_argument("--seconds", type=float, default=300.0, help="give up after this time (default: %(default)s)")
    parsed = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = parsed.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
        folder.mkdir(parents=True, exist_ok=True)
        shop = Shop(folder.resolve(), parsed.orders)
        faults = run(shop, parsed.kills, parsed.seconds)
        for name in PROGRAMS if faults else ():
            log = (folder / f"{name}.log").read_text(errors="replace").splitlines()
            print(f"--- the end of {name}.log", *log[-15:], sep="\n")
    print("\n".join(faults) or f"each of {parsed.orders:,} orders has one invoice and one parcel")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
