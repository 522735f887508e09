"""
The code that builds an object of a scope, generated for each declaration.

A declaration is followed once to all objects of the scope that it needs, in order; the
text below then builds those that are missing, without a search. Components are
constants of that code: it is discarded when one of them is forgotten, and when an
override begins or ends.
"""

from __future__ import annotations

import inspect
import keyword
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Protocol

from dependency_injector import providers

from typedbus._base.ordering import dependencies_first
from typedbus._base.scope_errors import AsyncNeeded, NotGiven, ResourceError, ScopeBusy, ScopeClosed
from typedbus._base.static import MISSING, is_a
from typedbus._container.component import Component, cycle_fault
from typedbus._container.faults import InvalidContainer
from typedbus._container.forms import Form, form_of, form_of_class
from typedbus._container.leaving import (
    close_async_generator,
    close_generator,
    exit_async_manager,
    exit_manager,
)
from typedbus._container.providers import is_delegated, is_provider, needs
from typedbus._container.references import Reference
from typedbus._container.scoped import PROVIDING, Given, Level, OfScope

_INDENT: Final = "    "


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

    def found(self, component: Any, /) -> object:
        """Return the object of *component*, which has been built."""
        ...


def compiled(component: Component[object], home: Any, level: Level, *, is_async: bool) -> Callable[[Any], Any]:
    """
    Return a function that takes a scope of *level* and returns the object of *component* in it, built if necessary.

    Args:
        component: A component of a container, or an object of its scopes.
        home: The container.
        level: The level of the scope that the function receives.
        is_async: Whether to return a coroutine function, which can build async forms.

    Raises:
        InvalidContainer: Objects need each other in a cycle.
        ScopeClosed: The object belongs to a request, and the scope to a session.
    """
    roots: list[object] = [component]
    order, circles = dependencies_first(roots, _needs_in_scope)
    if circles:
        raise InvalidContainer(home.name, [cycle_fault(circle) for circle in circles])
    writer = _Writer(component, home, is_async=is_async)
    for node in order:
        if isinstance(node, OfScope) and node.overriding is None:
            if node.level > level:
                reason = (
                    f"is a session's, and {node.path} belongs to a request ({node.place}); "
                    "open a scope inside it: with scope.scope() as request"
                )
                raise ScopeClosed(home.name, reason)
            writer.add(node)
    return writer.function()


def _needs_in_scope(node: object) -> list[object]:
    """Return the needs of *node* that a scope may have to build; those of a component are built already."""
    is_component = isinstance(node, Component) and not isinstance(node, OfScope) and node.overriding is None
    return [] if is_component else needs(node)


