"""Closing opened objects: the failure of the block is passed in, and failures of closing are returned."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator

import pytest

from typedbus._container.leaving import (
    SecondYield,
    close_async_generator,
    close_generator,
    exit_async_manager,
    exit_manager,
)

events: list[object] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    events.clear()


def opened(*, fails: BaseException | None = None, suppresses: bool = False, again: bool = False) -> Generator[str]:
    try:
        yield "object"
    except BaseException as error:
        events.append(error)
        if suppresses:
            return
        if fails is None:
            raise
    if fails is not None:
        raise fails
    if again:
        yield "second"


def advanced(generator: Generator[str]) -> Generator[str]:
    next(generator)
    return generator


async def opened_async(*, again: bool = False, suppresses: bool = False) -> AsyncGenerator[str, None]:
    try:
        yield "object"
    except BaseException as error:
        events.append(error)
        if not suppresses:
            raise
    if again:
        yield "second"


@pytest.mark.parametrize(
    "error", [ValueError("body"), KeyboardInterrupt(), GeneratorExit(), StopIteration(3)], ids=lambda error: repr(error)
)
def test_a_generator_receives_the_failure_and_may_raise_it_again(error: BaseException) -> None:
    assert close_generator(advanced(opened()), error) is None
    assert events == [error]
    assert error.__traceback__ is None


def test_a_generator_that_fails_otherwise_has_failed() -> None:
    failure = OSError("commit")
    assert close_generator(advanced(opened(fails=failure)), None) is failure
    assert close_generator(advanced(opened(fails=failure)), ValueError()) is failure


def test_a_generator_that_suppresses_the_failure_has_not_failed() -> None:
    assert close_generator(advanced(opened(suppresses=True)), ValueError()) is None


def test_a_second_yield_is_a_failure() -> None:
    generator = advanced(opened(again=True))
    assert isinstance(close_generator(generator, None), SecondYield)
    assert next(generator, "closed") == "closed"


def test_a_manager_receives_the_failure() -> None:
    error = ValueError("body")
    manager = contextlib.contextmanager(opened)()
    manager.__enter__()
    assert exit_manager(manager, error) is None
    assert events == [error]


def test_a_manager_without_a_failure_is_left_with_none() -> None:
    class Manager:
        def __exit__(self, *args: object) -> None:
            events.append(args)

    assert exit_manager(Manager(), None) is None
    assert events == [(None, None, None)]


def test_async_forms_behave_as_the_sync_forms() -> None:
    asyncio.run(_close_async_forms())


async def _close_async_forms() -> None:
    error = ValueError("body")
    for suppresses in (False, True):
        generator = opened_async(suppresses=suppresses)
        await anext(generator)
        assert await close_async_generator(generator, error) is None
    manager = contextlib.asynccontextmanager(opened_async)()
    await manager.__aenter__()
    assert await exit_async_manager(manager, error) is None
    assert events == [error] * 3
    generator = opened_async(again=True)
    await anext(generator)
    assert isinstance(await close_async_generator(generator, None), SecondYield)
    assert await anext(generator, "closed") == "closed"
