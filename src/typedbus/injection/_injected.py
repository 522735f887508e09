"""The decorator that passes components to functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, overload

from typing_extensions import TypeVar

from typedbus._base.failures import describe
from typedbus._base.hints import annotations_of, signature_of
from typedbus._base.places import calling_place
from typedbus._base.signatures import PARTIAL, called_by
from typedbus._container.component import Component
from typedbus._container.stand_ins import Provided
from typedbus.injection._errors import InjectionError
from typedbus.injection._wrappers import wrapper_of

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@overload
def injected(a: Component[A], /) -> Callable[[Callable[Concatenate[A, P], R]], Callable[P, R]]: ...


@overload
def injected(a: Component[A], b: Component[B], /) -> Callable[[Callable[Concatenate[A, B, P], R]], Callable[P, R]]: ...


@overload
def injected(
    a: Component[A], b: Component[B], c: Component[C], /
) -> Callable[[Callable[Concatenate[A, B, C, P], R]], Callable[P, R]]: ...


@overload
def injected(
    a: Component[A], b: Component[B], c: Component[C], d: Component[D], /
) -> Callable[[Callable[Concatenate[A, B, C, D, P], R]], Callable[P, R]]: ...


@overload
def injected(
    a: Component[A], b: Component[B], c: Component[C], d: Component[D], e: Component[E], /
) -> Callable[[Callable[Concatenate[A, B, C, D, E, P], R]], Callable[P, R]]: ...


@overload
def injected(
    a: Component[A], b: Component[B], c: Component[C], d: Component[D], e: Component[E], f: Component[F], /
) -> Callable[[Callable[Concatenate[A, B, C, D, E, F, P], R]], Callable[P, R]]: ...


def injected(*components: Component[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Pass *components* to a function as its first arguments: ``@injected(Shop.orders)`` directly above ``def``.

    The decorated function takes the other arguments. To frameworks it has their signature,
    and is a plain, async, generator or async generator function as before. So it goes
    below the decorators of a framework::

        @site.post("/orders")
        @injected(Shop.orders)
        async def place(orders: Orders, order: NewOrder) -> int: ...

    Each call uses the current scope if there is one: that of the request, under
    `ScopedASGI`, `ScopedWSGI` or ``Hosted(..., scopes=True)``, or that of an injected
    function that made the call. An exception that leaves the function is then the failure
    of that scope, even if a framework turns it into a response. Without a current scope
    the call has a scope of its own; inside a session, such as a WebSocket, it has one if a
    component belongs to requests. That scope is closed when the function has returned or
    raised, or when its generator has ended, before a framework receives the result; so a
    commit that fails is the failure of the call.

    A component of a class, ``Shop.orders``, is that of the scope's container, or of the
    only container that runs and declares it. A component of an instance, ``shop.orders``,
    is that of the instance.

    Methods cannot be injected, since ``self`` comes first: pass components to the
    constructor, or use `current_scope`.

    Args:
        components: Up to six components, of containers that run together.

    Raises:
        InjectionError: An argument is not a component of a container, or the decorated object is not a function
            that takes as many positional arguments.
        NoRunningContainer: By a call: there is no current scope, and not exactly one container that runs.
        BaseException: By a call: a component could not be built, or the scope not be closed.
    """
    place = calling_place()
    for component in components:
        _check_component(component, place)
    if not components:
        raise InjectionError("()", place, "names no component; write @injected(Shop.orders)")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        inner: Any = called_by(function)
        name = describe(inner)
        if not hasattr(inner, "__code__"):
            raise InjectionError(name, place, _no_function(function))
        signature = _rest_of(function, len(components), name, place)
        call: Any = functools.update_wrapper(wrapper_of(function, components, name, place), inner)
        call.__wrapped__ = function
        call.__signature__ = signature
        call.__annotations__ = {
            parameter: annotation
            for parameter, annotation in annotations_of(inner).items()
            if parameter in signature.parameters or parameter == "return"
        }
        setattr(call, PARTIAL, (call, functools.partial(function, *components)))
        return call  # type: ignore[no-any-return]  # a function

    return decorate


def _check_component(component: object, place: str) -> None:
    if isinstance(component, Component):
        if component.path == describe(component.builds):  # a container sets the path
            raise InjectionError(repr(component), place, "is not declared in the body of a container class")
    elif isinstance(component, Provided):
        raise InjectionError(repr(component), place, "is an argument of declarations; write @injected(Shop.orders)")
    elif inspect.isfunction(component):
        reason = "is a function, not a component; write the components in parentheses: @injected(Shop.orders)"
        raise InjectionError(describe(component), place, reason)
    else:
        raise InjectionError(describe(component), place, "is not a component; write @injected(Shop.orders)")


def _no_function(target: object) -> str:
    """Return why *target* cannot be decorated."""
    if isinstance(target, type):
        return "is a class; pass components to its constructor where a container declares it"
    if isinstance(target, (staticmethod, classmethod)):
        return f"is a {type(target).__name__}; apply @injected below @{type(target).__name__}"
    return (
        f"is not a function but a {describe(type(target))}; "
        "apply @injected directly to the function, below the decorator that returned this object"
    )


def _rest_of(function: Callable[..., Any], count: int, name: str, place: str) -> inspect.Signature:
    """Return the signature of *function* without its first *count* parameters, which receive components."""
    try:
        signature = signature_of(function)
    except ValueError as error:
        raise InjectionError(name, place, "has no signature that Python can read; wrap it in a function") from error
    parameters = list(signature.parameters.values())
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    around = getattr(function, "__qualname__", "").rpartition(".")[0]
    is_in_class = bool(around) and not around.endswith("<locals>") and not inspect.ismethod(function)
    if is_in_class and positional and positional[0].name in ("self", "cls"):
        reason = "is a method, which receives its object first; pass components to the constructor of its class"
        raise InjectionError(name, place, reason)
    takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if len(positional) < count and not takes_any:
        keywords = [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
        hint = f"; {', '.join(keywords)} can be passed by name alone" if keywords else ""
        reason = f"takes {len(positional)} positional argument(s) for {count} component(s), which come first{hint}"
        raise InjectionError(name, place, reason)
    hidden: Any = inspect.unwrap(function)
    if hidden is not function and not _is_generator(function) and _is_generator(hidden):
        reason = "is a generator function under another decorator; apply @injected directly to it, below the other one"
        raise InjectionError(name, place, reason)
    leading = positional[:count]
    return signature.replace(parameters=[parameter for parameter in parameters if parameter not in leading])


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