class _Writer:
    """Writes the text of one function, and collects the constants that it names."""

    def __init__(self, asked: Component[object], home: Any, *, is_async: bool) -> None:
        self._asked = asked
        self._home = home
        self._is_async = is_async
        self._lines: list[str] = []
        self._has_session = False
        self._names: dict[str, object] = {
            "MISSING": MISSING,
            "note": _note,
            "claim": _claim,
            "not_given": _not_given,
            "async_needed": _async_needed,
            "no_yield": _no_yield,
            "opened": _opened,
            "opened_async": _opened_async,
            "provide": _provide,
            "close_generator": close_generator,
            "close_async_generator": close_async_generator,
            "exit_manager": exit_manager,
            "exit_async_manager": exit_async_manager,
        }
        #: The variable of each object, by identity.
        self._variables: dict[int, str] = {}

    def function(self) -> Callable[[Any], Any]:
        """Return the function, compiled."""
        asked, result = self._constant("k", self._asked), self._expression(self._asked)
        session = ["outer = scope.outer or scope", "outer_values = outer.values"] if self._has_session else []
        body = ["values = scope.values", *session]
        if self._lines:
            where = "outer_values" if getattr(self._asked, "level", None) is Level.SESSION else "values"
            if id(self._asked) in self._variables:
                body += [f"found = {where}.get({asked}, MISSING)", "if found is not MISSING:", _INDENT + "return found"]
            body += [
                "if scope.building is not None:",
                f"{_INDENT}raise claim(scope, {asked})",
                f"scope.building = at = {asked}",
                "try:",
                *(_INDENT + line for line in self._lines),
                f"{_INDENT}return {result}",
                "except BaseException as error:",
                f"{_INDENT}note(error, at)",
                f"{_INDENT}raise",
                "finally:",
                f"{_INDENT}scope.building = None",
            ]
        else:
            body.append(f"return {result}")
        text = "\n".join([f"{'async ' * self._is_async}def build(scope):", *(_INDENT + line for line in body)])
        code = compile(text, f"<{self._asked.path} in a scope>", "exec")
        exec(code, self._names)  # noqa: S102  # the text is made of the lines above
        function: Any = self._names["build"]
        return function  # type: ignore[no-any-return]  # defined by the text

    def add(self, node: OfScope[object]) -> None:
        """Write the lines that find or build the object of *node*; the objects that it needs come before."""
        number = len(self._variables)
        variable, key = f"v{number}", self._constant("k", node)
        is_session = node.level is Level.SESSION
        self._has_session |= is_session
        values, exits = ("outer_values", "outer.exits") if is_session else ("values", "scope.exits")
        missing = f"if ({variable} := {values}.get({key}, MISSING)) is MISSING:"
        if isinstance(node, Given):
            lines = [f"raise not_given({key}, {self._constant('k', self._asked)})"]
        else:
            lines = [f"at = {key}", *self._building(node, variable, key, exits), f"{values}[{key}] = {variable}"]
            if is_session:
                lines = [
                    "if outer is not scope:",
                    f"{_INDENT}if outer.building is not None or not outer.is_open:",
                    f"{_INDENT}{_INDENT}raise claim(outer, {key})",
                    f"{_INDENT}outer.building = {key}",
                    "try:",
                    *(_INDENT + line for line in lines),
                    "finally:",
                    f"{_INDENT}if outer is not scope:",
                    f"{_INDENT}{_INDENT}outer.building = None",
                ]
        self._lines += [missing, *(_INDENT + line for line in lines)]
        self._variables[id(node)] = variable

    def _building(self, node: OfScope[object], variable: str, key: str, exits: str) -> list[str]:
        """Return the lines that build the object of *node*, open it, and record how it is closed."""
        provider: Any = node
        args = [self._expression(argument) for argument in provider.args]
        named = {name: self._expression(argument) for name, argument in provider.kwargs.items()}
        args += [f"{name}={text}" for name, text in named.items() if _is_plain_name(name)]
        rest = [f"{name!r}: {text}" for name, text in named.items() if not _is_plain_name(name)]
        args += [f"**{{{', '.join(rest)}}}"] * bool(rest)
        builds, form = node.builds, form_of(node.builds)
        call = f"{self._constant('f', builds)}({', '.join(args)})"
        attributes = [f"{variable}.{name} = {self._expression(value)}" for name, value in provider.attributes.items()]
        lines: list[str] = []
        if form.is_async:
            needed = f"raise async_needed(scope, {self._constant('k', self._asked)}, {key})"
            if not self._is_async:
                return [needed]
            lines += ["if not scope.is_async:", _INDENT + needed]
        if form is Form.PLAIN:
            return [*lines, f"{variable} = {call}", *attributes]
        if form is Form.COROUTINE:
            return [*lines, f"{variable} = await {call}", *attributes]
        is_plain = is_a(builds, type) or inspect.isgeneratorfunction(builds) or inspect.isasyncgenfunction(builds)
        if not is_plain:
            # A decorator may have changed the form: the result decides.
            helper = "await opened_async" if self._is_async else "opened"
            return [*lines, f"{variable} = {helper}(scope, {exits}, {key}, {call})", *attributes]
        opening, close = {
            Form.GENERATOR: ("next(opening, MISSING)", "close_generator"),
            Form.ASYNC_GENERATOR: ("await anext(opening, MISSING)", "close_async_generator"),
            Form.MANAGER: ("opening.__enter__()", "exit_manager"),
            Form.ASYNC_MANAGER: ("await opening.__aenter__()", "exit_async_manager"),
        }[form]
        lines += [f"opening = {call}", f"{variable} = {opening}"]
        if form in (Form.GENERATOR, Form.ASYNC_GENERATOR):
            lines += [f"if {variable} is MISSING:", f"{_INDENT}raise no_yield({key})"]
        return [*lines, f"{exits}.append(({close}, opening, {key}))", *attributes]

    def _expression(self, argument: object) -> str:
        """Return the text that gives the value of *argument*, as the container library would evaluate it."""
        if not is_provider(argument) or is_delegated(argument):
            return self._constant("c", argument)
        provider: Any = argument
        if provider.last_overriding is not None:
            return self._expression(provider.last_overriding)
        if id(argument) in self._variables:
            return self._variables[id(argument)]
        if isinstance(argument, Component):
            if argument.home is None:
                argument.home = self._home
            return self._constant("c", argument())
        if type(argument) is providers.Object:
            return self._constant("c", provider.provides)
        if isinstance(argument, Reference) and argument.target is not None:
            return self._expression(argument.target)
        if isinstance(argument, providers.AttributeGetter) and _is_plain_name(provider.name):
            return f"{self._expression(provider.provides)}.{provider.name}"
        if isinstance(argument, providers.ItemGetter):
            return f"{self._expression(provider.provides)}[{self._constant('c', provider.name)}]"
        if type(argument) is providers.List:
            return f"[{', '.join(self._expression(member) for member in provider.args)}]"
        # Any other provider of the library is called. It may need an object of the scope, which it asks for itself.
        name = self._constant("c", argument)
        roots: list[object] = [argument]
        reaches_scope = any(isinstance(node, OfScope) for node in dependencies_first(roots, _needs_in_scope)[0])
        return f"provide(scope, {name})" if reaches_scope else f"{name}()"

    def _constant(self, prefix: str, value: object) -> str:
        for name, known in self._names.items():
            if known is value and name[0] == prefix and name[1:].isdigit():
                return name
        name = f"{prefix}{len(self._names)}"
        self._names[name] = value
        return name


