"""
Which methods of a component listen to which channels.

A method listens by its name, if it is the name of a life-cycle channel; by a
mark, the decorator `@on`; or by declaration, as an argument of `Component.on`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from typedbus._base.methods import held_by, layers, name_of
from typedbus._base.static import (
    MISSING,
    bases_of,
    inherits,
    is_a,
    lookup,
    module_of,
    namespace_of,
    stored,
)
from typedbus._bus.builtin import EXIT, GRACEFUL, LIFECYCLE_CHANNELS, LOG, MAIN, RUN, START, STOP, HookResult
from typedbus._bus.bus import Bus
from typedbus._bus.listeners import Listeners, functions_of
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel, Hook
from typedbus._channels.marks import MARK
from typedbus._container.closing import closing_hooks
from typedbus._container.component import Component
from typedbus._container.misfits import NamedHook, misfit

#: The channels to which a method listens if it has their name.
NAMED_HOOKS = {channel.name: channel for channel in (START, STOP, EXIT, GRACEFUL, MAIN, LOG)}
#: The channels whose hooks are called, or begun, in the order of the dependency graph.
PHASED = (START, STOP, EXIT, GRACEFUL, RUN)


class Starts(Protocol):
    """Inherit from it so that type checkers check the signature of `start`, which may be async."""

    def start(self) -> HookResult:
        """Called when the bus starts, after the `start` of every component that this one needs."""


class Stops(Protocol):
    """Inherit from it so that type checkers check the signature of `stop`, which may be async."""

    def stop(self) -> HookResult:
        """Called when the bus stops, before the `stop` of every component that this one needs."""


class Exits(Protocol):
    """Inherit from it so that type checkers check the signature of `exit`, which may be async."""

    def exit(self) -> HookResult:
        """Called when the bus exits, to release what the constructor acquired."""


class Reloads(Protocol):
    """Inherit from it so that type checkers check the signature of `graceful`, which may be async."""

    def graceful(self) -> HookResult:
        """Called to reload: to read settings again or reopen files, for example."""


class Ticks(Protocol):
    """Inherit from it so that type checkers check the signature of `main`."""

    def main(self) -> None:
        """Called at each tick of the thread that blocks on the bus."""


class Logs(Protocol):
    """Inherit from it so that type checkers check the signature of `log`."""

    def log(self, message: str, level: int, /) -> None:
        """Called with each message that is published on the log channel."""


def hooks_of(component: Component[object], cls: type, listeners: Listeners | None = None) -> list[Hook[object]]:
    """
    Return which methods of *cls* listen as *component*: by name, by mark and by declaration.

    Each hook has the method that is called, which may be a subclass's override, and its name. The hooks of a
    component that is a `Listeners` are its functions.

    Args:
        component: The component.
        cls: Its class.
        listeners: The component itself, built or foreseen, if it is a `Listeners`.
    """
    hooks: dict[tuple[object, AnyChannel], Hook[object]] = {}
    unheard = component.unheard
    for hook in closing_hooks(component):
        # The first of its hooks: `EXIT` is called in reverse, and the component is closed after its own `exit`.
        name = _name_of(hook, cls, component)
        hooks[name or hook, hook.channel] = _held(hook, cls, name, None)
    # The methods of a bus have the names of its channels because they publish on them.
    for name, channel in {} if inherits(cls, Bus) else NAMED_HOOKS.items():
        is_named = channel not in unheard and channel not in component.unnamed
        method = getattr(cls, name, None) if is_named and lookup(cls, name) is not MISSING else None
        if callable(method):
            named = NamedHook(channel, method, attribute=name)
            if not _is_named_by_chance(named, cls):
                hooks[name, channel] = named
    for name, mark in _marks_of(cls):
        if mark.channel not in unheard:
            hooks[name, mark.channel] = _held(mark, cls, name, mark)
    for function in () if listeners is None else functions_of(listeners):
        if function.channel not in unheard:
            hooks[function, function.channel] = function
    for hook in component.hooks:
        if hook.channel in unheard:
            continue
        # A declaration for a method that already listens changes how it listens.
        name = _name_of(hook, cls, component)
        key = (name or hook, hook.channel)
        # A declaration that only sets a priority keeps the other arguments of the method's own mark.
        hooks[key] = _held(hook, cls, name, hooks.get(key))
    return list(hooks.values())


def foreseen_listeners(component: Component[object]) -> Listeners | None:
    """Return the `Listeners` with which *component* is declared, or which overrides it; None if it has none."""
    override: Any = component.overriding
    provided: Any = component.builds if override is None else getattr(override, "provides", None)
    return provided if type(provided) is Listeners else None


def _name_of(hook: Hook[object], cls: type, component: Component[object]) -> str:
    """Return the name of the method of *hook* in *cls*, or in the declared class, since *cls* may be an override's."""
    name = name_of(hook.method, cls)
    return name if name or not is_a(component.builds, type) else name_of(hook.method, component.builds)


