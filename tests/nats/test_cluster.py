"""
Three servers with three copies of each event: leaders are killed, frozen and parted from the others under load.

Whatever was acknowledged is in the stream, once, and every event has its effect once in a listener with an inbox.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import attrs
import pytest
from nats.errors import Error
from nats.js.api import StreamInfo
from tests.nats.networks import network
from tests.nats.servers import NatsServer, cluster, raw
from tests.processes import until

from typedbus import Bus, Channel, Component, Container, on, running
from typedbus.nats import (
    LINK,
    Connected,
    Consumer,
    EventPort,
    Link,
    LinkEvent,
    NotStored,
    OutcomeUnknown,
    Receipt,
    Stream,
    delivery,
    event,
)

pytestmark = pytest.mark.exhaustive

#: Longer than the election of a leader, which takes 4 to 9 seconds.
DEADLINE = 15.0
#: Seconds that a call may take beyond its deadline.
TOLERANCE = 0.3
#: Seconds between two events of the load.
PACE = 0.002
NAME = "ORDERS"

placed = Channel[[int], None]("placed")


class Books:
    """A listener with an inbox."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.orders: collections.Counter[int] = collections.Counter()
        self.deliveries = 0

    @on(placed)
    def enter(self, number: int) -> None:
        """Count the order, unless the inbox has its message."""
        self.deliveries += 1
        message = delivery().message_id
        if message not in self.seen:
            self.seen.add(message)
            self.orders[number] += 1


