"""Async hooks, publishes, checks and requests on event loops of each kind: of asyncio, with eager tasks, and of uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import AsyncBoundChannel, AsyncChannel, Bus, Component, Container, on, running
from typedbus.plugins.health import READY, Check, Health
from typedbus.servers.asgi import ASGIServer

in_order = AsyncChannel[[int], str]("in_order")
side_by_side = AsyncChannel[[int], str]("side_by_side", concurrent=True)


def eager_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose tasks take their first step when they are created."""
    loop = asyncio.new_event_loop()
    module: Any = asyncio
    loop.set_task_factory(module.eager_task_factory)
    return loop


def uvloop_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop, which need not be installed."""
    import uvloop

    return uvloop.new_event_loop()


every_loop = pytest.mark.parametrize(
    "new_loop",
    [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(
            eager_loop,
            id="eager",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"),
        ),
        pytest.param(
            uvloop_loop,
            id="uvloop",
            marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"),
        ),
    ],
)


class Prices:
    """An async component that listens with a function that suspends, and with one that does not."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def start(self) -> None:
        self.calls.append("start")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("stop")

    @on(in_order, priority=40)
    @on(side_by_side)
    async def suspends(self, number: int) -> str:
        await asyncio.sleep(0)
        return f"suspends {number}"

    @on(in_order)
    @on(side_by_side)
    async def returns(self, number: int) -> str:
        return f"returns {number}"

    @on(READY)
    async def check(self) -> Check:
        return Check(asyncio.current_task() is not None, "in a task")


class App:
    """Answers with the results of two publishes."""

    def __init__(self, first: AsyncBoundChannel[[int], str], second: AsyncBoundChannel[[int], str]) -> None:
        self.first = first
        self.second = second

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = repr(await self.first.publish(1) + await self.second.publish(2)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


class Site(Container):
    bus = Component(Bus)
    prices = Component(Prices)
    app = Component(App, bus.provided[in_order], bus.provided[side_by_side])
    server = Component(ASGIServer, bus.provided, app.provided, bind="127.0.0.1:0")
    health = Component(Health, bus.provided)


RESULTS = ["suspends 1", "returns 1", "suspends 2", "returns 2"]


def get(address: str) -> str:
    """Return the body of an answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


@every_loop
def test_the_loop_of_the_bus_may_be_of_any_kind(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Threads publish and probe on it."""
    site = Site()
    site.bus().loop_factory = new_loop

    with running(site):
        body = get(site.server().address)
        results = site.bus()[side_by_side].publish_from_thread(3)
        probe = site.health().ready()

    assert body == repr(RESULTS)
    assert results == ["suspends 3", "returns 3"]
    assert [(check.is_ok, check.detail) for check in probe.checks] == [(True, "in a task")]
    assert site.prices().calls == ["start", "stop"]


@every_loop
def test_the_loop_of_the_caller_may_be_of_any_kind(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Its tasks publish and probe."""
    site = Site()

    async def main() -> None:
        async with running(site):
            body = await asyncio.to_thread(get, site.server().address)
            results = await site.bus()[in_order].publish(3)
            probe = await site.health().ready_async()

        assert body == repr(RESULTS)
        assert results == ["suspends 3", "returns 3"]
        assert [(check.is_ok, check.detail) for check in probe.checks] == [(True, "in a task")]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())

    assert site.prices().calls == ["start", "stop"]
