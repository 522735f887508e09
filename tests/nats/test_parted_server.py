"""A link leaves a server that does not read any more, also with messages that wait to be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.nats.servers import NatsServer, raw
from tests.processes import until

from typedbus import Bus, Component, Container, on, running
from typedbus.nats import LINK, Connected, Link, LinkEvent

pytestmark = pytest.mark.slow


class Log:
    """The events of a link."""

    def __init__(self) -> None:
        self.events: list[LinkEvent] = []

    @on(LINK)
    def take(self, event: LinkEvent) -> None:
        self.events.append(event)


@pytest.mark.exhaustive
def test_a_link_with_unsent_messages_leaves_a_frozen_server(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "one") as one, NatsServer(tmp_path / "two") as two:

        class Site(Container):
            bus = Component(Bus)
            log = Component(Log)
            link = Component(Link, bus.provided, [one.url, two.url])

        with running(Site) as site:
            log = site.log()
            first = log.events[0]
            assert isinstance(first, Connected)
            frozen, other = (one, two) if first.server == one.url else (two, one)
            frozen.freeze()
            session = site.link().session("flood")

            def send(data: bytes) -> None:
                session.connection.send("flood", data)

            for _ in range(500):
                session.handover.call(send, bytes(65_536))
            until(lambda: Connected(other.url) in log.events, lambda: str(log.events), limit=20)
            asyncio.run(_is_received(other, lambda: session.handover.call(send, b"after")))


async def _is_received(server: NatsServer, send: Callable[[], object]) -> None:
    async with raw(server) as client:
        messages = await client.subscribe("flood")
        await client.flush()
        send()
        async for message in messages.messages:
            if message.data == b"after":
                break
