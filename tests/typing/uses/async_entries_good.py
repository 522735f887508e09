"""Right uses of the ways in which a program with async components begins."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import assert_type

from async_good import placed
from async_hooks_good import Connection
from declared import Order, Receipt

from typedbus import Bus, Component, Container, Limits, run, running


class Shop(Container):
    bus = Component(Bus)
    connection = Component(Connection)


class Metrics(Container):
    bus = Component(Bus, loop_factory=asyncio.new_event_loop)


async def a_container_keeps_its_type(shop: Shop) -> None:
    async with running(Shop) as first:
        assert_type(first, Shop)
        assert_type(first.bus(), Bus)
        assert_type(await first.bus()[placed].publish(Order("tea")), list[Receipt])
    async with running(shop) as second:
        assert_type(second, Shop)
    async with running(Shop, Metrics(), workers=2, limits=Limits(stop=5)) as third:
        assert_type(third, Shop)
    async with running(Metrics), running(Shop()) as both:
        assert_type(both, Shop)
    runs = running(Shop)
    async with runs:
        pass
    async with runs as again:
        assert_type(again, Shop)


def the_same_object_serves_a_plain_block() -> None:
    with running(Shop) as shop:
        assert_type(shop, Shop)
        assert_type(shop.bus()[placed].publish_from_thread(Order("tea")), list[Receipt])
    with running(Shop(), Metrics) as shop:
        assert_type(shop.bus().run_on_loop(a_probe(shop.bus())).result(), bool)


async def a_probe(bus: Bus) -> bool:
    return bus.is_exit_requested


async def a_stack_takes_it() -> None:
    async with contextlib.AsyncExitStack() as stack:
        assert_type(await stack.enter_async_context(running(Shop)), Shop)
    with contextlib.ExitStack() as plain:
        assert_type(plain.enter_context(running(Shop())), Shop)


async def main() -> int:
    async with asyncio.timeout(5), running(Shop) as shop:
        await shop.bus().block_async()
    return 0


def programs() -> None:
    assert_type(asyncio.run(main()), int)
    assert_type(run(Shop), int)
    assert_type(run(Shop(), Metrics, loop_factory=asyncio.SelectorEventLoop), int)
    raise SystemExit(run(Shop, loop_factory=asyncio.new_event_loop))


@contextlib.asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[Shop]:
    async with running(Shop) as shop:
        yield shop


@contextlib.contextmanager
def fixture() -> Generator[Shop]:
    with running(Shop) as shop:
        yield shop