def _is_plain_name(name: object) -> bool:
    return is_a(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


# What generated code calls where something is unusual.


#: Errors that name the component themselves.
_SELF_EXPLAINING: Final = (AsyncNeeded, NotGiven, ResourceError, ScopeBusy, ScopeClosed)


def _note(error: BaseException, at: Component[object]) -> None:
    if isinstance(error, Exception) and not isinstance(error, _SELF_EXPLAINING):
        error.add_note(f"raised while {at.path} was built ({at.place})")


def _claim(scope: OpenScope, asked: Component[object]) -> Exception:
    if not scope.is_open:
        return ScopeClosed(scope.name, f"has ended, and {asked.path} belongs to it")
    return ScopeBusy(asked.path, scope.building.path)


def _not_given(needed: Component[object], asked: Component[object]) -> NotGiven:
    return NotGiven(needed.path, needed.place, asked.path)


def _async_needed(scope: OpenScope, asked: Component[object], needed: Component[object]) -> AsyncNeeded:
    return AsyncNeeded(asked.path, needed.path, needed.place, scope.is_async)


def _no_yield(component: Component[object]) -> ResourceError:
    return ResourceError(component.path, component.place, "its generator ends without a yield; yield the object once")


def _provide(scope: OpenScope, provider: Callable[[], object]) -> object:
    token = PROVIDING.set(scope.found)
    try:
        return provider()
    finally:
        PROVIDING.reset(token)


def _opened(scope: OpenScope, exits: list[Any], component: Component[object], result: Any) -> object:
    """Open *result*, of a callable whose code does not show its form; a plain object is returned as it is."""
    if isinstance(result, Generator):
        value = next(result, MISSING)
        if value is MISSING:
            raise _no_yield(component)
        exits.append((close_generator, result, component))
        return value
    form = form_of_class(type(result))
    if form is Form.MANAGER:
        value = result.__enter__()
        exits.append((exit_manager, result, component))
        return value
    if form is Form.ASYNC_MANAGER or inspect.isawaitable(result) or isinstance(result, AsyncGenerator):
        if is_a(result, types.CoroutineType):
            result.close()
        raise _async_needed(scope, component, component)
    return _plain(component, result)


async def _opened_async(scope: OpenScope, exits: list[Any], component: Component[object], result: Any) -> object:
    """Do the same as `_opened`, and await async forms."""
    form = form_of_class(type(result))
    is_generator, is_awaitable = isinstance(result, AsyncGenerator), inspect.isawaitable(result)
    if not (is_generator or is_awaitable or form is Form.ASYNC_MANAGER):
        return _opened(scope, exits, component, result)
    if not scope.is_async:
        return _opened(scope, exits, component, result)
    if form is Form.ASYNC_MANAGER:
        value = await result.__aenter__()
        exits.append((exit_async_manager, result, component))
        return value
    if is_awaitable:
        return await result
    value = await anext(result, MISSING)
    if value is MISSING:
        raise _no_yield(component)
    exits.append((close_async_generator, result, component))
    return value


def _plain(component: Component[object], result: object) -> object:
    form = form_of(component.builds)
    if form is Form.UNKNOWN:
        return result
    reason = (
        f"it is declared as {form.value}, and its function returned {type(result).__name__}, which cannot be opened"
    )
    raise ResourceError(component.path, component.place, reason)
