"""
What of a component listens to which channel, and whether it fits.

By its name, a method called after a life-cycle channel; by a mark, one under
`@on`; by declaration, what `Component.on` was given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from typedbus._bound import BoundChannel, Subscription
from typedbus._bus import Bus
from typedbus._channel import DEFAULT_PRIORITY, MARK, AnyChannel, Channel, Hook
from typedbus._component import Component
from typedbus._failures import describe
from typedbus._faults import HookFault
from typedbus._registry import EXIT, GRACEFUL, LOG, MAIN, START, STOP

NAMED_HOOKS = {channel.name: channel for channel in (START, STOP, EXIT, GRACEFUL, MAIN, LOG)}
_PHASED = (START, STOP, EXIT, GRACEFUL)


class Starts(Protocol):
    """Inherit it to have checkers watch over the signature of `start`."""

    def start(self) -> None:
        """Called when the bus starts, after that of every component that this one needs."""


class Stops(Protocol):
    """Inherit it to have checkers watch over the signature of `stop`."""

    def stop(self) -> None:
        """Called when the bus stops, before that of every component that this one needs."""


class Exits(Protocol):
    """Inherit it to have checkers watch over the signature of `exit`."""

    def exit(self) -> None:
        """Called when the bus exits, to let go of what the constructor took."""


class Reloads(Protocol):
    """Inherit it to have checkers watch over the signature of `graceful`."""

    def graceful(self) -> None:
        """Called when settings are to be read again, files reopened and the like."""


class Ticks(Protocol):
    """Inherit it to have checkers watch over the signature of `main`."""

    def main(self) -> None:
        """Called at each tick of the thread that blocks on the bus."""


class Logs(Protocol):
    """Inherit it to have checkers watch over the signature of `log`."""

    def log(self, message: str, level: int, /) -> None:
        """Called with what is published on the log channel."""


class _NamedHook(Hook[object]):
    """A hook that nobody declared: its method bears the name of a life-cycle channel."""

    __slots__ = ()


def hooks_of(component: Component[object], cls: type) -> list[Hook[object]]:
    """Return what methods of *cls* listen as *component*, by name, by mark and by declaration."""
    found: dict[tuple[str, AnyChannel], Hook[object]] = {}
    # The methods of a bus bear the names of its channels because they publish on them.
    for name, channel in {} if issubclass(cls, Bus) else NAMED_HOOKS.items():
        method = getattr(cls, name, None)
        if callable(method):
            found[name, channel] = _NamedHook(channel, method)
    # From the base classes up, so that an override keeps its mark and may renew it.
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            marks: tuple[Hook[object], ...] = getattr(value, MARK, ())
            for mark in marks:
                found[name, mark.channel] = mark
    return [hook for hook in (*found.values(), *component.hooks) if hook.channel not in component.unheard]


def phase_of(hooks: Iterable[Hook[object]]) -> int:
    """Return the priority at which a component starts: that of its start hook, else of its stop hook, else 50."""
    given = {hook.channel: hook.priority for hook in hooks if hook.priority is not None}
    return given.get(START, given.get(STOP, DEFAULT_PRIORITY))


def hook_faults(component: Component[object], cls: type, hooks: Sequence[Hook[object]]) -> list[HookFault]:
    """Return what keeps *hooks* from listening, as far as signatures tell at run time."""
    faults = []
    for hook in hooks:
        problem = _misfit(hook, cls)
        if hook.channel in _PHASED and hook.priority not in (None, phase_of(hooks)):
            problem = (
                f"is to be called at priority {hook.priority}, but the component starts at {phase_of(hooks)}, "
                "and all of its life goes in that order or its exact reverse"
            )
        if problem is not None:
            remedy = "change it, or take away what makes it a listener"
            if isinstance(hook, _NamedHook):
                remedy = (
                    f"rename it, or say that it is no listener: Component(...).without({hook.channel.name.upper()})"
                )
            faults.append(
                HookFault(
                    component.path,
                    component.place,
                    f"{describe(hook.method)} does not fit channel {hook.channel.name!r}: it {problem}",
                    remedy,
                )
            )
    return faults


def _misfit(hook: Hook[object], cls: type) -> str | None:
    """Return why a method cannot be called with what is published, or None."""
    said = hook.channel.signature()
    if inspect.iscoroutinefunction(hook.method):
        return "is async, and nobody would await it"
    if said is None:
        return None
    own = inspect.getattr_static(cls, getattr(hook.method, "__name__", ""), None)
    owner = [] if isinstance(own, (staticmethod, classmethod)) else [None]
    try:
        takes = inspect.signature(hook.method, eval_str=True)
    except NameError:
        takes = inspect.signature(hook.method)
    except ValueError:
        return None  # it is written in C and has no signature to read
    for args, kwargs in _calls(said):
        try:
            bound = takes.bind(*owner, *args, **kwargs)
        except TypeError as error:
            shown = said.replace(return_annotation=inspect.Signature.empty)
            return f"is called with {shown} and takes {takes}: {error}"
        for name, given in bound.arguments.items():
            wanted = takes.parameters[name].annotation
            for parameter in given if isinstance(given, tuple) else (given,):
                if not isinstance(parameter, inspect.Parameter):
                    continue
                if wanted is inspect.Parameter.empty and isinstance(hook, _NamedHook):
                    return f"does not say what {name!r} is, so that only its name speaks for it"
                if not _accepts(wanted, parameter.annotation):
                    return f"takes {name!r} as {wanted.__name__} and is given {parameter.annotation.__name__}"
    return None


def _calls(said: inspect.Signature) -> Iterator[tuple[list[inspect.Parameter], dict[str, inspect.Parameter]]]:
    """Give the calls that a publisher may make: the fewest arguments, the most, and by name what has a name."""
    parameters = said.parameters.values()
    by_kind = {kind: [one for one in parameters if one.kind is kind] for kind in {one.kind for one in parameters}}
    unnamed = by_kind.get(inspect.Parameter.POSITIONAL_ONLY, [])
    either = by_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, [])
    named = by_kind.get(inspect.Parameter.KEYWORD_ONLY, [])
    rest = by_kind.get(inspect.Parameter.VAR_POSITIONAL, [])
    others = dict(zip(["any_other_name"], by_kind.get(inspect.Parameter.VAR_KEYWORD, []), strict=False))
    empty = inspect.Parameter.empty
    yield (
        [one for one in unnamed + either if one.default is empty],
        {one.name: one for one in named if one.default is empty},
    )
    yield unnamed + either + rest, {**{one.name: one for one in named}, **others}
    yield unnamed, {**{one.name: one for one in either + named}, **others}


def _accepts(wanted: object, given: object) -> bool:
    """Whether a parameter annotated *wanted* takes what is annotated *given*; yes where only a checker could tell."""
    if not isinstance(wanted, type) or not isinstance(given, type) or inspect.Parameter.empty in (wanted, given):
        return True
    return issubclass(given, wanted) or (given, wanted) in ((int, float), (int, complex), (float, complex))


class _ComponentSubscription(Subscription):
    """A subscription that knows the component whose method listens."""

    __slots__ = ("_path",)

    def __init__(
        self, bound: BoundChannel[..., None], listener: Callable[..., object], priority: int, path: str
    ) -> None:
        super().__init__(bound, listener, priority)
        self._path = path

    @property
    def name(self) -> str:
        """The component's path and the method."""
        return f"{self._path}.{getattr(self.listener, '__name__', 'listener')}"

    @property
    def path(self) -> str:
        """The component's path."""
        return self._path


