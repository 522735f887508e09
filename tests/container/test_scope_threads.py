"""Scopes in several threads, and in forked child processes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from logging import WARNING

import pytest
from tests.doubles import LIMIT
from tests.processes import in_child

from typedbus import LOG, SESSION, Bus, Component, Container, ScopeBusy, ScopeClosed, Scoped, running

NEEDS_FORK = pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")

events: list[str] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    events.clear()


class Engine:
    """Lives as long as the container."""


class Session:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def open_session(engine: Engine) -> Iterator[Session]:
    events.append(f"open in {threading.current_thread().name}")
    try:
        yield Session(engine)
    except BaseException:
        events.append("rollback")
        raise
    else:
        events.append(f"commit in {threading.current_thread().name}")


async def open_connection(engine: Engine) -> AsyncIterator[Session]:
    yield Session(engine)
    events.append(f"async commit in {threading.current_thread().name}")


class Orders:
    def __init__(self, session: Session) -> None:
        self.session = session


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)
    connection = Scoped(open_connection, engine.provided)
    orders = Scoped(Orders, session.provided)


def test_a_scope_is_handed_from_thread_to_thread() -> None:
    """As by a web framework, which opens and closes it in other threads than that of the handler."""
    scope = Shop().scope()
    with ThreadPoolExecutor(1, "first") as first, ThreadPoolExecutor(1, "second") as second:
        first.submit(scope.__enter__).result(LIMIT)
        session = first.submit(scope.__getitem__, Shop.session).result(LIMIT)
        assert second.submit(scope.__getitem__, Shop.orders).result(LIMIT).session is session
        second.submit(scope.__exit__, None, None, None).result(LIMIT)
    assert events == ["open in first_0", "commit in second_0"]


def test_an_async_scope_is_used_in_a_thread_pool() -> None:
    """Sync handlers of async frameworks run there."""

    async def use() -> None:
        async with Shop().scope() as scope:
            connection = await scope.get(Shop.connection)
            orders = await asyncio.to_thread(lambda: scope[Shop.orders])
            assert orders.session.engine is connection.engine
            assert await asyncio.to_thread(lambda: scope[Shop.connection]) is connection

    asyncio.run(use())
    assert events[0].startswith(("open in asyncio_", "open in uvloop_"))
    assert events[1:] == ["commit in MainThread", "async commit in MainThread"]


def test_threads_have_scopes_of_their_own_on_one_container() -> None:
    """Each object is built once in each scope, and the component behind them once."""
    count = 8
    at_once = threading.Barrier(count)

    def work() -> Orders:
        with shop.scope() as scope:
            at_once.wait(LIMIT)
            orders = scope[Shop.orders]
            assert scope[Shop.orders] is orders
            at_once.wait(LIMIT)
            return orders

    shop = Shop()
    with running(shop), ThreadPoolExecutor(count) as pool:
        orders = [future.result(LIMIT) for future in [pool.submit(work) for _ in range(count)]]

    assert len({id(each.session) for each in orders}) == count
    assert {each.session.engine for each in orders} == {shop.engine()}
    assert sum(event.startswith("commit") for event in events) == count


def test_a_second_thread_that_builds_in_a_scope_is_refused() -> None:
    """And the first one is not disturbed."""
    is_building, may_continue = threading.Event(), threading.Event()

    def slow(engine: Engine) -> Session:
        is_building.set()
        may_continue.wait(LIMIT)
        return Session(engine)

    class SlowShop(Shop):
        session = Scoped(slow, Shop.engine.provided)

    with SlowShop().scope() as scope, ThreadPoolExecutor(1) as pool:
        first = pool.submit(scope.__getitem__, SlowShop.orders)
        try:
            assert is_building.wait(LIMIT)
            with pytest.raises(ScopeBusy):
                scope[SlowShop.orders]
        finally:
            may_continue.set()
        assert first.result(LIMIT) is scope[SlowShop.orders]


def test_an_object_that_a_thread_opens_after_the_end_of_the_scope_is_closed_at_once() -> None:
    """The thread gets an error in place of an object that nothing would commit."""
    is_building, may_continue = threading.Event(), threading.Event()

    def slow(engine: Engine) -> Iterator[Session]:
        is_building.set()
        may_continue.wait(LIMIT)
        yield from open_session(engine)

    class SlowShop(Shop):
        session = Scoped(slow, Shop.engine.provided)

    with ThreadPoolExecutor(1) as pool:
        try:
            with SlowShop().scope() as scope:
                orders = pool.submit(scope.__getitem__, SlowShop.orders)
                assert is_building.wait(LIMIT)
        finally:
            may_continue.set()
        with pytest.raises(ScopeClosed, match=r"SlowShop\.orders belongs to it"):
            orders.result(LIMIT)
    assert events[1:] == ["rollback"]


def test_an_object_that_a_task_opens_after_the_end_of_the_scope_is_closed_at_once() -> None:
    """As after `asyncio.gather`, which leaves the block with the first failure while the other tasks go on."""

    async def slow(may_continue: asyncio.Event) -> AsyncIterator[Session]:
        await may_continue.wait()
        try:
            yield Session(Engine())
        finally:
            events.append("closed")

    class SlowShop(Shop):
        may_continue = Component(asyncio.Event)
        session = Scoped(slow, may_continue.provided)
        other = Scoped(slow, may_continue.provided)

    async def main() -> None:
        shop = SlowShop()
        async with shop.scope() as scope:
            session = asyncio.ensure_future(scope.get(SlowShop.session))
            with pytest.raises(ScopeBusy):
                await asyncio.gather(session, scope.get(SlowShop.other))
        shop.may_continue().set()
        with pytest.raises(ScopeClosed):
            await session
        assert events == ["closed"]

    asyncio.run(main())


def test_an_object_of_a_session_that_opens_after_the_end_of_the_session_is_closed_at_once() -> None:
    """It was requested in the scope of a request, which is still open."""

    async def slow(may_continue: asyncio.Event) -> AsyncIterator[Session]:
        await may_continue.wait()
        try:
            yield Session(Engine())
        finally:
            events.append("closed")

    class Chat(Container):
        may_continue = Component(asyncio.Event)
        session = Scoped(slow, may_continue.provided).at(SESSION)

    async def main() -> None:
        chat = Chat()
        connection = chat.scope(level=SESSION)
        await connection.__aenter__()
        async with connection.scope() as request:
            session = asyncio.ensure_future(request.get(Chat.session))
            await asyncio.sleep(0)
            await connection.__aexit__(None, None, None)
            chat.may_continue().set()
            with pytest.raises(ScopeClosed):
                await session
            assert events == ["closed"]

    asyncio.run(main())


# Forks.


@NEEDS_FORK
def test_a_scope_that_another_thread_had_opened_before_a_fork_is_not_open_in_the_child() -> None:
    """Its thread does not exist there: no stop reports it, and objects may be overridden."""
    shop = Shop()
    is_open, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with shop.scope():
            is_open.set()
            may_end.wait(LIMIT)

    def check() -> None:
        warnings: list[str] = []
        shop.bus()[LOG].subscribe(lambda message, level: warnings.append(message) if level >= WARNING else None)
        fake = Session(Engine())
        with running(shop), shop.override(Shop.session).by(fake), shop.scope() as scope:
            assert scope[Shop.orders].session is fake
        assert warnings == []

    thread = threading.Thread(target=work)
    with running(shop):
        thread.start()
        try:
            assert is_open.wait(LIMIT)
            in_child(check)
        finally:
            may_end.set()
            thread.join()


@NEEDS_FORK
def test_the_child_of_a_fork_opens_scopes_with_components_of_its_own() -> None:
    """The compiled code of the parent's scopes is not used with its components."""
    shop = Shop()

    def check() -> None:
        with running(shop), shop.scope() as scope:
            assert scope[Shop.session].engine is shop.engine() is not engine
        assert events == ["open in MainThread", "commit in MainThread"] * 2

    with running(shop):
        with shop.scope() as scope:
            engine = scope[Shop.session].engine
        in_child(check)


@NEEDS_FORK
def test_a_block_that_continues_in_a_child_closes_its_scope_there_as_well() -> None:
    """As every ``with`` block does; a child that must not do so ends with `os._exit`."""
    shop = Shop()

    def check() -> None:
        stack.close()
        assert events == ["open in MainThread", "commit in MainThread"]

    with running(shop), contextlib.ExitStack() as stack:
        stack.enter_context(shop.scope())[Shop.session]
        in_child(check)
        assert events == ["open in MainThread"]
