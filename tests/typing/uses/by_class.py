"""The filters and channels of the page about listening to one class, which the files beside this one use."""

import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from typedbus import AsyncChannel, Bus, Channel

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Page:
    title = ""


class BlogPage(Page):
    """A page of a blog."""


class Image:
    size = 0


@Channel.declare
def saved(instance: object, /, *, created: bool) -> None:
    """An object was written to the database."""


@Channel.declare
def opened(sender: object, /) -> None:
    """A door was opened."""


stored = AsyncChannel[[object], None]("stored")


def only(kind: type[T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[Concatenate[object, P], None]]:
    def decorate(listener: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[object, P], None]:
        @wraps(listener)
        def filtered(instance: object, /, *args: P.args, **kwargs: P.kwargs) -> None:
            if isinstance(instance, kind):
                listener(instance, *args, **kwargs)

        return filtered

    return decorate


def exactly(kind: type[T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[Concatenate[object, P], None]]:
    def decorate(listener: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[object, P], None]:
        @wraps(listener)
        def filtered(instance: object, /, *args: P.args, **kwargs: P.kwargs) -> None:
            if type(instance) is kind:
                listener(instance, *args, **kwargs)

        return filtered

    return decorate


def only_async(
    kind: type[T],
) -> Callable[
    [Callable[Concatenate[T, P], Awaitable[None]]], Callable[Concatenate[object, P], Coroutine[Any, Any, None]]
]:
    def decorate(
        listener: Callable[Concatenate[T, P], Awaitable[None]],
    ) -> Callable[Concatenate[object, P], Coroutine[Any, Any, None]]:
        @wraps(listener)
        async def filtered(instance: object, /, *args: P.args, **kwargs: P.kwargs) -> None:
            if isinstance(instance, kind):
                await listener(instance, *args, **kwargs)

        return filtered

    return decorate


def sent_by(sender: T) -> Callable[[Callable[Concatenate[T, P], None]], Callable[Concatenate[object, P], None]]:
    reference = weakref.ref(sender)

    def decorate(listener: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[object, P], None]:
        @wraps(listener)
        def filtered(candidate: object, /, *args: P.args, **kwargs: P.kwargs) -> None:
            own = reference()
            if own is not None and own is candidate:
                listener(own, *args, **kwargs)

        return filtered

    return decorate


@dataclass(frozen=True, kw_only=True)
class Saved(Generic[T_co]):
    instance: T_co
    created: bool = False


class SavedChannels:
    def __init__(self) -> None:
        self._channels: dict[type, Channel[[Saved[Any]]]] = {}

    def __getitem__(self, kind: type[T]) -> Channel[[Saved[T]]]:
        return self._channels.setdefault(kind, Channel[[Saved[Any]]](f"post_save[{kind.__name__}]"))

    def publish(self, bus: Bus, event: Saved[object]) -> None:
        for kind in type(event.instance).__mro__:
            if kind in self._channels:
                bus[self._channels[kind]].publish(event)


post_save = SavedChannels()