class _Place:
    """Stands among the listeners of `START` for a component that only stops, so that its turn is known."""

    def __init__(self, owner: object) -> None:
        self.__self__ = owner
        self.__name__ = "start"

    def __call__(self) -> None:
        """Do nothing: the component was ready when it was built."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and other.__self__ is self.__self__

    def __hash__(self) -> int:
        return id(self.__self__)


def subscribe_hooks(
    bus: Bus, path: str, owner: object, hooks: Sequence[Hook[object]], phase: int
) -> list[Subscription]:
    """
    Subscribe the methods of *owner* as *hooks* say.

    Args:
        bus: Where.
        path: The component's path, for messages and events.
        owner: The component.
        hooks: What listens to which channel.
        phase: The priority on the channels that follow the dependency graph.
    """
    subscriptions = []
    listened = [hook.channel for hook in hooks]
    if STOP in listened and START not in listened:
        bound = bus[START]
        subscriptions.append(bound._add(_ComponentSubscription(bound, _Place(owner), phase, path)))
    for hook in hooks:
        assert isinstance(hook.channel, Channel)
        channel: BoundChannel[..., None] = bus[hook.channel]
        priority = phase if hook.channel in _PHASED else hook.priority
        listener = hook.bind(owner)
        subscriptions.append(
            channel._add(
                _ComponentSubscription(channel, listener, DEFAULT_PRIORITY if priority is None else priority, path)
            )
        )
    return subscriptions
