"""Processes that are killed at any point lose no committed event, and no event takes effect twice."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nats.connections import SYNC, Places
from tests.nats.servers import NatsServer
from tests.nats.test_outbox import count_in, site, stored
from tests.processes import programs, until, without_frameworks

from typedbus import running
from typedbus.nats import Inbox

pytestmark = pytest.mark.slow

RELAY = """
import sqlite3, sys
import psycopg
from typedbus import Bus, Component, Container, running
from typedbus.nats import Link, Outbox

kind, address, server = sys.argv[1:]
connect = {"sqlite3": sqlite3.connect, "psycopg": psycopg.connect}[kind]

class Relay(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, [server])
    outbox = Component(Outbox, link.provided, lambda: connect(address), every=0.01, batch=3)

with running(Relay) as relay:
    print("started", flush=True)
    relay.bus().block()
"""


@pytest.fixture(autouse=True)
def quick_starts(tmp_path: Path) -> Iterator[None]:
    """The programs need no web frameworks."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    with without_frameworks(hidden):
        yield


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite3", "psycopg"])
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_a_relay_that_is_killed_sends_the_committed_events_in_order(
    kind: str, kills: int, places: Places, server: NatsServer, tmp_path: Path
) -> None:
    address = str(places.file) if kind == "sqlite3" else places.database().address
    chance = random.Random(kills)
    committed: list[int] = []
    with SYNC[kind](places) as connect, programs(tmp_path) as begin, contextlib.closing(connect()) as connection:
        shop = site(server, connect)
        shop.outbox().create_table(connection)
        connection.commit()
        with running(shop):  # creates the streams
            pass
        for transaction in range(200):
            numbers = [transaction * 10 + number for number in range(chance.randint(1, 3))]
            for number in numbers:
                shop.outbox().add(connection, shop.placed(), number)
            if transaction % 10 == 9:
                connection.rollback()
            else:
                connection.commit()
                committed += numbers
            if (transaction + 1) % (200 // kills) == 0:
                goal = chance.randrange(count_in(connection))
                relay = begin(RELAY, kind, address, server.url)
                relay.reach("started")
                while count_in(connection) > goal:
                    assert relay.child.poll() is None, relay.output
                relay.kill()
        begin(RELAY, kind, address, server.url)
        until(lambda: count_in(connection) == 0)

    assert [number for _, number in stored(server)] == committed


DYING = """
import os, signal, sqlite3, sys
from typedbus import Bus, Component, Container, running
from typedbus.nats import Link, Outbox

file, server = sys.argv[1:]

class Dying(sqlite3.Connection):
    def commit(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Relay(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, [server])
    outbox = Component(Outbox, link.provided, lambda: sqlite3.connect(file, factory=Dying))

with running(Relay) as relay:
    relay.bus().block()
"""


def test_a_relay_that_is_killed_between_acknowledgement_and_deletion_stores_no_event_twice(
    server: NatsServer, tmp_path: Path
) -> None:
    file = tmp_path / "shop.db"
    shop = site(server, lambda: sqlite3.connect(file))
    with contextlib.closing(sqlite3.connect(file)) as connection, programs(tmp_path) as begin:
        shop.outbox().create_table(connection)
        with running(shop):  # creates the streams
            pass
        ids = [shop.outbox().add(connection, shop.placed(), number) for number in (1, 2)]
        connection.commit()
        assert begin(DYING, file, server.url).end() == -9
        assert stored(server) == [*zip(ids, (1, 2), strict=True)]
        assert count_in(connection) == 2
        with running(shop):
            until(lambda: count_in(connection) == 0)

    assert stored(server) == [*zip(ids, (1, 2), strict=True)]


CONSUMER = """
import os, signal, sqlite3, sys
from typedbus import Bus, Channel, Component, Container, on, running
from typedbus.nats import Consumer, Inbox, Link, Redelivery, delivery

placed = Channel[[int], None]("order_placed")
file, server, is_killed = sys.argv[1:]
inbox = Inbox("invoicing")

class Invoicing:
    @on(placed)
    def write_invoice(self, number: int, /) -> None:
        with sqlite3.connect(file) as connection:
            if inbox.seen(connection, delivery().message_id):
                print("seen", number, "attempt", delivery().attempt, flush=True)
                return
            connection.execute("INSERT INTO invoices VALUES (?)", [number])
        if is_killed == "True":
            os.kill(os.getpid(), signal.SIGKILL)
        print("written", number, flush=True)

class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, [server])
    invoicing = Component(Invoicing)
    consumer = Component(
        Consumer, link.provided, bus.provided[placed], stream="ORDERS", group="invoicing",
        redelivery=Redelivery(ack_wait=1.0),
    )

with running(Site) as site:
    site.bus().block()
"""


def test_an_event_takes_effect_once_if_its_consumer_is_killed_after_the_commit(
    server: NatsServer, tmp_path: Path
) -> None:
    file = tmp_path / "invoices.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE invoices (number INTEGER)")
    Inbox("invoicing").create_table(connection)
    connection.commit()
    with running(site(server, lambda: sqlite3.connect(tmp_path / "none.db"))) as shop:
        shop.placed().publish_from_thread(1)
    with programs(tmp_path) as begin:
        assert begin(CONSUMER, file, server.url, True).end() == -9
        again = begin(CONSUMER, file, server.url, False)
        again.reach_line("seen 1 attempt 2")

    assert connection.execute("SELECT number FROM invoices").fetchall() == [(1,)]
    connection.close()
