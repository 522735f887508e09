"""Events of a stream with replicas, while its leader is killed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from concurrent.futures import Future
from pathlib import Path

import nats.errors
import pytest
from tests.nats.links import body, holds, opened, run, stored
from tests.nats.servers import NatsServer, cluster, raw
from tests.processes import LIMIT

from typedbus import Bus
from typedbus.nats import Link, Receipt, Stream

pytestmark = pytest.mark.exhaustive

COUNT = 6000


async def leader_of(servers: list[NatsServer]) -> NatsServer:
    """Return the server that leads the stream, when one does."""
    running = [server for server in servers if server.child is not None]
    async with asyncio.timeout(LIMIT), raw(running[0]) as client:
        while True:
            with contextlib.suppress(nats.errors.Error):  # there is no leader
                state = (await client.jetstream().stream_info("ORDERS")).cluster
                for server in running:
                    if state is not None and server.name == state.leader:
                        return server
            await asyncio.sleep(0.1)


def test_each_event_is_stored_once_while_leaders_are_killed(tmp_path: Path) -> None:
    async def check(servers: list[NatsServer]) -> None:
        link = Link(Bus(), [server.url for server in servers])
        await link.start()
        async with opened(link, stream=Stream("ORDERS", replicas=3), deadline=LIMIT, window=200) as port:
            futures: list[Future[Receipt]] = []

            def submit() -> None:
                futures.extend(port.submit(number) for number in range(COUNT))

            def has(number: int) -> bool:
                return len(futures) >= number

            pumping = threading.Thread(target=submit)
            pumping.start()
            for kill in (1, 2):
                await holds(functools.partial(has, COUNT * kill // 3))
                leader = await leader_of(servers)
                await asyncio.to_thread(leader.kill9)
                await holds(functools.partial(has, COUNT * kill // 3 + 500))
                await asyncio.to_thread(leader.start)
            await asyncio.to_thread(pumping.join)
            receipts = await asyncio.gather(*map(asyncio.wrap_future, futures))
            bodies = await stored(servers[0])
            assert sorted(bodies) == sorted(map(body, range(COUNT)))
            assert all(bodies[one.sequence - 1] == body(number) for number, one in enumerate(receipts))
        await link.stop()

    with cluster(tmp_path) as servers:
        run(check(servers))
