"""Failures of scopes: of blocks and of two closings, in each form; and cancellations, before and during the closing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Self

import anyio
import pytest
from tests.doubles import LIMIT

from typedbus import Container, Scoped

Ends = Callable[[BaseException | None], None]


def generator(ends: Ends) -> Iterator[str]:
    error: BaseException | None = None
    try:
        yield "object"
    except BaseException as failure:
        error = failure
        raise
    finally:
        ends(error)


class Manager:
    def __init__(self, ends: Ends) -> None:
        self.ends = ends

    def __enter__(self) -> str:
        return "object"

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.ends(error)


async def async_generator(ends: Ends) -> AsyncIterator[str]:
    error: BaseException | None = None
    try:
        yield "object"
    except BaseException as failure:
        error = failure
        raise
    finally:
        await asyncio.sleep(0)
        ends(error)


class AsyncManager:
    def __init__(self, ends: Ends) -> None:
        self.ends = ends

    async def __aenter__(self) -> str:
        return "object"

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await asyncio.sleep(0)
        self.ends(error)


SYNC: dict[str, Any] = {
    "generator": generator,
    "contextmanager": contextlib.contextmanager(generator),
    "manager": Manager,
}
ASYNC: dict[str, Any] = {
    "async generator": async_generator,
    "asynccontextmanager": contextlib.asynccontextmanager(async_generator),
    "async manager": AsyncManager,
}


class Ending:
    """The end of an object: records the failure that it receives, and fails itself."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.received: list[BaseException | None] = []

    def __call__(self, error: BaseException | None) -> None:
        self.received.append(error)
        if self.failure is not None:
            raise self.failure


async def left(form: str, error: BaseException | None, *endings: Ending) -> BaseException | None:
    """Return the exception that leaves a scope with an object of *form* for each of *endings*, whose block raises *error*."""

    class Shop(Container):
        first = Scoped((SYNC | ASYNC)[form], endings[0])
        second = Scoped((SYNC | ASYNC)[form], endings[1])

    try:
        if form in ASYNC:
            async with Shop().scope() as scope:
                assert await scope.get(Shop.first) == await scope.get(Shop.second) == "object"
                if error is not None:
                    raise error
        else:
            with Shop().scope() as scope:
                assert scope[Shop.first] == scope[Shop.second] == "object"
                if error is not None:
                    raise error
    except BaseException as failure:
        return failure
    return None


FAILURES = (
    ValueError,
    asyncio.CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
    StopIteration,
    StopAsyncIteration,
)


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("form", [*SYNC, *ASYNC])
def test_the_failure_of_the_block_leaves_beside_two_failures_of_closing(form: str, kind: type[BaseException]) -> None:
    """Both objects receive it, and it has both failures as notes."""
    error, first, second = kind("body"), Ending(OSError("commit")), Ending(OSError("flush"))

    assert asyncio.run(left(form, error, first, second)) is error

    assert first.received == second.received == [error]
    assert [note.rpartition(": ")[2] for note in error.__notes__] == ["flush", "commit"]


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("form", [*SYNC, *ASYNC])
def test_the_failure_of_the_block_leaves_objects_that_close_well(form: str, kind: type[BaseException]) -> None:
    error, first, second = kind("body"), Ending(), Ending()

    assert asyncio.run(left(form, error, first, second)) is error

    assert first.received == second.received == [error]
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("form", [*SYNC, *ASYNC])
def test_two_failures_of_closing_leave_a_good_block_as_a_group(form: str) -> None:
    """The object that is closed last receives the first failure."""
    first, second = Ending(OSError("commit")), Ending(OSError("flush"))

    group = asyncio.run(left(form, None, first, second))

    assert isinstance(group, ExceptionGroup)
    assert group.exceptions == (second.failure, first.failure)
    assert (second.received, first.received) == ([None], [second.failure])


