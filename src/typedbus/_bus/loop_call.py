"""A listener that runs as a task on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from typedbus._bus.await_chain import stack_of_task
from typedbus._bus.hook_worker import stack_of_thread

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop


@attrs.define(eq=False, repr=False)
class LoopCall:
    """
    A listener that runs as a task on an event loop, for the use of other threads.

    Attributes:
        on: The loop.
        was_cancelled: Whether the loop has carried out a `cancel`.
        has_ended_cancelled: Whether the task ended with `CancelledError`.
        stack_at_cancel: The stack of the task right before it was cancelled, as text.
    """

    on: AsyncioLoop
    _listener: Callable[..., Any]
    _context: contextvars.Context
    _name: str
    _done: Callable[[BaseException | None], object]
    _task: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    _has_begun: bool = attrs.field(init=False, default=False)
    was_cancelled: bool = attrs.field(init=False, default=False)
    has_ended_cancelled: bool = attrs.field(init=False, default=False)
    stack_at_cancel: str = attrs.field(init=False, default="")

    @property
    def has_ended(self) -> bool:
        """Whether the task has ended."""
        return self._task is not None and self._task.done()

    def cancel(self) -> None:
        """Ask the loop to take the stack of the task and to cancel it; nothing happens if the task has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.on.loop.call_soon_threadsafe(self._cancel)

    def stack(self) -> str:
        """Return the present stack of the task as text, outermost first."""
        return "" if self._task is None else stack_of(self._task)

    def stack_of_loop(self) -> str:
        """Return the stack of the thread in which the loop runs, as text."""
        return stack_of_thread(self.on.thread.ident)

    def begin(self) -> None:
        """Create the task, in the thread of the loop, unless the call has begun."""
        if self._task is not None or self._has_begun:
            return
        coroutine = self.run()
        try:
            self._task = self.on.loop.create_task(coroutine, name=self._name, context=self._context)
        except Exception as error:
            # A task factory has failed. The loop would log it, and the hook would never end.
            coroutine.close()
            self._has_begun = True
            self._end(error)
            return
        if not self._has_begun:
            self._task.add_done_callback(self._was_cancelled_early)

    async def run(self) -> None:
        """Await the listener, and report its outcome. It raises nothing: `SystemExit` would end the caller's loop."""
        self._has_begun = True
        if self._task is not None:  # an eager task begins before it is returned
            # A done callback costs a turn of the loop.
            self._task.remove_done_callback(self._was_cancelled_early)
        try:
            await self._listener()
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not self.on.is_running_here:
                # The loop has ended, and the coroutine is closed.
                raise
            self._end(error)
        else:
            self._end(None)

    def _was_cancelled_early(self, _: asyncio.Task[None]) -> None:
        """Report the end of a task that was cancelled before its first step."""
        self._end(asyncio.CancelledError())

    def _end(self, error: BaseException | None) -> None:
        self.has_ended_cancelled = isinstance(error, asyncio.CancelledError)
        self._done(error)

    def _cancel(self) -> None:
        # `begin` was queued before: the task exists.
        if self._task is not None and not self._task.done():
            self.stack_at_cancel = self.stack()
            self.was_cancelled = True
            self._task.cancel()


def begin_each(calls: Sequence[LoopCall]) -> None:
    """Begin *calls* in order, in the thread of their loop."""
    for call in calls:
        call.begin()


def stack_of(task: asyncio.Task[Any]) -> str:
    """Return the stack of *task* as text, from its hook inwards if it is the task of one."""
    return stack_of_task(task, without=LoopCall.run.__code__).rstrip()
