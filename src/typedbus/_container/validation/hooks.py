"""Faults of methods that listen to channels: they do not fit their channel, or would never be called."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from typedbus._base.failures import place_of
from typedbus._base.signatures import function_of
from typedbus._base.static import MISSING, bases_of, full_name_of, inherits, is_a, lookup, namespace_of, stored
from typedbus._bus.builtin import RUN
from typedbus._bus.bus import Bus
from typedbus._bus.listeners import FunctionHook
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._channels.marks import MARK
from typedbus._container.component import Component
from typedbus._container.faults import ChannelFault, Fault, HookFault, MisspeltFault
from typedbus._container.hooks import NAMED_HOOKS, PHASED, is_foreign, phase_of
from typedbus._container.misfits import NamedHook, is_async, misfit

#: Names of channels with fewer letters have no typos, and those with at most `_LONG` lose no letter.
_LONG_ENOUGH: Final = 4
_LONG: Final = 6


def hook_faults(component: Component[object], cls: type, hooks: Sequence[Hook[object]]) -> list[Fault]:
    """Return the faults that keep *hooks* from listening, as far as signatures show them at run time."""
    faults: list[Fault] = [*namesake_faults(component, (hook.channel for hook in hooks), "listens to")]
    faults.extend(_hidden_marks(component, cls))
    if component.policy is not None and not any(hook.channel is RUN for hook in hooks):
        if RUN in component.unheard:
            reason, way_out = "it is supervised, and .without(RUN) leaves out its runs", "remove one of the two"
        else:
            reason = f"it is supervised, and no method of {full_name_of(cls)} is a run"
            way_out = "mark the method that runs with @on(RUN), or remove .supervised(...)"
        faults.append(HookFault(component.path, component.place, reason, way_out))
    for hook in hooks:
        problem = misfit(hook, cls)
        if hook.channel in PHASED and hook.priority not in (None, phase_of(hooks)):
            problem = (
                f"has priority {hook.priority}, but the component starts at {phase_of(hooks)}, "
                "and its other life-cycle hooks are called at the same priority"
            )
        remedy = ""
        if hook.inline and hook.channel is RUN:
            problem, remedy = "is inline, and a run has a thread or a task of its own", "remove inline=True"
        elif hook.inline and hook.limit is not None:
            problem = f"is inline, where a limit cannot interrupt it, and has a limit of {hook.limit:g} s"
            remedy = "remove inline=True or the limit"
        elif hook.inline and is_async(hook.method):
            problem = "is async and runs on an event loop, and an inline hook runs in the thread of the transition"
            remedy = "remove inline=True, or make it a plain function"
        elif is_async(hook.method) and not (hook.channel.is_async or hook.channel.returns_awaitables()):
            remedy = "declare the channel as an AsyncChannel, or make it a plain function"
        place = component.place
        if type(hook) is FunctionHook:
            place = hook.place
            remedy = "correct the function, or remove @listeners.on above it"
        if problem is not None:
            if isinstance(hook, NamedHook):
                remedy = f"rename it, or declare that it does not listen: Component(...).without({hook.channel.name.upper()})"
            if not remedy:
                remedy = f"correct the method ({_place_of(hook)}), or remove the mark or declaration that makes it a listener"
            faults.append(
                HookFault(
                    component.path,
                    place,
                    f"{full_name_of(hook.method)} does not fit channel {hook.channel.name!r}: it {problem}",
                    remedy,
                )
            )
    return faults


def _place_of(hook: Hook[object]) -> str:
    """Return the file and line of the method of *hook*, or "no file"."""
    function = function_of(hook.method)
    return "no file" if function is None else place_of(function)


def _hidden_marks(component: Component[object], cls: type) -> Iterator[HookFault]:
    """Yield a fault for each mark on the function of a property: reading that attribute returns no method."""
    for base in bases_of(cls):
        for name, value in namespace_of(base).items():
            getter: Any = value
            if type(value) is property:
                getter = getter.fget
            elif type(value) is functools.cached_property:
                getter = getter.func
            else:
                continue
            marks = stored(getter, MARK)
            for mark in marks if is_a(marks, tuple) and lookup(cls, name) is value else ():
                if mark.channel in component.unheard:
                    continue
                yield HookFault(
                    component.path,
                    component.place,
                    f"{full_name_of(getter)} is marked to listen to channel {mark.channel.name!r} and is a property, "
                    "so that there is no method to call",
                    f"remove @{type(value).__name__}, or the mark",
                )


def namesake_faults(component: Component[object], channels: Iterable[AnyChannel], verb: str) -> Iterator[ChannelFault]:
    """Yield a fault for each of *channels* that has the name of a life-cycle channel but is a different channel."""
    for channel in channels:
        if NAMED_HOOKS.get(channel.name, channel) is not channel:
            yield ChannelFault(
                component.path,
                component.place,
                f"it {verb} a channel {channel.name!r} that is not the life-cycle channel of this name",
                f"use typedbus.{channel.name.upper()}, or give your channel another name",
            )


def misspelt_faults(component: Component[object], cls: type, hooks: Sequence[Hook[object]]) -> list[MisspeltFault]:
    """
    Return a fault for each method of *cls* with nearly the name of a life-cycle channel that could have been called.

    A class that also has the correctly named hook is not reported, nor is a method
    that the class itself calls, or whose name comes from a library's class.
    """
    # The last base, `object`, has no such method.
    candidates = {
        name: channel for base in bases_of(cls)[:-1] for name in namespace_of(base) if (channel := _misspelt(name))
    }
    if inherits(cls, Bus) or not candidates:
        return []
    faults = []
    own = [base for base in bases_of(cls) if not is_foreign(base)]
    foreign = [base for base in bases_of(cls) if is_foreign(base)]
    for name, channel in candidates.items():
        own_hook = lookup(cls, channel.name)
        if (
            channel in component.unheard
            or channel in component.unnamed
            or not (own_hook is MISSING or own_hook is None)
        ):
            continue
        method = lookup(cls, name)
        if not is_a(method, types.FunctionType):
            continue
        names = [(hook.attribute, full_name_of(hook.method).rpartition(".")[2]) for hook in hooks]
        if any(hook.method is method for hook in hooks) or any(name in pair for pair in names):
            continue
        if any(lookup(base, name) is not MISSING for base in foreign) or any(
            _calls_by_name(base, name) for base in own
        ):
            continue
        if misfit(NamedHook(channel, method), cls) is None:
            faults.append(
                MisspeltFault(
                    component.path,
                    component.place,
                    f"{full_name_of(method)} will not be called: a component listens to channel {channel.name!r} "
                    f"by a method named {channel.name!r}",
                    f"rename it, or declare that it does not listen: Component(...).without({channel.name.upper()})",
                )
            )
    return faults


def _calls_by_name(base: type, name: str) -> bool:
    """Whether another method of *base* uses the name."""
    others = [value for own, value in namespace_of(base).items() if own != name and type(value) is types.FunctionType]
    return any(name in other.__code__.co_names for other in others)


@functools.cache
def _spellings() -> dict[str, AnyChannel]:
    """Return likely misspellings of the names of the life-cycle channels, in lower case, and the names themselves."""
    spellings: dict[str, AnyChannel] = {}
    for name, channel in NAMED_HOOKS.items():
        ways = [f"{name}_", f"on_{name}", f"on{name}"]
        # Typos of short names, and doubled vowels, are ordinary words too often: `min`, `mail`, `stat`, `stoop`.
        for index in range(1, len(name)) if len(name) >= _LONG_ENOUGH else ():
            ways.append(name[:index] + name[index + 1 : index + 2] + name[index] + name[index + 2 :])
            if name[index] not in "aeiou":
                ways.append(name[:index] + name[index] + name[index:])
            if len(name) > _LONG:
                ways.append(name[:index] + name[index + 1 :])
        spellings.update(dict.fromkeys(ways, channel))
        spellings[name] = channel
    return spellings


def _misspelt(name: str) -> AnyChannel | None:
    """Return the life-cycle channel of which *name* is a misspelling, or None."""
    channel = _spellings().get(name.lower())
    return None if channel is None or name in NAMED_HOOKS else channel
