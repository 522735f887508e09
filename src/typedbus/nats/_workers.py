"""The threads or tasks in which consumers and responders call listeners."""

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
from typing import Final, Generic, Protocol, TypeVar

import attrs

from typedbus._bus.await_chain import stack_of_task
from typedbus._bus.hook_worker import stack_of_thread
from typedbus._os.exhausted import start_thread
from typedbus.nats._delivery import CURRENT
from typedbus.nats._handover import Handover

#: Seconds after which a task passes the loop to others, if its listeners do not.
_LONGEST_BURST: Final = 0.01
_MISSING: Final = object()


class Work(Protocol):
    """A message for which listeners are called."""

    @property
    def is_handled(self) -> bool:
        """Whether they were called, and none of them has raised."""
        ...

    def begin(self, stack: Callable[[], str], /) -> None:
        """Take note that they are called; *stack* returns the stack of the call."""


W = TypeVar("W", bound=Work)


@attrs.define(eq=False)
class Threads(Generic[W]):
    """
    Calls sync listeners in threads.

    The queue and the way back need no change of threads for each message: while messages wait, a thread continues with
    the next one, and the loop takes all that have ended with one wake-up.

    Args:
        call: Calls the listeners; it stores the outcome in the message, and raises nothing.
        ended: Called on the loop with each message, after the call.
        handover: The way back to the loop.
        own: Lets the bus own a thread.
        name: The name of the threads; with a number if there are several.
        count: How many threads there are.
    """

    _call: Callable[[W], object]
    _ended: Callable[[W], object]
    _handover: Handover
    _own: Callable[[threading.Thread], object]
    _name: str
    _count: int
    _queue: queue.SimpleQueue[W | None] = attrs.field(init=False, factory=queue.SimpleQueue)
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

    def put(self, work: W) -> None:
        """Call the listeners for *work*, after those for the messages before it."""
        self._queue.put(work)

    def take_back(self) -> list[W]:
        """Return the messages for which no listener was called, and forget them."""
        left = []
        try:
            while True:
                work = self._queue.get_nowait()
                if work is not None:
                    left.append(work)
        except queue.Empty:
            return left

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

        # The loop of a thread that was left behind is closed.
        with contextlib.suppress(RuntimeError):
            while (work := get()) is not None:
                work.begin(stack)
                # A variable that a listener sets is not seen by the listeners for the next message.
                context.copy().run(call, work)
                handover(ended, work)
                del work  # not kept while the queue is empty
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
class Tasks(Generic[W]):
    """
    Calls async listeners in tasks on the loop.

    A task continues with the next message while messages wait, since a new one costs several passes of the loop. Another
    task is started when the listeners of the first one await something: one in each pass of the loop. Each message
    begins in a context without the changes of the listeners before it, and in a task that no listener has cancelled.

    Args:
        call: Calls the listeners, as for `Threads`.
        ended: Called with each message, after the call.
        name: The name of the tasks.
        most: How many tasks there may be at a time.
    """

    _call: Callable[[W], Awaitable[object]]
    _ended: Callable[[W], object]
    _name: str
    _most: int
    _waiting: collections.deque[W] = attrs.field(init=False, factory=collections.deque)
    _running: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)
    _context: contextvars.Context = attrs.field(init=False, factory=_context)
    _is_scheduled: bool = attrs.field(init=False, default=False)

    def put(self, work: W) -> None:
        """Call the listeners for *work*, after those for the messages before it have begun."""
        self._waiting.append(work)
        if self._running:
            self._schedule()
        else:
            self._fill()

    def take_back(self) -> list[W]:
        """Return the messages for which no listener was called, and forget them."""
        left = [*self._waiting]
        self._waiting.clear()
        return left

    def cancel(self) -> str:
        """Cancel the tasks; return no stack."""
        for task in self._running:
            task.cancel()
        return ""

    async def end(self) -> None:
        """Return when all tasks have ended."""
        while self._running or self._waiting:
            await (asyncio.wait(self._running) if self._running else asyncio.sleep(0))

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        self._is_scheduled = False
        if self._waiting and len(self._running) < self._most:
            burst = [self._waiting.popleft()]
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._run(burst), name=self._name, context=self._context.copy())
            burst[0].begin(self._stack_of(task))
            self._running.add(task)
            task.add_done_callback(functools.partial(self._task_ended, burst))
            if self._waiting:
                self._schedule()  # after the first step of the task, which may handle them

    @staticmethod
    def _stack_of(task: asyncio.Task[None]) -> Callable[[], str]:
        return functools.partial(stack_of_task, task, without=Tasks._run.__code__)

    async def _run(self, burst: list[W]) -> None:
        """Handle the message in *burst*, and put the next one in its place, as long as the task can be used again."""
        task = asyncio.current_task()
        assert task is not None
        stack = self._stack_of(task)
        end = time.monotonic() + _LONGEST_BURST
        while True:
            work = burst[0]
            await self._call(work)
            CURRENT.set(None)
            is_fresh = work.is_handled and not task.cancelling() and self._is_unchanged()
            if not self._waiting or not is_fresh or time.monotonic() > end:
                return  # `_task_ended` has the message
            burst[0] = self._waiting.popleft()
            burst[0].begin(stack)
            self._ended(work)

    def _is_unchanged(self) -> bool:
        """Return whether the variables of the current context have their first values."""
        first = self._context.get
        for variable, value in contextvars.copy_context().items():  # noqa: SIM110  # a generator takes twice as long
            if first(variable, _MISSING) is not value:
                return False
        return True

    def _task_ended(self, burst: list[W], task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended(burst[0])
        if self._waiting:
            self._schedule()
