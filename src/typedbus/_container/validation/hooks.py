"""Faults of methods that listen to channels: they do not fit their channel, or would never be called."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from typedbus._base.static import bases_of, full_name_of, is_a, lookup, namespace_of, stored
from typedbus._channels.channel import MARK, AnyChannel, Hook
from typedbus._container.component import Component
from typedbus._container.faults import ChannelFault, Fault, HookFault
from typedbus._container.hooks import NAMED_HOOKS, PHASED, phase_of
from typedbus._container.misfits import NamedHook, misfit


def hook_faults(component: Component[object], cls: type, hooks: Sequence[Hook[object]]) -> list[Fault]:
    """Return the faults that keep *hooks* from listening, as far as signatures show them at run time."""
    faults: list[Fault] = [*namesake_faults(component, (hook.channel for hook in hooks), "listens to")]
    faults.extend(_hidden_marks(component, cls))
    for hook in hooks:
        problem = misfit(hook, cls)
        if hook.channel in PHASED and hook.priority not in (None, phase_of(hooks)):
            problem = (
                f"has priority {hook.priority}, but the component starts at {phase_of(hooks)}, "
                "and its other life-cycle hooks are called at the same priority"
            )
        remedy = "correct the method, or remove the mark or declaration that makes it a listener"
        if hook.inline and hook.limit is not None:
            problem = f"is inline, where a limit cannot interrupt it, and has a limit of {hook.limit:g} s"
            remedy = "remove inline=True or the limit"
        if problem is not None:
            if isinstance(hook, NamedHook):
                remedy = f"rename it, or declare that it does not listen: Component(...).without({hook.channel.name.upper()})"
            faults.append(
                HookFault(
                    component.path,
                    component.place,
                    f"{full_name_of(hook.method)} does not fit channel {hook.channel.name!r}: it {problem}",
                    remedy,
                )
            )
    return faults


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
