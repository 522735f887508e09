"""An async channel on a bus whose listeners of one priority run concurrently."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from itertools import groupby
from typing import Any, Final

from typedbus._base.failures import Blame, propagates_at_once
from typedbus._channels.async_bound import AsyncBoundChannel, listener_cancelled
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.async_codegen import is_awaitable
from typedbus._channels.channel import Args, Result
from typedbus._channels.subscriptions import FailureSink

_Phases = tuple[tuple[Callable[..., Any], ...], ...]

if sys.version_info >= (3, 12):
    # An eager task runs up to its first suspension at once, without a turn of the loop.
    _new_task: Final = partial(asyncio.Task, eager_start=True)
else:
    _new_task: Final = asyncio.Task


class ConcurrentBoundChannel(AsyncBoundChannel[Args, Result]):
    """
    An async channel on a bus whose listeners of one priority run concurrently.

    A listener runs in a task of its own and not in steps made here: `asyncio.timeout` and task groups cancel the
    current task, which must be that of the listener. `asyncio.TaskGroup` would cancel the other listeners at the
    first failure.
    """

    __slots__ = ("_grouped",)

    def __init__(
        self, channel: AsyncChannel[Args, Result], lock: threading.RLock, failures: FailureSink | None = None
    ) -> None:
        super().__init__(channel, lock, failures)
        # The listeners in running order, and the same listeners by priority: a cache, valid for this very tuple.
        self._grouped: tuple[tuple[Callable[..., Any], ...], _Phases] = (), ()

    def _phases(self) -> _Phases:
        """Return the listeners in running order, grouped by priority."""
        listeners = self._listeners
        grouped, phases = self._grouped
        if listeners is grouped:
            return phases
        with self._lock:
            listeners = self._arrange()
            by_priority = groupby(self.subscriptions, key=lambda subscription: subscription.priority)
            phases = tuple(tuple(subscription.listener for subscription in group) for _, group in by_priority)
            self._grouped = listeners, phases
        return phases

    async def _run(self, phases: _Phases, args: tuple[object, ...], kwargs: Mapping[str, object]) -> list[Result]:
        """Run the listeners of each phase concurrently, one phase after the other."""
        results: list[Result] = []
        errors: list[Exception] = []
        blames: list[Blame] = []
        leaving: BaseException | None = None
        failure: Exception | None
        outcomes: list[Any] | None
        outcome: Any
        try:
            for listeners in phases:
                outcomes, leaving = await _run_concurrently(listeners, args, kwargs)
                for listener, outcome in zip(listeners, outcomes, strict=False):  # the last may not have been called
                    if not isinstance(outcome, _Raised):
                        results.append(outcome)
                        continue
                    failure = outcome.failure(leaving)
                    if failure is not None:
                        self._blame(listener, failure, errors, blames)
                if leaving is not None:
                    self._chain_failures(leaving, errors, blames, results)
                    raise leaving
            if errors:
                raise self._failed(errors, blames, results)
        finally:
            # The traceback of each failure holds this frame.
            del errors, leaving
            outcomes = outcome = failure = None
        return results


class _Raised:
    """The outcome of a listener that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @property
    def propagates(self) -> bool:
        """Whether the error ends the publish; a `CancelledError` does only if it is that of the publisher."""
        return propagates_at_once(self.error) and not isinstance(self.error, asyncio.CancelledError)

    def failure(self, leaving: BaseException | None) -> Exception | None:
        """Return the failure of the listener in a publish that *leaving* ends, or None if it has not failed."""
        if leaving is None and isinstance(self.error, asyncio.CancelledError):
            return listener_cancelled(self.error)
        return self.error if isinstance(self.error, Exception) and not propagates_at_once(self.error) else None


async def _run_concurrently(
    listeners: Iterable[Callable[..., Any]], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[list[Any], BaseException | None]:
    """
    Call *listeners*, and return the outcome of each, and the exception that ends the publish, or None.

    When a listener raises such an exception, or the publisher is cancelled, the running listeners are cancelled once,
    and awaited.
    """
    loop = asyncio.get_running_loop()
    outcomes: list[Any] = []
    running: dict[asyncio.Task[Any], int] = {}
    leaving: BaseException | None = None
    outcome: Any
    task: asyncio.Task[Any] | None
    ended: set[asyncio.Task[Any]] | None
    try:
        for listener in listeners:
            task, outcome = _begin(loop, listener, args, kwargs)
            if task is not None:
                running[task] = len(outcomes)
            outcomes.append(outcome)
            if type(outcome) is _Raised and outcome.propagates:
                leaving = outcome.error
                break
        waiting = set(running)
        cancels = True
        while waiting:
            if leaving is not None and cancels:
                cancels = False
                for task in waiting:
                    task.cancel()
            try:
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            except asyncio.CancelledError as error:
                leaving = leaving or error
                continue
            for task in ended:
                outcome = outcomes[running[task]] = _outcome_of(task)
                if leaving is None and type(outcome) is _Raised and outcome.propagates:
                    leaving = outcome.error
        return outcomes, leaving
    finally:
        # The frame of a listener that failed refers to this frame, which called it.
        del outcomes, leaving
        running.clear()
        outcome = task = ended = None


def _begin(
    loop: asyncio.AbstractEventLoop,
    listener: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> tuple[asyncio.Task[Any] | None, Any]:
    """Call *listener* in a copy of the context, and return its task and None, or None and its outcome if it has ended."""
    task = None
    try:
        context = contextvars.copy_context()
        result = context.run(listener, *args, **kwargs)
        if type(result) is not types.CoroutineType:
            if not is_awaitable(result):
                return None, result
            result = _awaited(result)
        task = _new_task(result, loop=loop, context=context)
        return (None, task.result()) if task.done() else (task, None)
    except BaseException as error:
        return None, _Raised(error)
    finally:
        del task  # as in _outcome_of


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _outcome_of(task: asyncio.Task[Any]) -> Any:
    """Return the outcome of *task*, which has ended."""
    try:
        return task.result()
    except BaseException as error:
        return _Raised(error)
    finally:
        del task  # the traceback of the exception, which the task refers to, holds this frame