@pytest.mark.parametrize("form", [*SYNC, *ASYNC])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_of_a_closing_leaves_in_place_of_the_failure_of_the_block(
    form: str, kind: type[BaseException]
) -> None:
    """The failure of the block is its cause, and is what the other object receives."""
    error, interrupt = ValueError("body"), kind()
    first, second = Ending(), Ending(interrupt)

    assert asyncio.run(left(form, error, first, second)) is interrupt

    assert interrupt.__cause__ is error
    assert first.received == [error]


# Generators that are closed by their callers.


class Shop(Container):
    first = Scoped(generator, Ending())
    second = Scoped(async_generator, Ending())


def test_a_scope_in_a_generator_is_rolled_back_when_the_generator_is_closed() -> None:
    """For example, in a stream that the client does not read to its end."""
    ending = Ending()

    def stream() -> Generator[str, None, None]:
        shop = Shop()
        with shop.override(Shop.first).by(Scoped(generator, ending)), shop.scope() as scope:
            yield scope[Shop.first]

    chunks = stream()
    next(chunks)
    chunks.close()

    assert [type(error) for error in ending.received] == [GeneratorExit]


def test_a_scope_in_an_async_generator_is_rolled_back_when_the_generator_is_closed() -> None:
    """The closing may await."""
    ending = Ending()

    async def stream() -> AsyncIterator[str]:
        shop = Shop()
        with shop.override(Shop.second).by(Scoped(async_generator, ending)):
            async with shop.scope() as scope:
                yield await scope.get(Shop.second)

    async def use() -> None:
        async with contextlib.aclosing(stream()) as chunks:  # type: ignore[type-var]  # a generator, annotated as usual
            await anext(chunks)

    asyncio.run(use())

    assert [type(error) for error in ending.received] == [GeneratorExit]


# Cancellation.


class Slow:
    """An object whose closing waits until it is cancelled."""

    def __init__(self) -> None:
        self.is_closing = asyncio.Event()
        self.received: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.received = error
        self.is_closing.set()
        await asyncio.Event().wait()


async def cancelled_while_closing(
    error: BaseException | None, ending: Ending, *, begins_cancelled: bool = False
) -> tuple[Slow, BaseException | None]:
    """Cancel a task while it closes a scope; return the object that was being closed, and what left the scope."""
    outcome: list[BaseException | None] = []

    class Shop(Container):
        first = Scoped(async_generator, ending)
        slow = Scoped(Slow)

    slow: list[Slow] = []

    async def use() -> None:
        try:
            async with Shop().scope() as scope:
                await scope.get(Shop.first)
                slow.append(await scope.get(Shop.slow))
                if error is not None:
                    raise error
                if begins_cancelled:
                    await asyncio.Event().wait()
        except BaseException as failure:
            outcome.append(failure)
            raise

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    if begins_cancelled:
        task.cancel("first")
    async with asyncio.timeout(LIMIT):
        await slow[0].is_closing.wait()
        task.cancel("second")
        await asyncio.wait([task])
    assert task.cancelled()
    return slow[0], outcome[0]


def test_a_cancellation_during_the_closing_leaves_and_the_other_objects_are_closed() -> None:
    """They receive the cancellation, so they roll back: the block has not committed everything."""
    ending = Ending()

    slow, outcome = asyncio.run(cancelled_while_closing(None, ending))

    assert slow.received is None
    assert isinstance(outcome, asyncio.CancelledError)
    assert ending.received == [outcome]


def test_a_cancellation_during_the_closing_leaves_in_place_of_the_failure_of_the_block() -> None:
    error, ending = ValueError("body"), Ending()

    slow, outcome = asyncio.run(cancelled_while_closing(error, ending))

    assert slow.received is error
    assert isinstance(outcome, asyncio.CancelledError)
    assert outcome.__cause__ is error
    assert ending.received == [error]


def test_a_second_cancellation_ends_the_closing_that_takes_long() -> None:
    """The first one leaves, and the other objects are closed with it."""
    ending = Ending()

    slow, outcome = asyncio.run(cancelled_while_closing(None, ending, begins_cancelled=True))

    assert outcome is slow.received
    assert outcome is not None
    assert outcome.args == ("first",)
    assert ending.received == [outcome]


# Objects that cancel the block themselves: time limits and task groups.


