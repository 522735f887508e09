"""Opening the objects of a scope whose form only their result shows, and the errors of generated code."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Protocol

from typedbus._base.scope_errors import AsyncNeeded, NotGiven, ResourceError, ScopeBusy, ScopeClosed
from typedbus._base.static import is_a
from typedbus._container.component import Component
from typedbus._container.entering import entered, entered_async
from typedbus._container.forms import Form, form_of, form_of_class, not_closing, transaction_in
from typedbus._container.scoped import PROVIDING


class OpenScope(Protocol):
    """A scope, as generated code uses it."""

    #: The objects, by their declarations.
    values: dict[Any, Any]
    #: The objects to close, each with the function that closes it and its declaration.
    exits: list[tuple[Callable[..., Any], Any, Any]]
    #: The scope of the session around this scope, if any.
    outer: OpenScope | None
    #: The declaration that is being built.
    building: Any
    is_async: bool
    is_open: bool

    @property
    def name(self) -> str:
        """The name of the container."""
        ...

    def value_of(self, component: Any, /) -> object:
        """Return the object of *component*, which has been built."""
        ...


#: Errors that name the component themselves.
_SELF_EXPLAINING: Final = (AsyncNeeded, NotGiven, ResourceError, ScopeBusy, ScopeClosed)


def note_component(error: BaseException, at: Component[object]) -> None:
    """Add a note to *error* that names *at*, the declaration whose object was being built."""
    if isinstance(error, Exception) and not isinstance(error, _SELF_EXPLAINING):
        error.add_note(f"raised while {at.path} was built ({at.place})")


def refusal(scope: OpenScope, asked: Component[object]) -> Exception:
    """Return the error for *asked*, which cannot be built in *scope* now."""
    if not scope.is_open:
        return ScopeClosed(scope.name, f"has ended, and {asked.path} belongs to it")
    return ScopeBusy(asked.path, scope.building.path)


def not_given(needed: Component[object], asked: Component[object]) -> NotGiven:
    """Return the error for a value that the scope was opened without."""
    return NotGiven(needed.path, needed.place, asked.path)


def async_needed(scope: OpenScope, asked: Component[object], needed: Component[object]) -> AsyncNeeded:
    """Return the error for *asked*, which needs *needed*, an async form."""
    return AsyncNeeded(asked.path, needed.path, needed.place, scope.is_async)


def provide(scope: OpenScope, provider: Callable[[], object]) -> object:
    """Call *provider*, a provider of the container library that needs an object of *scope*."""
    token = PROVIDING.set(scope.value_of)
    try:
        return provider()
    finally:
        PROVIDING.reset(token)


def opened(scope: OpenScope, component: Component[object], result: Any) -> object:
    """Open *result*, of a callable whose code does not show its form; a plain object is returned as it is."""
    form = Form.GENERATOR if isinstance(result, Generator) else form_of_class(type(result))
    if form is Form.MANAGER:
        connection = transaction_in(type(result))
        if connection is not None:
            result.close()
            reason = f"{not_closing(connection)}; write a generator function that closes it"
            raise ResourceError(component.path, component.place, reason)
    if form in (Form.GENERATOR, Form.MANAGER):
        instance, close = entered(result, form, component)
        scope.exits.append((close, result, component))
        return instance
    if form is Form.ASYNC_MANAGER or inspect.isawaitable(result) or isinstance(result, AsyncGenerator):
        if is_a(result, types.CoroutineType):
            result.close()
        raise async_needed(scope, component, component)
    return _plain(component, result)


async def opened_async(scope: OpenScope, component: Component[object], result: Any) -> object:
    """Do the same as `opened`, and await async forms."""
    is_generator, form = isinstance(result, AsyncGenerator), form_of_class(type(result))
    if form is not Form.ASYNC_MANAGER and is_generator:
        form = Form.ASYNC_GENERATOR
    is_opened = form in (Form.ASYNC_MANAGER, Form.ASYNC_GENERATOR)
    if not scope.is_async or not (is_opened or inspect.isawaitable(result)):
        return opened(scope, component, result)
    if not is_opened:
        return await result
    instance, close = await entered_async(result, form, component)
    scope.exits.append((close, result, component))
    return instance


def _plain(component: Component[object], result: object) -> object:
    """Return *result*, which cannot be opened; raise `ResourceError` if the form of *component* promises otherwise."""
    form = form_of(component.builds)
    if form is Form.UNKNOWN:
        return result
    reason = (
        f"it is declared as {form.value}, and its function returned {type(result).__name__}, which cannot be opened"
    )
    raise ResourceError(component.path, component.place, reason)
