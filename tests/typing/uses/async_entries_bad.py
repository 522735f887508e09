"""Wrong uses of the ways in which a program with async components begins: each marked line is refused."""

import asyncio
import contextlib

from async_entries_good import Metrics, Shop, main
from async_good import placed
from declared import Order

from typedbus import Bus, Component, run, running


async def blocks(shop: Shop) -> None:
    async with running():  # E
        pass
    async with running(Bus):  # E
        pass
    async with running(shop.bus):  # E
        pass
    async with running(shop.bus()):  # E
        pass
    async with running("shop"):  # E
        pass
    async with running(Shop, 2):  # E
        pass
    async with running(Shop, workers="2"):  # E
        pass
    async with running(Shop, limits=5):  # E
        pass
    async with running(Shop, timeout=5):  # E
        pass
    async with running(container=Shop):  # E
        pass
    async with await running(Shop):  # E
        pass
    async with running(Shop)():  # E
        pass
    async with running:  # E
        pass
    async with Shop():  # E
        pass
    async with run(Shop):  # E
        pass
    await running(Shop)  # E
    async for _ in running(Shop):  # E
        pass
    running(Shop).bus  # E
    async with running(Shop) as running_shop:
        running_shop.typo  # E
        await running_shop.bus()  # E
        running_shop.bus()[placed].publish(Order("tea"))  # E
        r1: Metrics = running_shop  # E
        print(r1)
    async with running(Shop, Metrics) as first:
        r2: Metrics = first  # E
        print(r2)


def plain_blocks(shop: Shop) -> None:
    with running(shop.bus()):  # E
        pass
    with main():  # E
        pass
    with running(Shop) as running_shop:
        running_shop.bus()[placed].publish(Order("tea"))  # E
        running_shop.bus().start_async()  # E
        running_shop.bus()[placed].publish_from_thread("tea")  # E
    for _ in running(Shop):  # E
        pass


async def stacks() -> None:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_async_context(running(Shop))  # E
        r1: Metrics = await stack.enter_async_context(running(Shop))  # E
        print(r1)
    with contextlib.ExitStack() as plain:
        plain.enter_context(main())  # E


def programs(shop: Shop) -> None:
    main()  # E
    run(main())  # E
    run(main)  # E
    run()  # E
    run(shop.bus())  # E
    run(Shop, loop_factory=asyncio)  # E
    run(Shop, loop_factory=asyncio.run)  # E
    run(Shop, loop_factory=asyncio.get_event_loop_policy)  # E
    run(Shop, asyncio.new_event_loop)  # E
    run(Shop, factory=asyncio.new_event_loop)  # E
    asyncio.run(run(Shop))  # E
    asyncio.run(running(Shop))  # E
    asyncio.run(Shop())  # E
    asyncio.run(main)  # E
    r1: str = asyncio.run(main())  # E
    r2: None = run(Shop)  # E
    print(r1, r2)
    Bus(asyncio.new_event_loop)  # E
    Component(Bus, loop_factory="uvloop")  # E
    Component(Bus, loop_factory=asyncio.new_event_loop())  # E


async def awaited() -> None:
    main()  # E
    await run(Shop)  # E
    await asyncio.to_thread(run(Shop))  # E
