"""Faults in how a container declares dependency-injector's own providers."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Container as Membership
from typing import Any, Final

from dependency_injector import providers, resources

from typedbus._base.failures import describe
from typedbus._base.signatures import ASYNC_MANAGER_CODE, BY_POSITION
from typedbus._base.static import full_name_of
from typedbus._bus.builtin import EXIT, START, STOP
from typedbus._bus.listeners import Listeners
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._container.annotations import read
from typedbus._container.choice import Choice
from typedbus._container.component import Component
from typedbus._container.faults import DependencyFault, Fault, LibraryFault, LifetimeFault
from typedbus._container.hooks import hooks_of, is_foreign
from typedbus._container.misfits import NamedHook, misfit
from typedbus._container.providers import RESOURCE, is_provider, is_resource, lifetime, needs, reached
from typedbus._container.results import Made, result_of
from typedbus._container.scoped import Given, OfScope, level_of

#: Providers that keep one object.
_KEEPING: Final = (providers.BaseSingleton, RESOURCE)
_CALLED: Final = (
    providers.Factory,
    providers.BaseSingleton,
    providers.Callable,
    providers.List,
    providers.Dict,
    RESOURCE,
)


def library_faults(
    nodes: Sequence[object],
    paths: Mapping[int, str],
    place: str,
    users_of: Callable[[object], Sequence[object]],
    needed: Callable[[object], Sequence[object]] = needs,
    *,
    unported: Membership[int] = (),
) -> list[Fault]:
    """
    Return the faults of the library's providers among *nodes*.

    Args:
        nodes: The providers in force, components included.
        paths: The path of each named provider, by its identity.
        place: The place of the container.
        users_of: Returns the providers that need a provider, directly or indirectly.
        needed: Returns the providers that a provider needs, as `needs` does.
        unported: The identities of the providers in containers of the library.
    """
    faults: list[Fault] = []
    for node in nodes:
        provider: Any = node
        if isinstance(node, Component):
            faults.extend(_undefined(node, node.path, node.place, paths, needed))
        elif id(node) in paths and provider.last_overriding is None:
            path = paths[id(node)]
            if isinstance(node, _CALLED):
                faults.extend(_undefined(node, path, place, paths, needed))
            is_unported = id(node) in unported
            if is_resource(node) and _is_async(provider.provides):
                described = describe(provider.provides)
                problem = f"{described} is asynchronous, but the bus opens and closes resources synchronously"
                remedy = "declare a Resource of typedbus with this function, or open it with a synchronous one"
                if is_unported:
                    remedy = _above(path, f"Resource({described}, ...)")
                faults.append(LibraryFault(path, place, problem, remedy))
            if isinstance(node, providers.BaseSingleton):
                faults.extend(_uncalled(provider, path, place, users_of, is_unported=is_unported))
    return faults


def _undefined(
    user: object, path: str, place: str, paths: Mapping[int, str], needed: Callable[[object], Sequence[object]]
) -> Iterator[DependencyFault]:
    """Yield a fault for each argument of *user* that needs a dependency without a provider."""
    for need in needed(user):
        pending: list[object] = [need]
        seen: set[int] = set()
        while pending:
            at: Any = pending.pop()
            # Named providers are reported separately, and the branch that a selector takes is not known.
            is_named = id(at) in paths and isinstance(at, _CALLED)
            if id(at) in seen or isinstance(at, (Component, providers.Selector)) or is_named:
                continue
            seen.add(id(at))
            below = needed(at)
            if isinstance(at, providers.Dependency) and not below:
                label = _labels(user).get(id(need), "declaration")
                yield DependencyFault(path, place, paths.get(id(at), ""), label)
            pending.extend(below[::-1])


def _labels(user: object) -> dict[int, str]:
    """Return the text that describes each argument of the provider *user*, by the identity of its provider."""
    provider: Any = user
    word = "item" if isinstance(user, (providers.List, providers.Dict)) else "argument"
    labels: dict[int, str] = {}
    if isinstance(user, Component):
        labels[id(user.condition)] = "condition"
    if not isinstance(user, providers.List):
        labels.update((id(value), f"{word} {name!r}") for name, value in provider.kwargs.items())
    if not isinstance(user, providers.Dict):
        names = [] if isinstance(user, providers.List) else _positional(provider.provides)
        for number, value in enumerate(provider.args):
            labels[id(value)] = f"{word} {names[number]!r}" if number < len(names) else f"{word} {number + 1}"
    if isinstance(user, (providers.Factory, providers.BaseSingleton)):
        labels.update((id(value), f"attribute {name!r}") for name, value in provider.attributes.items())
    return labels


def _positional(provides: object) -> list[str]:
    """Return the names of the positional parameters of *provides*, as far as they are known."""
    signature = read(provides)[0] if callable(provides) and not is_provider(provides) else None
    return [
        parameter.name
        for parameter in (() if signature is None else signature.parameters.values())
        if parameter.kind in BY_POSITION
    ]


def lifetime_faults(
    component: Component[object], needed: Callable[[object], Sequence[object]] = needs
) -> list[LifetimeFault]:
    """
    Return a fault for each object that *component* would keep for life although it is made for one thread or context.

    Args:
        component: The component whose needs are searched.
        needed: Returns the providers that a provider needs, as `needs` does.
    """
    faults = []
    #: Each provider, with the provider that would keep its result.
    pending: list[tuple[object, object]] = [(node, component) for node in needed(component)[::-1]]
    seen: set[int] = set()
    while pending:
        node, keeper = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, OfScope) and node.overriding is None and level_of(node) > level_of(keeper):
            faults.append(_captive(component, keeper, node))
        if isinstance(node, Component) and not (isinstance(node, OfScope) and node.overriding is not None):
            continue
        scope = lifetime(node)
        if scope is None:
            keeper = node if isinstance(node, _KEEPING) and not isinstance(node, Component) else keeper
            pending.extend((need, keeper) for need in needed(node)[::-1])
            continue
        result = result_of(node)
        name = full_name_of(result.by) if isinstance(result, Made) else full_name_of(node)
        faults.append(
            LifetimeFault(
                component.path,
                component.place,
                f"it would keep one instance of {name}, although each {scope} has its own ({type(node).__name__})",
                "pass lazy(x), and call it where it is used; or declare x as a Component",
            )
        )
    return faults


def _captive(component: Component[object], keeper: object, node: OfScope[object]) -> LifetimeFault:
    """Return the fault of *component*, which needs *keeper*, or is it, and *keeper* lives longer than the scope of *node*."""
    if keeper is not component:
        result = result_of(keeper)
        kept_by = full_name_of(result.by) if isinstance(result, Made) else full_name_of(keeper)
        problem = (
            f"it needs {kept_by}, of which the container has one ({type(keeper).__name__}), and which would keep one "
            f"{node.path} ({node.place}), although each scope has its own"
        )
        remedy = f"declare {kept_by} as Scoped"
    elif isinstance(component, OfScope):
        problem = (
            f"it belongs to a session, and would keep {node.path} ({node.place}), which belongs to one request in it"
        )
        remedy = f"declare {node.path} with .at(SESSION), or {component.path} without"
    else:
        problem = f"it would keep one {node.path} ({node.place}), although each scope has its own"
        remedy = f"pass {node.path}.opener, which opens a scope; or declare {component.path} as Scoped"
        condition = component.condition
        if condition is node or any(reached(condition, lambda other: other is node) if condition is not None else ()):
            remedy = "take the condition from a component"
        elif isinstance(component, Choice):
            remedy = f"declare a Scoped that takes its choice from components, and needs {node.path}"
        elif isinstance(node, Given):
            remedy = f"declare {component.path} as Scoped"
    return LifetimeFault(component.path, component.place, problem, remedy)


def _is_async(provides: object) -> bool:
    """Whether opening the resource *provides* must be awaited, as far as that is certain."""
    if isinstance(provides, type):
        return issubclass(provides, resources.AsyncResource) or (
            hasattr(provides, "__aenter__") and not hasattr(provides, "__enter__")
        )
    return (
        inspect.iscoroutinefunction(provides)
        or inspect.isasyncgenfunction(provides)
        # The library itself turns an asynchronous generator into such a context manager.
        or getattr(provides, "__code__", None) is ASYNC_MANAGER_CODE
    )


class _Undeclared:
    """Stands for a component whose declaration adds and removes no hooks."""

    hooks: tuple[Hook[Any], ...] = ()
    unheard: tuple[AnyChannel, ...] = ()
    unnamed: tuple[AnyChannel, ...] = ()
    closing: None = None


def _uncalled(
    singleton: Any, path: str, place: str, users_of: Callable[[object], Sequence[object]], *, is_unported: bool
) -> Iterator[LibraryFault]:
    """
    Yield a fault for a `Listeners`, and for a class that has hooks: the bus calls only hooks of components.

    If *is_unported*, it is in a container of the library: the program calls the methods that have no mark.
    """
    cls = singleton.provides
    if isinstance(cls, Listeners):
        problem = "it provides a Listeners, whose functions listen only as a component"
        remedy = _above(path, "Component(...)") if is_unported else "declare a Component(...) of it"
        yield LibraryFault(path, place, problem, remedy)
    if not isinstance(cls, type):
        return
    undeclared: Any = _Undeclared()
    hooks = [hook for hook in hooks_of(undeclared, cls) if not isinstance(hook, NamedHook) or _is_meant(hook, cls)]
    names = {hook.method.__name__ for hook in hooks if isinstance(hook, NamedHook)}
    if is_unported or (names and any(_calls(user, names) for user in users_of(singleton) if user is not singleton)):
        hooks = [hook for hook in hooks if not isinstance(hook, NamedHook)]
    if hooks:
        shown = ", ".join(dict.fromkeys(describe(hook.method) for hook in hooks))
        remedy = (
            f"declare a Component({cls.__name__}, ...); if the program calls the method itself, "
            "exclude it: Component(...).without(START)"
        )
        if is_unported:
            remedy = _above(path, f"Component({cls.__name__}, ...)")
        problem = f"the bus calls only methods of components, and {shown} would never be called"
        yield LibraryFault(path, place, problem, remedy)


def _above(path: str, declaration: str) -> str:
    """Return how to replace the provider *path*, in a container of the library, by *declaration*."""
    name = path.rpartition(".")[2]
    return f"declare {name} = {declaration} above that container, and pass it: providers.Container(..., {name}={name})"


def _is_meant(hook: NamedHook, cls: type) -> bool:
    """Whether a method with the name of a channel is meant as a hook: it fits, and its class belongs to the program."""
    if hook.channel not in (START, STOP, EXIT):
        return False
    base = next((base for base in cls.__mro__ if hook.channel.name in vars(base)), cls)
    return not is_foreign(base) and isinstance(hook.method, types.FunctionType) and misfit(hook, cls) is None


def _calls(user: Any, names: set[str]) -> bool:
    """Whether the function that *user* calls, or a method of the class it creates, calls a method named in *names*."""
    provides: object = getattr(user, "provides", None) if not isinstance(user, Component) else user.builds
    functions = [provides]
    if isinstance(provides, type):
        functions = [value for base in provides.__mro__ if base is not object for value in vars(base).values()]
    return any(
        names & set(function.__code__.co_names) for function in functions if isinstance(function, types.FunctionType)
    )
