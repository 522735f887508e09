"""Faults of objects that belong to scopes, and of the openers that components receive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from typedbus._base.static import full_name_of
from typedbus._container.component import Component
from typedbus._container.descriptions import class_of
from typedbus._container.faults import BuildFault, Fault, HookFault, LifetimeFault, OpenerFault
from typedbus._container.forms import described_form, form_of, not_closing, transaction_of
from typedbus._container.hooks import foreseen_listeners, hooks_of
from typedbus._container.misfits import NamedHook
from typedbus._container.providers import reached
from typedbus._container.scoped import AsyncOpener, Given, OfScope, Opener, Scoped, outlives_scopes


def mark_faults(scoped: Scoped[object]) -> Iterator[HookFault]:
    """Yield a fault for each marked method in the class of *scoped*: no bus calls the methods of an object of a scope."""
    if foreseen_listeners(scoped) is not None:
        yield HookFault(
            scoped.path,
            scoped.place,
            "it is a Listeners, and no bus calls the functions of an object of a scope",
            "declare it as a Component",
        )
    cls = None if scoped.overriding is not None else class_of(scoped)
    for hook in () if cls is None else hooks_of(scoped, cls):
        # A method that only has the name of a channel, such as `start`, may be meant for other callers.
        if not isinstance(hook, NamedHook):
            yield HookFault(
                scoped.path,
                scoped.place,
                f"{full_name_of(hook.method)} is marked to listen to channel {hook.channel.name!r}, and no bus calls "
                "the methods of an object of a scope",
                f"remove the mark; or declare a Component that listens, and pass it {scoped.path}.opener",
            )


def transaction_faults(scoped: Scoped[object]) -> Iterator[BuildFault]:
    """Yield a fault if *scoped* makes a connection that the end of the scope would not close."""
    connection = transaction_of(scoped.builds) if scoped.overriding is None else None
    if connection is not None:
        yield BuildFault(
            scoped.path,
            scoped.place,
            not_closing(connection),
            "write a generator function: with closing(connect(...)) as connection, connection: yield connection",
        )


def later_faults(component: Component[object], needed: Callable[[object], Sequence[object]]) -> Iterator[Fault]:
    """
    Yield the faults of the functions that *component* receives for later and that concern scopes.

    An opener opens a scope with nothing given to it, and a sync one awaits nothing. Another provider, passed uncalled,
    does not know the scope.

    Args:
        component: The component whose arguments are searched.
        needed: Returns the providers that a provider needs, as `needs` does.
    """
    for node, is_lazy, _ in reached(component, lambda node: isinstance(node, (AsyncOpener, Component, Opener))):
        if isinstance(node, (AsyncOpener, Opener)):
            yield from _opener_faults(component, node, needed)
        elif is_lazy and isinstance(node, OfScope) and node.overriding is None:
            yield LifetimeFault(
                component.path,
                component.place,
                f"it receives a function that needs {node.path} ({node.place}), and does not know the scope",
                f"declare what the function returns as Scoped, as in x = Scoped(..., {node.path}.provided), and pass x.opener",
            )


def _opener_faults(
    component: Component[object], opener: Any, needed: Callable[[object], Sequence[object]]
) -> Iterator[OpenerFault]:
    """Yield a fault for each object that *opener*, an argument of *component*, cannot build in its scope."""
    opened: Component[object] = opener.provides
    is_async = isinstance(opener, AsyncOpener)
    attribute = "async_opener" if is_async else "opener"
    pending: list[object] = [opened]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen or outlives_scopes(node):
            continue
        seen.add(id(node))
        pending.extend(needed(node)[::-1])
        if not isinstance(node, OfScope) or node.overriding is not None:
            continue
        if isinstance(node, Given):
            problem = f"{node.path} ({node.place}), which no value is given for"
            remedy = f"pass an object that does not need {node.path}"
        elif form_of(node.builds).is_async and not is_async:
            problem = f"{node.path} ({node.place}), which is {described_form(node.builds)}"
            remedy = f"pass {opened.path}.async_opener, and open it with async with"
        else:
            continue
        yield OpenerFault(
            component.path,
            component.place,
            f"it receives {opened.path}.{attribute}, whose scope needs {problem}",
            remedy,
        )
