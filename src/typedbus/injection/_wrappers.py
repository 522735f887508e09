"""The functions that replace injected functions: one of the same kind for each kind of function."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, Final, TypeAlias

from typedbus._base.coroutines import is_async_callable
from typedbus._container.component import Component
from typedbus.injection._call_scope import CallScope
from typedbus.injection._errors import InjectionError

Components: TypeAlias = Sequence[Component[Any]]
Function: TypeAlias = Callable[..., Any]

_COROUTINE: Final = (
    "is a plain function and returned a coroutine, which would run after its scope is closed; "
    "make it an async function, or apply @injected to the async function that it calls"
)


def wrapper_of(function: Function, components: Components, name: str, place: str) -> Function:
    """Return a function of the kind of *function* that opens its scope and passes *components* before the arguments."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, components, name)
    if inspect.isgeneratorfunction(function):
        return _generator(function, components, name)
    if is_async_callable(function):
        return _coroutine(function, components, name)
    return _plain(function, components, name, place)


def _plain(function: Function, components: Components, name: str, place: str) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        opened = CallScope(components, name, is_current=True)
        with opened as scope:
            result = function(*[scope[component] for component in components], *args, **kwargs)
            if opened.is_own and isinstance(result, types.CoroutineType):
                # It would run after the scope is closed, and its failure would roll nothing back.
                result.close()
                raise InjectionError(name, place, _COROUTINE)
            return result

    return call


def _coroutine(function: Function, components: Components, name: str) -> Function:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with CallScope(components, name, is_current=True) as scope:
            return await function(*[await scope.get(component) for component in components], *args, **kwargs)

    return call


def _generator(function: Function, components: Components, name: str) -> Function:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        # The caller of a generator shares its context variables, so the scope is not the current one.
        with CallScope(components, name, is_current=False) as scope:
            return (yield from function(*[scope[component] for component in components], *args, **kwargs))

    return call


def _async_generator(function: Function, components: Components, name: str) -> Function:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        async with CallScope(components, name, is_current=False) as scope:
            generator = function(*[await scope.get(component) for component in components], *args, **kwargs)
            # The same as `yield from`, which async functions do not have.
            try:
                value = await anext(generator)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:
                        value = await generator.athrow(error)
                    else:
                        value = await generator.asend(sent)
            except StopAsyncIteration:
                return

    return call
