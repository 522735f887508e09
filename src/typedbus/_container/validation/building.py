"""Faults of components whose class or function cannot return them when it is called: abstract classes, coroutines."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator, Sequence
from typing import Any, Final

import attrs
import typing_extensions

from typedbus._base.signatures import called_by, function_of, is_parametrised, is_plainly_made, unparametrised
from typedbus._base.static import MISSING, full_name_of, is_a, lookup
from typedbus._container.annotations import Exactly, read
from typedbus._container.compatibility import fits
from typedbus._container.component import Component
from typedbus._container.faults import BuildFault
from typedbus._container.providers import arguments_of
from typedbus._container.resource import Resource
from typedbus._container.results import Other, result_of

_MANY: Final = 5  # limit for the abstract methods that are named
_DEPTH: Final = 50  # limit for nested partials, and for providers that forward to others


@contextlib.contextmanager
def _manager() -> Generator[None, None, None]:
    yield


@contextlib.asynccontextmanager
async def _async_manager() -> AsyncGenerator[None, None]:
    yield


class _Stranger:
    """An unknown class: it fits only annotations that every class fits."""


@attrs.frozen(eq=False)
class _Substitute:
    """The object that a call returns in place of the component: its type, a description, and what to declare instead."""

    cls: type
    words: str
    remedy: str


_RESOURCE: Final = "declare a Resource, which is opened when the bus starts and closed when it stops"
_COROUTINE: Final = _Substitute(
    types.CoroutineType,
    "is async: the component would be a coroutine that has not run",
    "declare a Resource, which is opened when the bus starts, and add closed_by(...)",
)
_ANNOTATED: Final = attrs.evolve(
    _COROUTINE, words="returns an awaitable: the component would be one that is not awaited"
)
_GENERATOR: Final = _Substitute(
    types.GeneratorType,
    "is a generator function: the component would be an iterator, and its body would not have run",
    _RESOURCE,
)
_ASYNC_GENERATOR: Final = attrs.evolve(_GENERATOR, cls=types.AsyncGeneratorType)
_MANAGER: Final = _Substitute(
    type(_manager()),
    "makes a context manager: the component would be one that has not been entered",
    _RESOURCE,
)
_ASYNC_MANAGER: Final = attrs.evolve(_MANAGER, cls=type(_async_manager()))
# All functions that one decorator creates share a code object.
_MADE_BY_CONTEXTLIB: Final = {
    getattr(_manager, "__code__"): _MANAGER,  # noqa: B009  # mypy sees no function
    getattr(_async_manager, "__code__"): _ASYNC_MANAGER,  # noqa: B009
}
_BY_FLAG: Final = {
    inspect.CO_COROUTINE: _COROUTINE,
    inspect.CO_ITERABLE_COROUTINE: _COROUTINE,
    inspect.CO_GENERATOR: _GENERATOR,
    inspect.CO_ASYNC_GENERATOR: _ASYNC_GENERATOR,
}
#: The class in Python itself, and in typing_extensions for older versions.
_TYPE_ALIASES: Final[tuple[type, ...]] = tuple(
    {
        type(alias("_Alias", int))
        for module in (typing, typing_extensions)
        if (alias := getattr(module, "TypeAliasType", None)) is not None
    }
)
#: The annotation of a parameter that cannot be evaluated.
_UNKNOWN: Final = object()
_AWAITABLES: Final = (Awaitable, Coroutine)


def build_faults(live: Sequence[Component[object]]) -> list[BuildFault]:
    """Return a fault for each component among *live* whose class or function cannot return it."""
    faults = []
    results: dict[int, _Substitute] = {}
    for component in live:
        if component.overriding is not None:
            continue
        faults.extend(class_faults(component))
        result = None if isinstance(component, Resource) else _substitute_of(component.builds)
        if result is not None:
            results[id(component)] = result
    takers = _takers_of(live, results) if results else {}
    for component in live:
        result = results.get(id(component))
        if result is None:
            continue
        hints = takers.get(id(component), [])
        if any(_takes(hint, result) for hint in hints):
            continue
        if result is _ANNOTATED and MISSING not in hints:
            continue  # a caller may await it; a parameter of another type is reported separately
        problem = f"{full_name_of(component.builds)} {result.words}"
        faults.append(BuildFault(component.path, component.place, problem, result.remedy))
    return faults


def class_faults(component: Component[object]) -> list[BuildFault]:
    """Return a fault if a call of the class or function of *component* is certain to fail."""
    problem, remedy = ("", "") if component.overriding is not None else _problem_of(component.builds)
    return [BuildFault(component.path, component.place, problem, remedy)] if problem else []


def _problem_of(builds: object) -> tuple[str, str]:
    """Return why a call of *builds* is certain to fail, and the remedy; two empty strings if it is not certain."""
    cls = unparametrised(called_by(builds))
    if is_a(cls, type):
        return _problem_of_class(cls)
    origin = typing.get_origin(cls) if is_parametrised(cls) else cls
    if any(is_a(origin, kind) for kind in _TYPE_ALIASES):
        return f"{getattr(origin, '__name__', 'it')} is a type alias, which cannot be called", "give the class itself"
    return "", ""


def _problem_of_class(cls: type) -> tuple[str, str]:
    name = full_name_of(cls)
    init = lookup(cls, "__init__")
    if type(init) is types.FunctionType and init.__code__.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR):
        return f"the constructor of {name} is async or a generator, and must return None", "connect in start()"
    if not is_plainly_made(cls):
        return "", ""  # its metaclass or its `__new__` may create another object
    if cls.__flags__ & inspect.TPFLAGS_IS_ABSTRACT:
        missing = sorted(lookup(cls, "__abstractmethods__"))
        names = ", ".join([*missing[:_MANY], *(["..."] if len(missing) > _MANY else [])])
        return (
            f"{name} is abstract: it does not define {names}",
            "define its abstract methods, or give a subclass that does",
        )
    is_refused = type(init) is types.FunctionType and init.__module__ in ("typing", "typing_extensions")
    if is_refused and typing_extensions.is_protocol(cls):
        return (
            f"{name} is a protocol, which has no instances",
            f"give a class that has its members, annotated as name: Component[{cls.__name__}] = Component(...)",
        )
    return "", ""


def _substitute_of(builds: object) -> _Substitute | None:
    """Describe the result of a call of *builds* if it is not the component yet, such as a coroutine; else None."""
    function = function_of(builds)
    if function is None:
        return None
    manager = _MADE_BY_CONTEXTLIB.get(function.__code__)
    if manager is not None:
        return manager
    for flag, result in _BY_FLAG.items():
        if function.__code__.co_flags & flag:
            return result
    if type(builds) is not types.FunctionType and type(builds) is not functools.partial and not is_a(builds, type):
        return None
    returned = read(function)[1].get("return")
    return _ANNOTATED if any((typing.get_origin(returned) or returned) is one for one in _AWAITABLES) else None


def _takers_of(live: Sequence[Component[object]], results: typing.Container[int]) -> dict[int, list[object]]:
    """Return the annotations of the parameters that receive each component in *results*; `MISSING` if unannotated."""
    takers: dict[int, list[object]] = {}
    for component in live:
        if component.overriding is not None:
            continue
        unnamed, named = arguments_of(component)
        arguments: list[tuple[int | str, object]] = [*enumerate(unnamed), *named.items()]
        for key, node in arguments:
            source = _passed_component(node)
            if source is not None and id(source) in results:
                signature, hints = read(component.builds)
                parameters = [] if signature is None else list(signature.parameters.values())
                takers.setdefault(id(source), []).append(_annotation(parameters, key, hints))
    return takers


def _passed_component(node: object) -> Component[object] | None:
    """Return the component whose instance the provider *node* returns unchanged, or None."""
    for _ in range(_DEPTH):
        if isinstance(node, Component) and node.overriding is None:
            return node
        result = result_of(node)
        if not isinstance(result, Other):
            return None
        node = result.node
    return None


def _annotation(parameters: Sequence[inspect.Parameter], key: int | str, hints: typing.Mapping[str, object]) -> object:
    """Return the annotation of the parameter that receives the argument *key*, an index or a name."""
    for index, parameter in enumerate(parameters):
        is_it = parameter.name == key or (index == key and parameter.kind is not parameter.KEYWORD_ONLY)
        if is_it or parameter.kind is (parameter.VAR_POSITIONAL if isinstance(key, int) else parameter.VAR_KEYWORD):
            if parameter.annotation is parameter.empty:
                return MISSING
            hint = hints.get(parameter.name, MISSING)
            is_unknown = (
                is_a(parameter.annotation, str) and hint is Any and parameter.annotation.rpartition(".")[2] != "Any"
            )
            return _UNKNOWN if is_unknown else hint
    return MISSING


def _takes(hint: object, result: _Substitute) -> bool:
    """Whether a parameter annotated *hint* is meant for *result*; True if the annotation cannot be evaluated."""
    if hint is _UNKNOWN:
        return True
    if hint is MISSING or not fits(hint, Exactly(result.cls)):
        return False
    return result is _ANNOTATED or not fits(hint, Exactly(_Stranger))
