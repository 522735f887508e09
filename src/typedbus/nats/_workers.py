"""The threads or tasks in which a consumer calls the listeners."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import functools
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from typedbus._bus.await_chain import stack_of_task
from typedbus._bus.hook_worker import stack_of_thread
from typedbus._os.exhausted import start_thread
from typedbus.nats._delivery import CURRENT, Received, State
from typedbus.nats._handover import Handover

#: Seconds after which a task passes the loop to others, if its listeners do not.
_LONGEST_BURST: Final = 0.01
_MISSING: Final = object()


@attrs.define(eq=False)
class Threads:
    """
    Calls sync listeners in threads.

    The queue and the way back need no change of threads for each event: while events wait, a thread continues with
    the next one, and the loop takes all that have ended with one wake-up.

    Args:
        call: Calls the listeners; it sets the state of the event, and raises nothing.
        ended: Called on the loop with each event, after the call.
        handover: The way back to the loop.
        own: Lets the bus own a thread.
        name: The name of the threads; with a number if there are several.
        count: How many threads there are.
    """

    _call: Callable[[Received], object]
    _ended: Callable[[Received], object]
    _handover: Handover
    _own: Callable[[threading.Thread], object]
    _name: str
    _count: int
    _queue: queue.SimpleQueue[Received | None] = attrs.field(init=False, factory=queue.SimpleQueue)
    _threads: set[threading.Thread] = attrs.field(init=False, factory=set)
    _all_ended: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    def start(self) -> None:
        """
        Start the threads, in copies of the current context.

        Raises:
            OutOfThreads: The system cannot start another thread.
        """
        for number in range(1, self._count + 1):
            name = self._name if self._count == 1 else f"{self._name} {number}"
            context = contextvars.copy_context()
            thread = threading.Thread(target=self._work, args=[context], name=name, daemon=False)
            self._own(thread)
            start_thread(thread)
            self._threads.add(thread)

    def put(self, event: Received) -> None:
        """Call the listeners for *event*, after those for the events before it."""
        self._queue.put(event)

    def take_back(self) -> list[Received]:
        """Return the events for which no listener was called, and forget them."""
        events = []
        try:
            while True:
                event = self._queue.get_nowait()
                if event is not None:
                    events.append(event)
        except queue.Empty:
            return events

    def cancel(self) -> str:
        """Return the stacks of the threads, which cannot be ended, as text."""
        return "\n".join(stack_of_thread(thread.ident) for thread in self._threads)

    async def end(self) -> None:
        """Return when all calls have ended, and the threads with them."""
        for _ in self._threads:
            self._queue.put(None)
        if self._threads:
            await self._all_ended.wait()

    def _work(self, context: contextvars.Context) -> None:
        call, ended, get = self._call, self._ended, self._queue.get
        handover = self._handover.call
        ident = threading.get_ident()

        def stack() -> str:
            return stack_of_thread(ident)

        # The loop of a thread that was left behind is closed; the event is delivered again.
        with contextlib.suppress(RuntimeError):
            while (event := get()) is not None:
                event.began, event.stack, event.state = time.monotonic(), stack, State.RUNNING
                # A variable that a listener sets is not seen by the listeners of the next event.
                context.copy().run(call, event)
                handover(ended, event)
                del event  # not kept while the queue is empty
            handover(self._thread_ended, threading.current_thread())

    def _thread_ended(self, thread: threading.Thread) -> None:
        thread.join()  # this was its last action
        self._threads.discard(thread)
        if not self._threads:
            self._all_ended.set()


def _context() -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(CURRENT.set, None)
    return context


@attrs.define(eq=False)
class Tasks:
    """
    Calls async listeners in tasks on the loop.

    A task continues with the next event while events wait, since a new one costs several passes of the loop. Each event
    begins in a context without the changes of the listeners before it, and in a task that no listener has cancelled.

    Args:
        call: Calls the listeners, as for `Threads`.
        ended: Called with each event, after the call.
        name: The name of the tasks.
        most: How many tasks there may be at a time.
    """

    _call: Callable[[Received], Awaitable[object]]
    _ended: Callable[[Received], object]
    _name: str
    _most: int
    _waiting: collections.deque[Received] = attrs.field(init=False, factory=collections.deque)
    _running: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)
    _context: contextvars.Context = attrs.field(init=False, factory=_context)

    def put(self, event: Received) -> None:
        """Call the listeners for *event*, after those for the events before it have begun."""
        self._waiting.append(event)
        self._fill()

    def take_back(self) -> list[Received]:
        """Return the events for which no listener was called, and forget them."""
        events = [*self._waiting]
        self._waiting.clear()
        return events

    def cancel(self) -> str:
        """Cancel the tasks; return no stack."""
        for task in self._running:
            task.cancel()
        return ""

    async def end(self) -> None:
        """Return when all tasks have ended."""
        while self._running:
            await asyncio.wait(self._running)

    def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._running) < self._most:
            burst = [self._waiting.popleft()]
            task = loop.create_task(self._run(burst), name=self._name, context=self._context.copy())
            self._begin(burst[0], task)
            self._running.add(task)
            task.add_done_callback(functools.partial(self._task_ended, burst))

    def _begin(self, event: Received, task: asyncio.Task[None]) -> None:
        event.began, event.state = time.monotonic(), State.RUNNING
        event.stack = functools.partial(stack_of_task, task, without=Tasks._run.__code__)

    async def _run(self, burst: list[Received]) -> None:
        """Handle the event in *burst*, and put the next one in its place, as long as the task can be used again."""
        task = asyncio.current_task()
        assert task is not None
        end = burst[0].began + _LONGEST_BURST
        while True:
            event = burst[0]
            await self._call(event)
            CURRENT.set(None)
            is_fresh = event.state is State.HANDLED and not task.cancelling() and self._is_unchanged()
            if not self._waiting or not is_fresh or event.began > end:
                return  # `_task_ended` has the event
            burst[0] = self._waiting.popleft()
            self._begin(burst[0], task)
            self._ended(event)

    def _is_unchanged(self) -> bool:
        """Return whether the variables of the current context have their first values."""
        first = self._context
        return all(value is first.get(variable, _MISSING) for variable, value in contextvars.copy_context().items())

    def _task_ended(self, burst: list[Received], task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended(burst[0])
        self._fill()