async def asyncio_limit() -> AsyncIterator[str]:
    async with asyncio.timeout(0.01):
        yield "limit"


async def anyio_limit() -> AsyncIterator[str]:
    with anyio.fail_after(0.01):
        yield "limit"


def sync_limit() -> Iterator[str]:
    with anyio.fail_after(0.01):
        yield "limit"


async def asyncio_group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


async def anyio_group() -> AsyncIterator[anyio.abc.TaskGroup]:
    async with anyio.create_task_group() as group:
        yield group


@pytest.mark.parametrize("limit", [asyncio_limit, anyio_limit, sync_limit])
def test_a_time_limit_that_is_an_object_of_the_scope_leaves_as_a_timeout(limit: Callable[[], Any]) -> None:
    """The other objects have received the cancellation of the block, and the task is not cancelled."""
    ending = Ending()

    class Shop(Container):
        first = Scoped(generator, ending)
        limit_ = Scoped(limit)

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with Shop().scope() as scope:
                await scope.get(Shop.first)
                await scope.get(Shop.limit_)
                await asyncio.Event().wait()
        assert [type(error) for error in ending.received] == [asyncio.CancelledError]
        await asyncio.sleep(0)

    asyncio.run(use())


def test_a_time_limit_of_a_sync_scope_leaves_as_a_timeout() -> None:
    class Shop(Container):
        limit = Scoped(sync_limit)

    async def use() -> None:
        with pytest.raises(TimeoutError), Shop().scope() as scope:
            scope[Shop.limit]
            await asyncio.Event().wait()

    asyncio.run(use())


async def fail() -> None:
    raise OSError("child")


class Groups(Container):
    asyncio = Scoped(asyncio_group)
    anyio = Scoped(anyio_group)


def test_a_task_group_of_the_scope_is_opened_and_closed_in_the_task_of_the_block() -> None:
    """Its tasks have ended after the block."""
    done: list[str] = []

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        done.append(name)

    async def use() -> None:
        async with Groups().scope() as scope:
            (await scope.get(Groups.anyio)).start_soon(work, "anyio")
            (await scope.get(Groups.asyncio)).create_task(work("asyncio"))
        assert sorted(done) == ["anyio", "asyncio"]

    asyncio.run(use())


@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
def test_the_failure_of_a_task_in_a_group_of_the_scope_leaves(kind: str) -> None:
    """And not the cancellation by which the group has ended the block."""

    async def use() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with Groups().scope() as scope:
                if kind == "asyncio":
                    (await scope.get(Groups.asyncio)).create_task(fail())
                else:
                    (await scope.get(Groups.anyio)).start_soon(fail)
                await asyncio.Event().wait()
        assert [str(error) for error in raised.value.exceptions] == ["child"]

    asyncio.run(use())


def test_the_cancellation_of_a_task_leaves_beside_a_task_group_and_a_failure_of_closing() -> None:
    """It was not the group that cancelled the block; the failure is a note."""

    class Shop(Groups):
        broken = Scoped(generator, Ending(OSError("no rollback")))

    outcome: list[BaseException] = []

    async def use() -> None:
        try:
            async with Shop().scope() as scope:
                await scope.get(Shop.anyio)
                await scope.get(Shop.asyncio)
                await scope.get(Shop.broken)
                await asyncio.Event().wait()
        except BaseException as error:
            outcome.append(error)
            raise

    async def cancel() -> None:
        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancel())

    assert isinstance(outcome[0], asyncio.CancelledError)
    assert outcome[0].__notes__[0].endswith("OSError: no rollback")


def test_a_time_limit_around_the_scope_is_that_of_anyio() -> None:
    """It ends the block, the objects roll back, and the code after it continues."""
    ending = Ending()

    class Shop(Container):
        first = Scoped(generator, ending)

    async def use() -> bool:
        with anyio.move_on_after(0.01) as limit:
            async with Shop().scope() as scope:
                await scope.get(Shop.first)
                await anyio.sleep_forever()
        return limit.cancelled_caught

    assert asyncio.run(use())
    assert [type(error) for error in ending.received] == [asyncio.CancelledError]