def _held(hook: Hook[object], cls: type, name: str, mark: Hook[object] | None) -> Hook[object]:
    """Return *hook* for the method *name* of *cls*, if there is one, with arguments of *mark* that it does not set."""
    method: Any = held_by(cls, name) if name else None
    if method is None or isinstance(method, (property, functools.cached_property)):
        method = hook.method
    inline = hook.inline or (mark is not None and mark.inline)
    restart, awaited = (None, False) if mark is None else (mark.restart, mark.awaited)
    return Hook(
        hook.channel,
        method,
        hook.priority,
        hook.limit,
        inline=inline,
        attribute=name,
        restart=restart,
        awaited=awaited,
    )


def _marks_of(cls: type) -> Iterator[tuple[str, Hook[object]]]:
    """
    Yield the marks on methods of *cls*, each with the name of its method, from the base classes up.

    So the mark of an overriding method comes after the mark of the overridden
    method, and replaces it. If a class has a method under several names, the name
    that a subclass overrides is used; a name that a subclass adds is another method's.
    """
    seen: set[Hook[object]] = set()
    for base in cls.__mro__[-2::-1]:
        marked: dict[Hook[object], dict[str, object]] = {}
        for name, value in vars(base).items():
            for layer in layers(value, base.__qualname__):
                marks = stored(layer, MARK)
                for mark in marks if is_a(marks, tuple) else ():
                    marked.setdefault(mark, {}).setdefault(name, value)
        for mark, values in marked.items():
            if mark in seen:
                continue
            name = getattr(mark.method, "__name__", "")
            name = name if name in values else next(iter(values))
            value = values[name]
            if len(values) > 1 and held_by(cls, name) is value:
                aliases = [alias for alias, other in values.items() if other is value]
                name = next((alias for alias in aliases if held_by(cls, alias) is not value), name)
            # Like a named hook, a marked method that a subclass sets to None does not listen.
            if held_by(cls, name) is not None:
                yield name, mark
        seen.update(marked)


def _is_named_by_chance(hook: NamedHook, cls: type) -> bool:
    """
    Whether a library's method has the name of a channel that it does not fit, as `logging.Logger.log` has.

    Libraries use the words "log" and "main" for many things. A `start` or `stop` that does not fit is a fault:
    the component would silently not start.
    """
    if hook.channel not in (LOG, MAIN):
        return False
    home = next(base for base in bases_of(cls) if hook.channel.name in namespace_of(base))
    return is_foreign(home) and misfit(hook, cls) is not None


def is_foreign(base: type) -> bool:
    """Whether a class is from the standard library or an installed package: the user did not choose its names."""
    module = module_of(base)
    if module == "__main__":
        return False  # a program in an installed package may run the user's code as `__main__`
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in sys.stdlib_module_names or "-packages" in file


def phase_of(hooks: Iterable[Hook[object]]) -> int:
    """Return the priority at which a component starts: its start hook's, else its stop hook's, else 50."""
    priorities = {hook.channel: hook.priority for hook in hooks if hook.priority is not None}
    return priorities.get(START, priorities.get(STOP, DEFAULT_PRIORITY))


def channels_between(
    received: Sequence[Iterable[AnyChannel]],
    hooks: Sequence[Iterable[Hook[object]]],
    enabled: Sequence[bool | None],
) -> dict[AnyChannel, tuple[list[int], list[int]]]:
    """
    Return the channels that some components receive and others listen to, each with the numbers of both.

    Life-cycle channels, which every bus has, and components that are certainly disabled do not count.

    Args:
        received: For each component, the channels that it receives as arguments.
        hooks: For each component, its hooks.
        enabled: For each component, whether it takes part; None if that is not known.
    """
    channels: dict[AnyChannel, tuple[list[int], list[int]]] = {}
    for number, listening in enumerate(hooks):
        for channel in {hook.channel: None for hook in listening} if enabled[number] is not False else ():
            if channel not in LIFECYCLE_CHANNELS:
                channels.setdefault(channel, ([], []))[1].append(number)
    for number, own in enumerate(received):
        for channel in own if enabled[number] is not False else ():
            if channel in channels:
                channels[channel][0].append(number)
    return channels
