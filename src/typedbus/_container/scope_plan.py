"""
The code that builds an object of a scope, generated for each declaration.

A declaration is followed once to all objects of the scope that it needs, in order. The
generated function then finds or builds each of them, as code written by hand would: for
an object with one need,

    def build(scope):
        values = scope.values
        instance = values.get(orders_key, MISSING)
        if instance is not MISSING:
            return instance
        if scope.building is not None:
            raise refusal(scope, orders_key)
        scope.building = at = orders_key
        try:
            if (session := values.get(session_key, MISSING)) is MISSING:
                at = session_key
                opening = open_session(engine)
                session = next(opening, MISSING)
                if session is MISSING:
                    raise no_yield(session_key)
                scope.exits.append((close_generator, opening, session_key))
                values[session_key] = session
            ...

Components are constants of that code: it is discarded when one of them is forgotten, and
when an override begins or ends.
"""

from __future__ import annotations

import inspect
import keyword
import linecache
from collections.abc import Callable, Sequence
from typing import Any, Final

from dependency_injector import providers

from typedbus._base.ordering import dependencies_first
from typedbus._base.scope_errors import ScopeClosed
from typedbus._base.static import MISSING, is_a
from typedbus._container.component import Component
from typedbus._container.component_faults import cycle_fault, reference_faults
from typedbus._container.entering import no_yield
from typedbus._container.faults import InvalidContainer
from typedbus._container.forms import Form, form_of
from typedbus._container.leaving import close_async_generator, close_generator, exit_async_manager, exit_manager
from typedbus._container.opening import (
    async_needed,
    not_given,
    note_component,
    opened,
    opened_async,
    provide,
    refusal,
)
from typedbus._container.providers import is_delegated, is_provider, needs
from typedbus._container.references import Reference
from typedbus._container.scoped import Given, Level, OfScope, outlives_scopes

#: The functions that generated code calls.
_HELPERS: Final[dict[str, object]] = {
    function.__name__: function
    for function in (
        async_needed,
        close_async_generator,
        close_generator,
        exit_async_manager,
        exit_manager,
        no_yield,
        not_given,
        note_component,
        opened,
        opened_async,
        provide,
        refusal,
    )
}

#: How a form is opened, and the function that closes it.
_OPENINGS: Final = {
    Form.GENERATOR: ("next(opening, MISSING)", "close_generator"),
    Form.ASYNC_GENERATOR: ("await anext(opening, MISSING)", "close_async_generator"),
    Form.MANAGER: ("opening.__enter__()", "exit_manager"),
    Form.ASYNC_MANAGER: ("await opening.__aenter__()", "exit_async_manager"),
}

#: The local names of generated functions.
_LOCALS: Final = (
    "scope",
    "values",
    "outer",
    "outer_values",
    "instance",
    "at",
    "opening",
    "error",
    "build",
    "MISSING",
    "anext",
    "next",
)


def compiled(component: Component[object], home: Any, level: Level, *, is_async: bool) -> Callable[[Any], Any]:
    """
    Return a function that takes a scope of *level* and returns the object of *component* in it, built if necessary.

    Args:
        component: A component of a container, or an object of its scopes.
        home: The container.
        level: The level of the scope that the function receives.
        is_async: Whether to return a coroutine function, which can build async forms.

    Raises:
        InvalidContainer: Objects need each other in a cycle, or it is unclear which object of another container is meant.
        ScopeClosed: The object belongs to a request, and the scope to a session.
        Exception: A component that is not built yet was built, and its constructor raised.
    """
    roots: list[object] = [component]
    order, circles = dependencies_first(roots, _needs_in_scope)
    if circles:
        raise InvalidContainer(home.name, [cycle_fault(circle) for circle in circles])
    if any(isinstance(node, Reference) and node.is_unresolved for node in order):
        users = [node for node in order if isinstance(node, Component)]
        raise InvalidContainer(home.name, [fault for user in users for fault in reference_faults(user)])
    objects = [node for node in order if isinstance(node, OfScope) and node.overriding is None]
    for node in objects:
        if node.level.value > level.value:
            reason = (
                f"belongs to a session, and {node.path} ({node.place}) to a request; "
                "open a scope inside it: with scope.scope() as request"
            )
            raise ScopeClosed(home.name, reason)
    writer = _Writer(component, home, is_async=is_async)
    text = writer.text(objects)
    filename = f"<typedbus: {component.path} in a scope>"
    # For tracebacks. Code that replaces this code after an override has the same name.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    names = writer.names
    exec(compile(text, filename, "exec"), names)  # noqa: S102  # the text has names of constants, and nothing from users
    function: Any = names["build"]
    # For the warning about a coroutine that was never awaited.
    function.__qualname__ = f"scope.get({component.path})" if is_async else f"scope[{component.path}]"
    return function  # type: ignore[no-any-return]  # defined by the text


