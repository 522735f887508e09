"""
The events that a bus publishes: one frozen record class for each kind.

Each kind has a channel of its own in `_bus.builtin`, and `LIFECYCLE` carries all
events. *path* is the dotted path of the component concerned, or the name of a listener
outside all containers. Durations are in seconds.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from typedbus._base.record import Record
from typedbus._base.states import State


@attrs.frozen(eq=False, repr=False)
class _Begun(Record):
    """A step for the component at *path* is about to begin. Subclasses share the attrs-generated methods."""

    path: str


@attrs.frozen(eq=False, repr=False)
class _Done(Record):
    """A step for the component at *path* has been completed, in *seconds*."""

    path: str
    seconds: float


@attrs.frozen(eq=False, repr=False)
class Moved(Record):
    """The bus changed from the state *before* to the state *after*."""

    before: State
    after: State


class Constructing(_Begun):
    """A component is about to be constructed."""

    __slots__ = ()


class Constructed(_Done):
    """A component was constructed, in *seconds*."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Subscribed(Record):
    """
    The listening methods of a component were subscribed, in *seconds*.

    The component starts after the components *needs*, its dependencies, and after the
    components *after*, which listen to channels that are passed to it. *functions* are the functions of a `Listeners`,
    as in ``"record on order_placed"``; None for any other component.
    """

    path: str
    seconds: float
    needs: tuple[str, ...]
    after: tuple[str, ...] = ()
    functions: tuple[str, ...] | None = None


@attrs.frozen(eq=False, repr=False)
class Disabled(Record):
    """A component is not enabled in this run, for *reason*."""

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
    """A listener of the life-cycle channel *hook* raised *error*, or overran its limit, after *seconds*."""

    path: str
    hook: str
    seconds: float
    error: BaseException


@attrs.frozen(eq=False, repr=False)
class RolledBack(Record):
    """
    A start that had failed or was cancelled has been undone, in *seconds*.

    *error* is the first error of the start, or None if it was cancelled;
    *paths* are the stopped components, in the order in which they stopped.
    """

    seconds: float
    error: BaseException | None
    paths: tuple[str, ...]


@attrs.frozen(eq=False, repr=False)
class ListenerFailed(Record):
    """The listener *name* of *channel* raised *error* in a publish, which continued."""

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
"""Every event that a bus publishes on its `LIFECYCLE` channel; `match` can be checked for exhaustiveness."""
