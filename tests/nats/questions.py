"""Ports and responders on a server, for tests of questions and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.nats.links import holds
from tests.nats.servers import NatsServer
from tests.processes import LIMIT
from typing_extensions import ParamSpec

from typedbus import LOG, AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import LINK, Answer, AskPort, GatherPort, Link, LinkEvent, Responder, ask, gather

P = ParamSpec("P")
R = TypeVar("R")

quote_wanted = Channel[[str], int]("quote_wanted")
price_wanted = AsyncChannel[[str], int]("price_wanted")

#: The subject of `quote_wanted`.
SUBJECT = "typedbus.ask.quote_wanted"


def length(name: str) -> int:
    """Return the result of the listener of most tests."""
    return len(name)


@contextlib.asynccontextmanager
async def asking(
    link: Link, channel: Channel[P, R] | AsyncChannel[P, R], seconds: float = 30.0
) -> AsyncIterator[AskPort[P, R]]:
    """Give a started port, and stop it; it must leave no handler."""
    port = ask(link, channel, timeout=seconds)
    await port.start()
    try:
        yield port
    finally:
        await port.stop()
    assert link.session("test").replies.handlers == {}


@contextlib.asynccontextmanager
async def gathering(
    link: Link, channel: Channel[P, R] | AsyncChannel[P, R], seconds: float = 30.0, **options: Any
) -> AsyncIterator[GatherPort[P, R]]:
    """Give a started port, and stop it; it must leave no handler."""
    port = gather(link, channel, timeout=seconds, **options)
    await port.start()
    try:
        yield port
    finally:
        await port.stop()
    assert link.session("test").replies.handlers == {}


class Site:
    """
    A container with a responder.

    Attributes:
        container: The container.
        bus: Its bus.
        events: The events of its link.
        log: What it has logged.
    """

    def __init__(
        self,
        server: NatsServer,
        channel: Any,
        *listeners: Callable[..., Any],
        name: str = "pricing",
        user: str = "",
        **options: Any,
    ) -> None:
        kind: Any = Responder  # its type parameters are those of the channel, which is Any here
        url = server.url.replace("//", f"//{user}@" if user else "//")

        class Pricing(Container):
            bus = Component(Bus)
            link = Component(Link, bus.provided, [url], name=name)
            responder = Component(kind, link.provided, bus.provided[channel], **{"group": "pricing", **options})

        self.container = Pricing()
        self.bus = self.container.bus()
        self.events: list[LinkEvent] = []
        self.log: list[str] = []
        self.bus[LINK].subscribe(self.events.append)
        self.bus[LOG].subscribe(lambda message, _level: self.log.append(message))
        for listener in listeners:
            self.bus[channel].subscribe(listener)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the container, from when the server passes questions on."""
        async with running(self.container):
            await holds(self.is_ready, lambda: "\n".join(self.log))
            yield

    def is_ready(self) -> bool:
        """Return whether the server passes questions on."""
        run = self.bus.runs.get("Pricing.responder")
        return run is not None and run.beat_at is not None


@contextlib.asynccontextmanager
async def answering(
    server: NatsServer, channel: Any, *listeners: Callable[..., Any], **options: Any
) -> AsyncIterator[Site]:
    """Give a running `Site`."""
    site = Site(server, channel, *listeners, **options)
    async with site.running():
        yield site


async def unanswered(client: Client) -> asyncio.Queue[Msg]:
    """Receive the questions on `quote_wanted` without answering them."""
    received: asyncio.Queue[Msg] = asyncio.Queue()
    await client.subscribe(SUBJECT, cb=received.put)
    await client.flush()
    return received


async def answered(port: AskPort[P, R], *args: P.args, **kwargs: P.kwargs) -> Answer[R]:
    """Ask until there is an answer."""
    async with asyncio.timeout(LIMIT):
        while not isinstance(answer := await port.ask(*args, **kwargs), Answer):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return answer
