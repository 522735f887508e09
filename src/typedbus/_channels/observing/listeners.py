"""The callables that a publish on an observed channel calls in place of its listeners, unless it is unrolled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from typedbus._base.coroutines import returns_coroutine
from typedbus._base.failures import calls_listener
from typedbus._channels.async_codegen import is_awaitable
from typedbus._channels.observing.tallies import Cells, Layout, add_duration
from typedbus._channels.roles import Substitute
from typedbus._channels.subscriptions import Subscription


class Counting(Protocol):
    """What an observed listener needs of its channel."""

    @property
    def clock(self) -> Callable[[], float]:
        """The source of time."""
        ...

    def listener_failed(self, name: str, error: BaseException, /) -> None:
        """Count a failure of the listener *name*."""


class ObservedListener(Substitute):
    """
    A callable that counts the calls of a listener, their durations and failures.

    Attributes:
        call: The listener, or another substitute for it.
        cells: The numbers of all listeners, by thread.
        layout: The places of these numbers.
        name: The name of the listener.
        number: Its place among the listeners.
    """

    __slots__ = ("_calls", "_channel", "_histogram", "_recursions", "call", "cells", "layout", "name", "number")

    def __init__(
        self,
        subscription: Subscription,
        call: Callable[..., Any],
        channel: Counting,
        *,
        cells: Cells,
        layout: Layout,
        number: int,
        name: str,
    ) -> None:
        super().__init__(subscription)
        self.call: Final = call
        self.cells: Final = cells
        self.layout: Final = layout
        self.number: Final = number
        self.name: Final = name
        self._channel = channel
        self._calls = layout.calls(number)
        self._histogram = layout.histogram_of(number) if layout.is_each else 0
        self._recursions = layout.recursions + number

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        numbers = self.cells.numbers
        began = self._begin()
        try:
            result = self.call(*args, **kwargs)
        except RecursionError:
            # No call: hardly any stack is left.
            numbers[self._recursions] += 1
            raise
        except BaseException as error:
            self._failed(began, error)
            raise
        self._ended(began)
        return result

    def _begin(self) -> float:
        """Count a call, and return the time."""
        began = self._channel.clock()
        self.cells.numbers[self._calls] += 1
        return began

    def _failed(self, began: float, error: BaseException) -> None:
        if isinstance(error, RecursionError):
            self.cells.numbers[self._recursions] += 1
        else:
            self._ended(began)
            self._channel.listener_failed(self.name, error)

    def _ended(self, began: float) -> None:
        if self._histogram:
            add_duration(self.cells.numbers, self._histogram, self._channel.clock() - began)


class AwaitedListener(ObservedListener):
    """An observed listener of an async channel: a call lasts until its result has been awaited."""

    __slots__ = ()

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if returns_coroutine(self.call):
            # The coroutine of the listener is created when it is awaited, since a task may be cancelled before.
            return self._run(lambda: self.call(*args, **kwargs))
        began = self._begin()
        try:
            result = self.call(*args, **kwargs)
        except BaseException as error:
            self._failed(began, error)
            raise
        if is_awaitable(result):
            return self._await(lambda: result, began)
        self._ended(began)
        return result

    @calls_listener
    async def _run(self, call: Callable[[], Any]) -> Any:
        return await self._await(call, self._begin())

    @calls_listener
    async def _await(self, call: Callable[[], Any], began: float) -> Any:
        try:
            result = await call()
        except BaseException as error:
            self._failed(began, error)
            raise
        self._ended(began)
        return result
