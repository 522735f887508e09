"""
Closing the objects that generators and context managers have opened.

Each function passes the failure of the user's block, or None, to one object and returns
the failure of closing it. An object that raises the same exception again has not
failed, and one that suppresses the exception has no effect: the caller of these functions
raises the failure of the block in any case.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any, Final, Protocol

from typedbus._base.static import MISSING

_SECOND: Final = "it yields twice; yield the object once, and close it after the yield"


class Manager(Protocol):
    """A context manager that has been entered."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class AsyncManager(Protocol):
    """An async context manager that has been entered."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class SecondYield(RuntimeError):
    """A generator yielded a second time."""


def close_generator(generator: Generator[Any, None, Any], error: BaseException | None) -> BaseException | None:
    """Continue *generator* after its yield, or throw *error* there; return the failure of that."""
    trace = None if error is None else error.__traceback__
    try:
        if error is not None:
            generator.throw(error)
        # The default saves an exception, which would take a tenth of the time of a small scope.
        elif next(generator, MISSING) is MISSING:
            return None
    except StopIteration:
        return None
    except BaseException as failure:
        return _new_failure(failure, error, trace)
    try:
        generator.close()
    except BaseException as failure:
        return failure
    return SecondYield(_SECOND)


async def close_async_generator(
    generator: AsyncGenerator[Any, None], error: BaseException | None
) -> BaseException | None:
    """Do the same as `close_generator`."""
    trace = None if error is None else error.__traceback__
    try:
        if error is not None:
            await generator.athrow(error)
        elif await anext(generator, MISSING) is MISSING:
            return None
    except StopAsyncIteration:
        return None
    except BaseException as failure:
        return _new_failure(failure, error, trace)
    try:
        await generator.aclose()
    except BaseException as failure:
        return failure
    return SecondYield(_SECOND)


def exit_manager(manager: Manager, error: BaseException | None) -> BaseException | None:
    """Exit *manager* with *error*; return the failure of that."""
    trace = None if error is None else error.__traceback__
    try:
        if error is None:
            manager.__exit__(None, None, None)
        else:
            manager.__exit__(type(error), error, trace)
    except BaseException as failure:
        return _new_failure(failure, error, trace)
    return None


async def exit_async_manager(manager: AsyncManager, error: BaseException | None) -> BaseException | None:
    """Exit *manager* with *error*; return the failure of that."""
    trace = None if error is None else error.__traceback__
    try:
        if error is None:
            await manager.__aexit__(None, None, None)
        else:
            await manager.__aexit__(type(error), error, trace)
    except BaseException as failure:
        return _new_failure(failure, error, trace)
    return None


def cancellations(error: BaseException) -> int:
    """Return how many cancellations of the current task are pending if *error* is one of them, otherwise 0."""
    asyncio = sys.modules.get("asyncio")  # before that is imported, no task is cancelled
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return 0
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return 0
    return 0 if task is None else task.cancelling()


def _new_failure(
    failure: BaseException, error: BaseException | None, trace: TracebackType | None
) -> BaseException | None:
    """Return *failure* unless it is *error*, raised again with more frames or, by a generator, as a `RuntimeError`."""
    if error is None:
        return failure
    # Generators may not raise StopIteration (PEP 479): Python replaces it.
    is_replaced = (
        isinstance(error, (StopIteration, StopAsyncIteration))
        and isinstance(failure, RuntimeError)
        and failure.__cause__ is error
    )
    if failure is error or is_replaced:
        error.__traceback__ = trace
        return None
    return failure
