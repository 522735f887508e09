"""
What a bus tells of its life: one frozen record for each kind of thing that happens.

Each kind has a channel of its own in `_bus.registry`, and `LIFECYCLE` carries them
all. *path* is the dotted path of the component that it is about; for a listener
outside every container, its name. Durations are in seconds.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from typedbus._base.record import Record
from typedbus._base.states import State


@attrs.frozen(eq=False, repr=False)
class _Begun(Record):
    """Something is about to be done with the component at *path*. Kinds of one shape share what is generated for it."""

    path: str


@attrs.frozen(eq=False, repr=False)
class _Done(Record):
    """Something was done with the component at *path*, in *seconds*."""

    path: str
    seconds: float


@attrs.frozen(eq=False, repr=False)
class Moved(Record):
    """The bus went from one state to another: a step of a transition."""

    before: State
    after: State


class Constructing(_Begun):
    """A component is about to be built."""

    __slots__ = ()


class Constructed(_Done):
    """A component was built, in *seconds*."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Subscribed(Record):
    """
    The methods of a component that listen were subscribed, in *seconds*.

    It starts after the components *needs*, which it depends on, and after the
    components *after*, which listen to the channels that it is given.
    """

    path: str
    seconds: float
    needs: tuple[str, ...]
    after: tuple[str, ...] = ()


@attrs.frozen(eq=False, repr=False)
class Disabled(Record):
    """A component takes no part in this run, for *reason*."""

    path: str
    reason: str


class ComponentStarting(_Begun):
    """A listener of `START` is about to be called."""

    __slots__ = ()


class ComponentStarted(_Done):
    """A listener of `START` returned after *seconds*."""

    __slots__ = ()


class ComponentStopping(_Begun):
    """A listener of `STOP` is about to be called."""

    __slots__ = ()


class ComponentStopped(_Done):
    """A listener of `STOP` returned after *seconds*."""

    __slots__ = ()


class ComponentExiting(_Begun):
    """A listener of `EXIT` is about to be called."""

    __slots__ = ()


class ComponentExited(_Done):
    """A listener of `EXIT` returned after *seconds*."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Failed(Record):
    """A listener of the life-cycle channel *hook* raised *error*, or overran its time, after *seconds*."""

    path: str
    hook: str
    seconds: float
    error: BaseException


@attrs.frozen(eq=False, repr=False)
class RolledBack(Record):
    """
    A start that had failed or was broken off has been undone, in *seconds*.

    *error* is what it had failed with first, and None if it was broken off;
    *paths* are those that were stopped, in that order.
    """

    seconds: float
    error: BaseException | None
    paths: tuple[str, ...]


@attrs.frozen(eq=False, repr=False)
class ListenerFailed(Record):
    """The listener *name* of *channel* raised *error* in a publish, which went on."""

    name: str
    channel: str
    error: Exception


LifecycleEvent: TypeAlias = (
    Moved
    | Constructing
    | Constructed
    | Subscribed
    | Disabled
    | ComponentStarting
    | ComponentStarted
    | ComponentStopping
    | ComponentStopped
    | ComponentExiting
    | ComponentExited
    | Failed
    | RolledBack
    | ListenerFailed
)
"""Everything that a bus tells on its `LIFECYCLE` channel; `match` exhausts it."""
