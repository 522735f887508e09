"""Opening generators and context managers; `leaving` closes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from typedbus._base.scope_errors import ResourceError
from typedbus._base.static import MISSING
from typedbus._container.forms import Form
from typedbus._container.leaving import (
    SecondYield,
    close_async_generator,
    close_generator,
    exit_async_manager,
    exit_manager,
)

Close: TypeAlias = Callable[[Any, BaseException | None], BaseException | None]
"""Closes an object, with the failure of the block or None; returns the failure of that."""

AsyncClose: TypeAlias = Callable[[Any, BaseException | None], Awaitable[BaseException | None]]
"""The same as `Close`, to be awaited."""


class Declared(Protocol):
    """The declaration of the object, as errors name it."""

    path: str
    place: str


def entered(opening: Any, form: Form, declared: Declared) -> tuple[Any, Close]:
    """
    Open *opening*, whose *form* is a generator or a context manager; return the object, and the function that closes *opening*.

    Raises:
        ResourceError: The generator ended before it yielded.
        BaseException: What the generator or the context manager raised.
    """
    if form is not Form.GENERATOR:
        return type(opening).__enter__(opening), exit_manager
    instance = next(opening, MISSING)
    if instance is MISSING:
        raise no_yield(declared)
    return instance, close_generator


async def entered_async(opening: Any, form: Form, declared: Declared) -> tuple[Any, AsyncClose]:
    """Do the same as `entered`, for an async generator or an async context manager."""
    if form is not Form.ASYNC_GENERATOR:
        return await type(opening).__aenter__(opening), exit_async_manager
    instance = await anext(opening, MISSING)
    if instance is MISSING:
        raise no_yield(declared)
    return instance, close_async_generator


def no_yield(declared: Declared) -> ResourceError:
    """Return the error for a generator that ended before it yielded."""
    reason = "its generator ends without a yield; yield the object once, and close it after the yield"
    return ResourceError(declared.path, declared.place, reason)


def closing_failure(failure: BaseException, declared: Declared) -> BaseException:
    """Return *failure*, of closing the object, as callers get it: a second yield is a `ResourceError`."""
    if isinstance(failure, SecondYield):
        return ResourceError(declared.path, declared.place, str(failure))
    return failure
