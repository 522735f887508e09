"""
An asyncio event loop that runs coroutines for a bus: the caller's, or one in a thread that the bus owns.

Of the modules of the bus, this one, `_bus.loop_call`, `_bus.own_loop` and `_bus.async_methods` import asyncio. They are
imported with the first coroutine or the first call of an async method of the bus.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from typedbus._base.channel_errors import ListenerCancelled
from typedbus._base.errors import LoopError
from typedbus._base.sync import simple_queue
from typedbus._bus.hook_worker import stack_of_thread
from typedbus._bus.loop_call import LoopCall, begin_each
from typedbus._bus.own_loop import PATIENCE, finish, loop_from, run_until_stopped

Result = TypeVar("Result")

#: For how many seconds a loop of the caller may stand still before the bus gives up its coroutines there.
_PAUSE: Final = 1.0


class AsyncioLoop:
    """
    An event loop, for the use of other threads.

    Args:
        loop: The loop.
        thread: The thread in which it runs.
        executor: The default executor of the loop if the loop belongs to the bus; None if it belongs to the caller.

    Attributes:
        loop: The loop.
        thread: The thread in which it runs.
        is_used: Whether it has run a coroutine of the bus; from then on components may hold objects of this loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: threading.Thread,
        executor: concurrent.futures.ThreadPoolExecutor | None = None,
    ) -> None:
        self.loop = loop
        self.thread = thread
        self.is_used: bool = False
        self._executor = executor
        self._submitted: set[concurrent.futures.Future[Any]] = set()
        self._stopped_since: float | None = None

    @classmethod
    def running(cls) -> AsyncioLoop:
        """Return the loop that runs in this thread; `RuntimeError` if there is none."""
        return cls(asyncio.get_running_loop(), threading.current_thread())

    @classmethod
    def in_thread(cls, name: str, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> AsyncioLoop:
        """
        Create a loop with *factory*, by default `asyncio.new_event_loop`, and run it in a daemon thread.

        Raises:
            LoopError: *factory* failed, or its result is not a new event loop.
        """
        loop = asyncio.new_event_loop() if factory is None else loop_from(factory)
        # An executor of our own can be shut down with a time limit in every version of Python.
        executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix=f"{name} executor")
        loop.set_default_executor(executor)
        # The interpreter does not wait for daemon threads: a hook that hangs must not keep the process alive.
        thread = threading.Thread(target=run_until_stopped, args=(loop,), name=f"{name} event loop", daemon=True)
        thread.start()
        return cls(loop, thread, executor)

    @property
    def is_own(self) -> bool:
        """Whether the loop belongs to the bus."""
        return self._executor is not None

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads that end with the loop: its own, and those of its default executor; none if the caller owns it."""
        if self._executor is None:
            return frozenset()
        return frozenset({self.thread, *self._executor._threads})  # noqa: SLF001  # there is no other way to them

    @property
    def tasks(self) -> frozenset[asyncio.Task[Any]]:
        """The tasks of the loop that have not ended; may be read in any thread."""
        return frozenset(asyncio.all_tasks(self.loop))

    @property
    def name(self) -> str:
        """The loop and its thread, for messages."""
        return f"<{type(self.loop).__name__} at {id(self.loop):#x} in thread {self.thread.name!r}>"

    @property
    def is_running_here(self) -> bool:
        """Whether the loop calls the caller."""
        # Where gevent has replaced threads by greenlets, asyncio takes the loop to run in all of them.
        is_elsewhere = self.is_own and threading.get_ident() != self.thread.ident
        return not is_elsewhere and asyncio._get_running_loop() is self.loop  # noqa: SLF001  # public, but not documented

    def why_dead(self) -> str | None:
        """Return why the loop will run no more coroutines; None if it runs, or may continue in a moment."""
        if self.loop.is_closed():
            return "was closed"
        if not self.thread.is_alive():
            return "ended with its thread"
        if self.loop.is_running():
            self._stopped_since = None
            return None
        # `asyncio.run` stops a loop for a moment before it cancels the remaining tasks.
        now = time.monotonic()
        self._stopped_since = now if self._stopped_since is None else self._stopped_since
        return "does not run" if now - self._stopped_since >= _PAUSE else None

    def prepare(
        self,
        listener: Callable[..., Any],
        context: contextvars.Context,
        name: str,
        done: Callable[[BaseException | None], object],
    ) -> LoopCall:
        """
        Return a call of *listener*, which `begin_all` begins as a task called *name*, in *context*.

        *done* is called in the thread of the loop, with the exception that the listener raised or None. It is not
        called if the loop ends before the task; see `why_dead`.
        """
        return LoopCall(self, listener, context, name, done)

    def begin_all(self, calls: Sequence[LoopCall]) -> None:
        """Begin *calls* in order, and return at once; a call that has begun already is left alone."""
        self.is_used = True
        # A wake-up of the loop costs about as much as a task.
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(begin_each, tuple(calls))

    def refuse_if_dead(self, action: str) -> None:
        """Raise `LoopError` for *action* if the loop will run no more coroutines."""
        if (death := self.why_dead()) is not None:
            reason = f"{self.name} {death} before the bus had exited; exit the bus before its event loop ends"
            raise LoopError(action, reason)

    def call(self, listener: Callable[..., Any], name: str) -> BaseException | None:
        """
        Run *listener* as a task, wait for it in this thread, and return the exception that it raised, or None.

        If the wait ends early, because of `KeyboardInterrupt` or the end of the loop, the task is cancelled.
        """
        outcome: queue.SimpleQueue[BaseException | None] = simple_queue()
        call = self.prepare(listener, contextvars.copy_context(), name, outcome.put)
        if (death := self.why_dead()) is not None:
            return LoopError(f"{name} was not called", f"{self.name} {death}")
        try:
            self.begin_all([call])
            while True:
                if (death := self.why_dead()) is not None and outcome.empty():
                    call.cancel()
                    return LoopError(f"{name} has not returned", f"{self.name} {death}")
                with contextlib.suppress(queue.Empty):
                    error = outcome.get(timeout=_PAUSE)
                    break
        except BaseException:
            call.cancel()
            raise
        if not isinstance(error, asyncio.CancelledError):
            return error
        # The bus does not cancel such a call.
        failure = ListenerCancelled()
        failure.__cause__ = error
        return failure

    def run(self, action: str, function: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """
        Await *function* in a task, wait for it in this thread as `call` does, and return its result.

        Raises:
            LoopError: The loop ended before the function returned; *action* names the call.
            BaseException: As *function*. `SystemExit` is raised in this thread only, and so does not end the loop.
        """
        results: list[Result] = []

        async def keep_result() -> None:
            results.append(await function())

        error = self.call(keep_result, action)
        try:
            if isinstance(error, ListenerCancelled):
                raise LoopError(f"{action} has not returned", f"{self.name} ends, and has cancelled it") from error
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame
        return results[0]

    def submit(self, action: str, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """
        Run *coroutine* as a task, and return a future for its result.

        Raises:
            LoopError: The loop is closed; *action* names the call.
        """
        self.is_used = True
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError as error:
            coroutine.close()
            raise LoopError(action, f"{self.name} was closed") from error
        # The future holds the task, which a loop references only weakly.
        self._submitted.add(future)
        future.add_done_callback(self._submitted.discard)
        return future

    def end(self) -> list[str]:
        """
        End the loop if it belongs to the bus, and return a message for each task that still ran.

        Must not be called in the loop's own thread. The steps, each of which takes a few seconds at most: the
        remaining tasks are cancelled; async generators are closed; the loop is stopped and closed; the threads of its
        default executor are joined.
        """
        messages: list[str] = []
        if self._executor is None or self.loop.is_closed():
            return messages
        answer = threading.Event()
        self.loop.call_soon_threadsafe(answer.set)
        is_free = answer.wait(PATIENCE)
        if is_free:
            finishing = asyncio.run_coroutine_threadsafe(finish(self.loop, messages), self.loop)
            concurrent.futures.wait([finishing], 3 * PATIENCE)
        self.stop()
        self.thread.join(PATIENCE if is_free else 0)
        if self.thread.is_alive():
            messages.append(
                f"{self.name} is blocked, and is left behind; it is at:\n{stack_of_thread(self.thread.ident)}"
            )
        # `shutdown` has no time limit, and a thread cannot be interrupted.
        joining = threading.Thread(target=self._executor.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        try:
            joining.start()
        except RuntimeError:
            # The interpreter ends, and has joined them; Python 3.12.0 and 3.12.1 cannot start threads by then.
            return messages
        joining.join(PATIENCE)
        if joining.is_alive():
            messages.append(f"a function in the default executor of {self.name} still runs, and is left behind")
        return messages

    def stop(self) -> None:
        """Stop and close the loop if it belongs to the bus, without waiting for it."""
        if self.is_own:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self.loop.stop)
