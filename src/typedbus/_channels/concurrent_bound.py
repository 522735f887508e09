"""An async channel on a bus whose listeners of one priority run concurrently."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from typedbus._base.coroutines import returns_coroutine
from typedbus._base.failures import Blame, ChannelFailures, propagates_at_once
from typedbus._channels.async_bound import AsyncBoundChannel, listener_cancelled
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.async_codegen import CONCURRENT_ATTEMPT, is_awaitable
from typedbus._channels.attempt import Attempt
from typedbus._channels.channel import Args, Result
from typedbus._channels.roles import CoroutineRunner, FailureSink

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import Watches

_Call = Callable[[Callable[..., Any]], Any]
"""Calls a listener with the published arguments."""

_Listeners = tuple[tuple[Callable[..., Any], bool], ...]
"""The listeners of one priority, each with whether a call of it returns a coroutine."""

_Plan = tuple["Watches", tuple[_Listeners, ...]]
"""The calls of a publish: the watchers, and the listeners by priority."""

if sys.version_info >= (3, 12):
    # An eager task runs up to its first suspension at once, without a turn of the loop.
    _task: Final = partial(asyncio.Task, eager_start=True)
else:
    _task: Final = asyncio.Task


class ConcurrentBoundChannel(AsyncBoundChannel[Args, Result]):
    """
    An async channel on a bus whose listeners of one priority run concurrently.

    A listener runs in a task of its own and not in steps made here: `asyncio.timeout` and task groups cancel the
    current task, which must be that of the listener. `asyncio.TaskGroup` would cancel the other listeners at the
    first failure.
    """

    __slots__ = ("_planned",)

    # `first` and `fold` call one listener after the other, as on any async channel.
    _verb_texts = {"attempt": CONCURRENT_ATTEMPT}  # noqa: RUF012  # a class variable of the base class

    def __init__(
        self,
        channel: AsyncChannel[Args, Result],
        lock: threading.RLock,
        failures: FailureSink,
        run_on_loop: CoroutineRunner,
    ) -> None:
        super().__init__(channel, lock, failures, run_on_loop)
        # A cache: the plan, with the tuple of listeners that it was made for. It is valid for that tuple and its watches.
        self._planned: tuple[tuple[Callable[..., Any], ...], _Plan] = (), ((), ())

    def _plan(self) -> _Plan:
        """Return the watches, and the listeners in running order, grouped by priority."""
        listeners = self._listeners
        planned, plan = self._planned
        if listeners is planned and plan[0] is self._watches:
            return plan
        with self._lock:
            watches, listeners = self._watches, self._arrange()
            subscriptions = zip(self.subscriptions, listeners, strict=False)
            by_priority = groupby(subscriptions, key=lambda pair: pair[0].priority)
            phases = tuple(
                tuple((listener, returns_coroutine(listener)) for _, listener in group) for _, group in by_priority
            )
            plan = watches, phases
            self._planned = listeners, plan
        return plan

    async def _run(self, plan: _Plan, call: _Call) -> list[Result]:
        """Call the watchers, and run the listeners of each phase concurrently, one phase after the other."""
        watches, phases = plan
        if watches:
            self._call_watchers(watches, call)
        results: list[Result] = []
        errors: list[Exception] = []
        blames: list[Blame] = []
        raised: dict[int, BaseException] = {}
        leaving: BaseException | None = None
        failure: Exception | None = None
        try:
            for listeners in phases:
                outcomes, raised, leaving = await _run_concurrently(listeners, call)
                if not raised:
                    results += outcomes
                else:
                    for position, (outcome, (listener, _)) in enumerate(zip(outcomes, listeners, strict=False)):
                        if position not in raised:
                            results.append(outcome)
                            continue
                        failure = _failure(raised[position], leaving)
                        if failure is not None:
                            self._blame(listener, failure, errors, blames)
                if leaving is not None:
                    self._chain_failures(leaving, errors, blames, results)
                    raise leaving
            if errors:
                raise self._failed(errors, blames, results)
        finally:
            # The traceback of each failure holds this frame.
            del errors, raised, leaving, failure
        return results

    async def _attempt(self, plan: _Plan, call: _Call) -> Attempt[Result]:
        """Run the listeners as `_run` does, and return their answers and failures."""
        results: Sequence[Result]
        failed: ChannelFailures[Result] | None = None
        try:
            results = await self._run(plan, call)
        except ChannelFailures as error:
            results = error.results
            failed = error.with_traceback(None)  # it holds this frame, which holds the failures
        return Attempt.of(self, [listener for listeners in plan[1] for listener, _ in listeners], results, failed)


def _failure(error: BaseException, leaving: BaseException | None) -> Exception | None:
    """Return the failure of a listener that raised *error* in a publish that *leaving* ends, or None if it did not fail."""
    if leaving is None and isinstance(error, asyncio.CancelledError):
        return listener_cancelled(error)
    return error if isinstance(error, Exception) and not propagates_at_once(error) else None


def _propagates(error: BaseException) -> bool:
    """Return whether *error* of a listener ends the publish; a `CancelledError` does only if it is that of the publisher."""
    return propagates_at_once(error) and not isinstance(error, asyncio.CancelledError)


async def _run_concurrently(
    listeners: _Listeners, call: _Call
) -> tuple[list[Any], dict[int, BaseException], BaseException | None]:
    """
    Call *listeners*; return their results, the exceptions by position, and the exception that ends the publish, or None.

    In the place of an exception the result is None. After an exception that ends the publish no listener is called.
    """
    new_task = partial(_task, loop=asyncio.get_running_loop())
    results: list[Any] = []
    raised: dict[int, BaseException] = {}
    running: dict[asyncio.Task[Any], int] = {}
    leaving: BaseException | None = None
    task: asyncio.Task[Any] | None = None
    try:
        for listener, is_async in listeners:
            try:
                if is_async:
                    # The call runs nothing of the listener yet, and the task makes the copy of the context.
                    task = new_task(call(listener))
                else:
                    context = contextvars.copy_context()
                    result = context.run(call, listener)
                    if not is_awaitable(result):
                        results.append(result)
                        continue
                    if type(result) is not types.CoroutineType:
                        result = _awaited(result)
                    task = new_task(result, context=context)
                if task.done():
                    results.append(task.result())
                    continue
                running[task] = len(results)
            except BaseException as error:
                raised[len(results)] = error
                if _propagates(error):
                    leaving = error
            results.append(None)
            if leaving is not None:
                break
        if running:
            leaving = await _finish(running, results, raised, leaving)
        return results, raised, leaving
    finally:
        # The frame of a listener that failed refers to this frame, which called it.
        del raised, leaving, task
        running.clear()


async def _finish(
    running: Mapping[asyncio.Task[Any], int],
    results: list[Any],
    raised: dict[int, BaseException],
    leaving: BaseException | None,
) -> BaseException | None:
    """
    Await the tasks *running*, record the outcome of each at its position, and return the exception that ends the publish.

    If there is one, or the publisher is cancelled, the tasks are cancelled once, and awaited.
    """
    waiting = set(running)
    ended: set[asyncio.Task[Any]] = set()
    task: asyncio.Task[Any] | None = None
    cancels = True
    try:
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
                try:
                    results[running[task]] = task.result()
                except BaseException as error:
                    raised[running[task]] = error
                    if leaving is None and _propagates(error):
                        leaving = error
        return leaving
    finally:
        del raised, leaving, ended, task  # as in `_run_concurrently`


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
