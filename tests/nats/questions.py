"""Ports and responders on a server, for tests of questions and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from tests.nats.servers import NatsServer
from tests.processes import LIMIT
from typing_extensions import ParamSpec

from typedbus import AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import Answer, AskPort, GatherPort, Link, Responder, ask, gather

P = ParamSpec("P")
R = TypeVar("R")

quote_wanted = Channel[[str], int]("quote_wanted")
price_wanted = AsyncChannel[[str], int]("price_wanted")


@contextlib.asynccontextmanager
async def linked(server: NatsServer, **options: Any) -> AsyncIterator[Link]:
    """Give a started link to *server*, and stop it."""
    link = Link(Bus(), [server.url], **{"name": "front", **options})
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def asking(
    link: Link, channel: Channel[P, R] | AsyncChannel[P, R], within: float = 30.0
) -> AsyncIterator[AskPort[P, R]]:
    """Give a started port, and stop it."""
    port = ask(link, channel, timeout=within)
    await port.start()
    try:
        yield port
    finally:
        await port.stop()


@contextlib.asynccontextmanager
async def gathering(
    link: Link, channel: Channel[P, R] | AsyncChannel[P, R], within: float = 30.0, **options: Any
) -> AsyncIterator[GatherPort[P, R]]:
    """Give a started port, and stop it."""
    port = gather(link, channel, timeout=within, **options)
    await port.start()
    try:
        yield port
    finally:
        await port.stop()


@contextlib.asynccontextmanager
async def answering(
    server: NatsServer, channel: Any, *listeners: Callable[..., Any], name: str = "pricing", **options: Any
) -> AsyncIterator[Bus]:
    """Give the bus of a site with a responder that takes questions."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], name=name)
        responder = Component(
            Responder[..., Any], link.provided, bus.provided[channel], **{"group": "pricing", **options}
        )

    site = Site()
    bus = site.bus()
    for listener in listeners:
        bus[channel].subscribe(listener)
    async with running(site):
        await eventually(lambda: bus.runs["Site.responder"].beat_at is not None)
        yield bus


async def answered(port: AskPort[P, R], *args: P.args, **kwargs: P.kwargs) -> Answer[R]:
    """Ask until there is an answer."""
    async with asyncio.timeout(LIMIT):
        while not isinstance(answer := await port.ask(*args, **kwargs), Answer):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return answer


async def eventually(condition: Callable[[], object], describe: Callable[[], str] = str) -> None:
    """Return as soon as *condition* holds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while not condition():  # noqa: ASYNC110  # any condition, and no event for it
                await asyncio.sleep(0.005)
    assert condition(), describe()