class Servers:
    """The servers to which a link was connected, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @on(LINK)
    def take(self, event: LinkEvent) -> None:
        """Add a server."""
        if isinstance(event, Connected):
            self.names.append(event.server)


@attrs.define(eq=False)
class Load:
    """
    Submits the numbers from 0 on, each with itself as its id, from a thread.

    An event that failed is published again with the same id, as the error for an unknown outcome says.
    """

    port: EventPort[[int]]
    receipts: dict[int, Receipt] = attrs.field(factory=dict)
    unknown: list[int] = attrs.field(factory=list)
    not_stored: list[NotStored] = attrs.field(factory=list)
    failed: list[BaseException] = attrs.field(factory=list)
    longest: float = 0.0
    count: int = 0
    _is_ended: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._submit, name="load")

    def start(self) -> None:
        self._thread.start()

    def store(self, count: int) -> None:
        """Return when *count* more events are stored."""
        before = len(self.receipts)
        until(lambda: len(self.receipts) >= before + count, lambda: "nothing is stored any more")

    def end(self) -> None:
        """Submit no more, await all outcomes, and publish again what is unknown."""
        self._is_ended.set()
        self._thread.join()
        until(lambda: len(self.receipts) + len(self.unknown) + len(self.not_stored) + len(self.failed) == self.count)
        for number in (*self.unknown, *(int(error.message_id) for error in self.not_stored)):
            self.receipts[number] = self.port.keyed(str(number)).publish_from_thread(number)

    def _submit(self) -> None:
        while not self._is_ended.wait(PACE):
            number, began = self.count, time.monotonic()
            self.count += 1
            future = self.port.keyed(str(number)).submit(number)
            future.add_done_callback(functools.partial(self._done, number, began))

    def _done(self, number: int, began: float, future: Future[Receipt]) -> None:
        self.longest = max(self.longest, time.monotonic() - began)
        error = future.exception()
        if error is None:
            self.receipts[number] = future.result()
        elif isinstance(error, OutcomeUnknown):
            self.unknown.append(number)
        elif isinstance(error, NotStored):
            self.not_stored.append(error)
        else:
            self.failed.append(error)


async def _ask(servers: Sequence[NatsServer]) -> StreamInfo | None:
    for server in servers:
        try:
            async with asyncio.timeout(5), raw(server, allow_reconnect=False) as client:
                return await client.jetstream().stream_info(NAME)
        except (Error, TimeoutError, OSError):
            pass
    return None


def info(servers: Sequence[NatsServer]) -> StreamInfo | None:
    """Return the state of the stream that the first of *servers* reports, or None if there is no leader."""
    return asyncio.run(_ask(servers))


def leader(servers: Sequence[NatsServer]) -> NatsServer | None:
    """Return the server that leads the stream, as *servers* report it, if it is one of them."""
    state = info(servers)
    name = state.cluster.leader if state is not None and state.cluster is not None else None
    return next((server for server in servers if server.name == name), None)


def wait_for_leader(servers: Sequence[NatsServer]) -> None:
    """Return when one of *servers* leads the stream."""
    until(lambda: leader(servers) is not None, lambda: "no leader is elected")


def is_whole(servers: Sequence[NatsServer]) -> bool:
    """Whether every server has all events of the stream."""
    state = info(servers)
    replicas = state.cluster.replicas if state is not None and state.cluster is not None else None
    return replicas is not None and len(replicas) == len(servers) - 1 and all(each.current for each in replicas)


async def _stored(server: NatsServer) -> list[tuple[str, int]]:
    async with raw(server) as client:
        stream = client.jetstream()
        last = (await stream.stream_info(NAME)).state.last_seq
        messages = [await stream.get_msg(NAME, number) for number in range(1, last + 1)]
    return [((message.headers or {})["Nats-Msg-Id"], message.seq or 0) for message in messages]


def under_load(
    servers: Sequence[NatsServer],
    harm: Callable[[NatsServer], object],
    mend: Callable[[NatsServer], object],
    times: int,
) -> str:
    """
    Submit and consume while servers are harmed and mended; check every outcome, and return a summary.

    In turn it is the leader of the stream, and the server to which the link of the publisher is connected.
    """
    urls = [server.url for server in servers]

    class Shop(Container):
        bus = Component(Bus)
        servers = Component(Servers)
        link = Component(Link, bus.provided, urls)
        placed = Component(event, link.provided, placed, stream=Stream(NAME, replicas=3), deadline=DEADLINE)

    class Invoicing(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, urls)
        books = Component(Books)
        consumer = Component(
            Consumer, link.provided, bus.provided[placed], stream=Stream(NAME, replicas=3), group="invoicing"
        )

    with running(Shop) as shop, running(Invoicing) as invoicing:
        load, shop_servers = Load(shop.placed()), shop.servers()
        books = invoicing.books()
        load.start()
        try:
            for turn in range(times):
                load.store(200)
                connected = shop_servers.names[-1]
                harmed = leader(servers) if turn % 2 == 0 else next(one for one in servers if one.url == connected)
                assert harmed is not None
                others = [server for server in servers if server is not harmed]
                harm(harmed)
                wait_for_leader(others)
                load.store(200)
                mend(harmed)
                until(lambda: is_whole(servers), lambda: f"the servers do not agree again: {info(servers)}")
        finally:
            load.end()
        until(lambda: len(books.orders) == load.count, lambda: f"{len(books.orders)} of {load.count} were handled")

    assert len(shop_servers.names) > 1, "the publisher has lost no connection"
    assert load.failed == []
    assert load.longest <= DEADLINE + TOLERANCE
    stored = asyncio.run(_stored(servers[0]))
    assert sorted(key for key, _ in stored) == sorted(map(str, range(load.count)))
    assert {str(number): receipt.sequence for number, receipt in load.receipts.items()} == dict(stored)
    assert {receipt.message_id for receipt in load.receipts.values()} == {key for key, _ in stored}
    assert books.orders == collections.Counter(range(load.count))
    return (
        f"{load.count} events, published again: {len(load.unknown)} of unknown outcome and {len(load.not_stored)} not stored; "
        f"{sum(receipt.is_duplicate for receipt in load.receipts.values())} were recognised as duplicates, "
        f"{books.deliveries - load.count} delivered again, the longest submit took {load.longest:.2f} s"
    )


@pytest.mark.timeout(300)
def test_killed_leaders_lose_and_double_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        print(under_load(servers, NatsServer.kill9, NatsServer.start, times=4))


@pytest.mark.timeout(300)
def test_frozen_leaders_lose_and_double_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        print(under_load(servers, NatsServer.freeze, NatsServer.thaw, times=2))


@pytest.mark.timeout(300)
def test_leaders_that_are_parted_from_the_others_lose_and_double_nothing(tmp_path: Path) -> None:
    with network(3) as cables, cluster(tmp_path, [cable.place for cable in cables]) as servers:
        cable_of = {server: cable for server, cable in zip(servers, cables, strict=True)}
        print(
            under_load(servers, lambda server: cable_of[server].cut(), lambda server: cable_of[server].join(), times=2)
        )