def _needs_in_scope(node: object) -> list[object]:
    """Return the needs of *node* that a scope may have to build; those of a component are built with the component."""
    return [] if outlives_scopes(node) else needs(node)


class _Writer:
    """
    Writes the text of one function.

    Attributes:
        names: The global names of the text.
    """

    def __init__(self, asked: Component[object], home: Any, *, is_async: bool) -> None:
        self._asked = asked
        self._home = home
        self._is_async = is_async
        self.names: dict[str, object] = {**_HELPERS, "MISSING": MISSING}
        #: The names of constants and of the variables of objects, by identity.
        self._constants: dict[int, str] = {}
        self._variables: dict[int, str] = {}
        self._taken: set[str] = {*self.names, *_LOCALS}

    def text(self, objects: Sequence[OfScope[object]]) -> str:
        """Return the text of the function that builds *objects*, each after the objects that it needs."""
        asked = self._constant(self._asked, "key")
        blocks = [line for node in objects for line in self._block(node)]
        body = ["values = scope.values"]
        if any(node.level is Level.SESSION for node in objects):
            body += ["outer = scope.outer or scope", "outer_values = outer.values"]
        if id(self._asked) in self._variables:
            is_session = isinstance(self._asked, OfScope) and self._asked.level is Level.SESSION
            body.append(f"instance = {'outer_values' if is_session else 'values'}.get({asked}, MISSING)")
            body += ["if instance is not MISSING:", "    return instance"]
        result = f"return {self._expression(self._asked)}"
        if blocks:
            body += [
                "if scope.building is not None:",
                f"    raise refusal(scope, {asked})",
                f"scope.building = at = {asked}",
                "try:",
                *_indented(blocks),
                # The block of the scope may have ended meanwhile, in another task or thread.
                "    if not scope.is_open:",
                f"        raise refusal(scope, {asked})",
                f"    {result}",
                "except BaseException as error:",
                "    note_component(error, at)",
                "    if not scope.is_open:",
                f"        {self._ending('scope')}",
                "    raise",
                "finally:",
                "    scope.building = None",
            ]
        else:
            body.append(result)
        definition = "async def build(scope):" if self._is_async else "def build(scope):"
        return "\n".join([definition, *_indented(body)]) + "\n"

    def _ending(self, scope: str) -> str:
        """Return the line that closes the objects that were opened after the end of *scope*."""
        return f"{f'await {scope}.__aexit__' if self._is_async else f'{scope}.__exit__'}(type(error), error, None)"

    def _block(self, node: OfScope[object]) -> list[str]:
        """Return the lines that find or build the object of *node*."""
        key = self._constant(node, "key")
        is_session = node.level is Level.SESSION
        holder, values = ("outer", "outer_values") if is_session else ("scope", "values")
        variable = self._name(node, "")
        if isinstance(node, Given):
            lines = [f"raise not_given({key}, {self._constant(self._asked, 'key')})"]
            if is_session:
                lines = ["if not outer.is_open:", f"    raise refusal(outer, {key})", *lines]
        else:
            lines = [f"at = {key}", *self._building(node, variable, key, holder), f"{values}[{key}] = {variable}"]
            if is_session:
                # Several requests may share the scope of a session.
                lines = [
                    "if outer is not scope:",
                    "    if outer.building is not None or not outer.is_open:",
                    f"        raise refusal(outer, {key})",
                    f"    outer.building = {key}",
                    "try:",
                    *_indented(lines),
                    "    if not outer.is_open:",
                    f"        raise refusal(outer, {key})",
                    "except BaseException as error:",
                    "    if not outer.is_open:",
                    f"        {self._ending('outer')}",
                    "    raise",
                    "finally:",
                    "    if outer is not scope:",
                    "        outer.building = None",
                ]
        self._variables[id(node)] = variable
        return [f"if ({variable} := {values}.get({key}, MISSING)) is MISSING:", *_indented(lines)]

    def _building(self, node: OfScope[object], variable: str, key: str, holder: str) -> list[str]:
        """Return the lines that build the object of *node*, open it, and record how *holder* closes it."""
        provider: Any = node
        args = [self._expression(argument) for argument in provider.args]
        named = {name: self._expression(argument) for name, argument in provider.kwargs.items()}
        args += [f"{name}={text}" for name, text in named.items() if _is_plain_name(name)]
        if rest := [f"{name!r}: {text}" for name, text in named.items() if not _is_plain_name(name)]:
            args.append(f"**{{{', '.join(rest)}}}")
        builds, form = node.builds, form_of(node.builds)
        call = f"{self._constant(builds, '')}({', '.join(args)})"
        lines: list[str] = []
        if form.is_async:
            error = f"raise async_needed({holder}, {self._constant(self._asked, 'key')}, {key})"
            if not self._is_async:
                return [error]
            lines += [f"if not {holder}.is_async:", f"    {error}"]
        is_plain = is_a(builds, type) or inspect.isgeneratorfunction(builds) or inspect.isasyncgenfunction(builds)
        if form is Form.PLAIN:
            lines.append(f"{variable} = {call}")
        elif form is Form.COROUTINE:
            lines.append(f"{variable} = await {call}")
        elif not is_plain:
            # A decorator may have changed the form: the result decides.
            function = "await opened_async" if self._is_async else "opened"
            lines.append(f"{variable} = {function}({holder}, {key}, {call})")
        else:
            begin, close = _OPENINGS[form]
            lines += [f"opening = {call}", f"{variable} = {begin}"]
            if form in (Form.GENERATOR, Form.ASYNC_GENERATOR):
                lines += [f"if {variable} is MISSING:", f"    raise no_yield({key})"]
            lines.append(f"{holder}.exits.append(({close}, opening, {key}))")
        return lines + [f"{variable}.{name} = {self._expression(value)}" for name, value in provider.attributes.items()]

    def _expression(self, argument: object) -> str:
        """Return the text that gives the value of *argument*, as the container library would evaluate it."""
        if not is_provider(argument) or is_delegated(argument):
            return self._constant(argument, "argument")
        provider: Any = argument
        if provider.last_overriding is not None:
            return self._expression(provider.last_overriding)
        if id(argument) in self._variables:
            return self._variables[id(argument)]
        if isinstance(argument, Component):
            if argument.home is None:
                argument.home = self._home
            return self._constant(argument(), argument.path)
        if type(argument) is providers.Object:
            return self._constant(provider.provides, "value")
        if isinstance(argument, Reference) and argument.target is not None:
            return self._expression(argument.target)
        if isinstance(argument, providers.AttributeGetter) and _is_plain_name(provider.name):
            return f"{self._expression(provider.provides)}.{provider.name}"
        if isinstance(argument, providers.ItemGetter):
            return f"{self._expression(provider.provides)}[{self._constant(provider.name, 'key')}]"
        if type(argument) is providers.List:
            return f"[{', '.join(self._expression(member) for member in provider.args)}]"
        # Any other provider of the library is called, and requests the objects of the scope that it needs.
        name = self._constant(argument, "provider")
        roots: list[object] = [argument]
        reaches_scope = any(isinstance(node, OfScope) for node in dependencies_first(roots, _needs_in_scope)[0])
        return f"provide(scope, {name})" if reaches_scope else f"{name}()"

    def _constant(self, value: object, hint: str) -> str:
        """Return the global name of *value*; *hint* is a part of the name."""
        name = self._constants.get(id(value))
        if name is None:
            name = self._constants[id(value)] = self._name(value, hint)
            self.names[name] = value
        return name

    def _name(self, value: object, hint: str) -> str:
        """Return a new name, which names the declaration or function that *value* is, for readers of tracebacks."""
        if isinstance(value, Component):
            base = value.path.rpartition(".")[2]
            base = f"{base}_{hint}" if hint else base
        else:
            base = hint.rpartition(".")[2] or getattr(value, "__name__", "")
        base = base if _is_plain_name(base) else "object"
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _is_plain_name(name: object) -> bool:
    return is_a(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")
