"""The callables that a publish on an observed channel calls in place of its listeners, unless it is unrolled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from typedbus._base.coroutines import returns_coroutine
from typedbus._base.failures import calls_listener, label_of
from typedbus._channels.async_codegen import is_awaitable
from typedbus._channels.observing.counts import Counts
from typedbus._channels.observing.tallies import Cells, Layout, add_duration
from typedbus._channels.observing.tracing import PublishTrace, TracedListener
from typedbus._channels.roles import Substitute
from typedbus._channels.subscriptions import Subscription


class ObservedListener(Substitute):
    """
    A callable that counts the calls of a listener, their durations and failures.

    Attributes:
        call: The listener, or another substitute for it.
        cells: The numbers of all listeners, by thread.
        layout: The places of these numbers.
        name: The name of the listener.
    """

    __slots__ = ("_calls", "_counts", "_histogram", "_recursions", "_traced", "call", "cells", "layout", "name")

    def __init__(
        self,
        subscription: Subscription,
        call: Callable[..., Any],
        counts: Counts,
        cells: Cells,
        layout: Layout,
        *,
        number: int,
    ) -> None:
        super().__init__(subscription)
        self.call: Final = call
        self.cells: Final = cells
        self.layout: Final = layout
        self.name: Final = subscription.name
        self._counts = counts
        self._calls = layout.calls(number)
        self._histogram = layout.histogram_of(number) if layout.is_each else 0
        self._recursions = layout.recursions + number
        self._traced: TracedListener | None = None

    @property
    def traced(self) -> TracedListener:
        """The listener, for traces; the same object each time."""
        traced = self._traced
        if traced is None:
            subscription = self.subscription
            traced = self._traced = TracedListener(subscription.channel, label_of(self.name), subscription.priority)
        return traced

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        numbers = self.cells.numbers
        histogram = self._histogram
        began = self._counts.clock() if histogram else 0.0
        numbers[self._calls] += 1
        try:
            result = self.call(*args, **kwargs)
        except RecursionError:
            # Calls nothing: hardly any stack is left.
            numbers[self._recursions] += 1
            raise
        except BaseException as error:
            self.failed(began, error)
            raise
        if histogram:
            add_duration(numbers, histogram, self._counts.clock() - began)
        return result

    def begin(self) -> float:
        """Count a call, and return the present time, or 0 if the durations of calls are not measured."""
        began = self._counts.clock() if self._histogram else 0.0
        self.cells.numbers[self._calls] += 1
        return began

    def ended(self, began: float) -> None:
        """Count the duration of a call for which `begin` returned *began*."""
        if self._histogram:
            add_duration(self.cells.numbers, self._histogram, self._counts.clock() - began)

    def failed(self, began: float, error: BaseException) -> None:
        """Count the failure and the duration of this call, which has raised *error*."""
        if isinstance(error, RecursionError):
            self.cells.numbers[self._recursions] += 1
        else:
            self.ended(began)
            self._counts.listener_failed(self.name, error)


class TracedCall(Substitute):
    """
    A callable that passes a call of a listener to the trace of its publish.

    Attributes:
        call: The observed listener.
    """

    __slots__ = ("_listener", "_trace", "call")

    def __init__(self, call: Callable[..., Any], observed: ObservedListener, trace: PublishTrace) -> None:
        super().__init__(observed.subscription)
        self.call: Final = call
        self._listener = observed.traced
        self._trace = trace

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        began = self.begin()
        try:
            result = self.call(*args, **kwargs)
        except BaseException as error:
            self.failed(began, error)
            raise
        self.ended(began)
        return result

    def begin(self) -> Any:
        """Report the begin of the call."""
        return self._trace.listener_began(self._listener)

    def ended(self, began: Any) -> None:
        """Report the end of the call for which `begin` returned *began*."""
        self._trace.listener_ended(self._listener, began, None)

    def failed(self, began: Any, error: BaseException) -> None:
        """Report that this call has raised *error*."""
        self._trace.listener_ended(self._listener, began, error)


class Awaited(Substitute):
    """
    A callable that counts or traces a call as *inner* does, on an async channel.

    There the call of a listener lasts until its result has been awaited.

    Attributes:
        inner: The object that counts or traces the call.
        is_async: Whether the listener is an async function.
    """

    __slots__ = ("inner", "is_async")

    def __init__(self, inner: ObservedListener | TracedCall) -> None:
        super().__init__(inner.subscription)
        self.inner: Final = inner
        call = inner.call
        self.is_async: bool = call.is_async if isinstance(call, Awaited) else returns_coroutine(call)

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        inner = self.inner
        if self.is_async:
            # The coroutine of the listener is created when it is awaited, since a task may be cancelled before.
            return self._run(lambda: inner.call(*args, **kwargs))
        began = inner.begin()
        try:
            result = inner.call(*args, **kwargs)
        except BaseException as error:
            inner.failed(began, error)
            raise
        if is_awaitable(result):
            return self._await(lambda: result, began)
        inner.ended(began)
        return result

    @calls_listener
    async def _run(self, call: Callable[[], Any]) -> Any:
        return await self._await(call, self.inner.begin())

    @calls_listener
    async def _await(self, call: Callable[[], Any], began: Any) -> Any:
        try:
            result = await call()
        except BaseException as error:
            self.inner.failed(began, error)
            raise
        self.inner.ended(began)
        return result


Observed: TypeAlias = ObservedListener | Awaited


def observed_listener(listener: Observed) -> ObservedListener:
    """Return the object that counts the calls of *listener*."""
    while not isinstance(listener, ObservedListener):
        inner: Any = listener.inner
        listener = inner
    return listener


def traced(listener: Observed, trace: PublishTrace) -> TracedCall | Awaited:
    """Return a callable that counts a call of *listener*, and passes it to *trace*."""
    call = TracedCall(listener, observed_listener(listener), trace)
    return Awaited(call) if isinstance(listener, Awaited) else call


def unrolled_failed(  # noqa: PLR0917  # generated code calls it
    counts: Counts,
    observed: Sequence[ObservedListener],
    listeners: Sequence[Callable[..., Any]],
    error: BaseException,
    first: int,
    called: Sequence[Callable[..., Any]],
    readings: Sequence[float],
) -> list[Callable[..., Any]]:
    """
    Count the calls of a publish in which a listener has raised *error* in the unrolled function.

    Args:
        counts: The counts of the channel.
        observed: The objects that count the calls of the listeners, one for each listener.
        listeners: The callables that the loop calls, one for each listener.
        error: The exception; the line in its traceback identifies the listener.
        first: The line of the first listener.
        called: The results of the listeners that have returned, then the callables of the others.
        readings: The readings of the clock at the begin and after each listener that has returned; empty if not timed.

    Returns:
        *called*, in which *listeners* replace the callables that the loop calls next.
    """
    trace = error.__traceback__
    number = -1 if trace is None else trace.tb_lineno - first
    if number < 0:  # no listener was called
        return [*called]
    layout, numbers = observed[0].layout, observed[0].cells.numbers
    numbers[layout.LEFT + number] += 1
    if readings:
        ends = *readings[: number + 1], counts.clock()  # an interrupt may come after a reading
        for place, (began, ended) in enumerate(itertools.pairwise(ends)):
            add_duration(numbers, layout.histogram_of(place), ended - began)
    counts.listener_failed(observed[number].name, error)
    return [*called[: number + 1], *listeners[number + 1 :]]
