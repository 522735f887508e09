"""
The event loop of a bus: at most one at a time, from the first coroutine until the exit.

This module does not import asyncio, so that a program without coroutines does not either; `_bus.asyncio_loop` does.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from typedbus._base.errors import LoopError
from typedbus._bus.builtin import WARNING
from typedbus._channels.subscriptions import AnyBoundChannel, has_async_listeners

if TYPE_CHECKING:
    import asyncio

    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.hooks import ScheduledHook
    from typedbus._bus.registry import Registry

AFTER_EXIT: Final = "the bus has exited, and its event loop has ended; call it before that"
"""Why an action that needs a loop is refused after the exit."""


class EventLoop:
    """
    The event loop that runs the coroutines of one bus.

    It is the loop that the caller of `Bus.start_async` has lent, otherwise a loop of
    the bus's own, which is created with the first coroutine. Every method may be
    called from any thread, except where noted.

    Attributes:
        name: The name of the bus, or of the container that declares it, for the names of threads.
    """

    __slots__ = (
        "__weakref__",
        "_cancel_finalizer",
        "_factory",
        "_has_ended",
        "_has_factory_failed",
        "_lock",
        "_loop",
        "_registry",
        "name",
    )

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.name: str = "bus"
        self._factory: Callable[[], asyncio.AbstractEventLoop] | None = None
        self._has_factory_failed = False
        self._lock = threading.Lock()
        self._loop: AsyncioLoop | None = None
        self._has_ended = False
        self._cancel_finalizer: Callable[[], object] | None = None

    @property
    def factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """Creates the bus's own loop; None for `asyncio.new_event_loop`."""
        return self._factory

    @factory.setter
    def factory(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        if factory is not None and not callable(factory):
            raise LoopError(
                f"loop_factory={factory!r}",
                "it cannot be called; pass a function that returns a new event loop, for example uvloop.new_event_loop",
            )
        self._factory, self._has_factory_failed = factory, False

    @property
    def is_used(self) -> bool:
        """Whether a loop has run a coroutine of the bus since the last exit."""
        loop = self._loop
        return loop is not None and loop.is_used

    @property
    def is_lent(self) -> bool:
        """Whether the bus has a loop that belongs to the caller of `Bus.start_async`."""
        loop = self._loop
        return loop is not None and not loop.is_own

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads of the bus's own loop: that in which it runs, and those of its default executor."""
        loop = self._loop
        return frozenset() if loop is None else loop.threads

    @property
    def tasks(self) -> frozenset[asyncio.Task[Any]]:
        """The tasks of the loop that have not ended; none without a loop."""
        loop = self._loop
        return frozenset() if loop is None else loop.tasks

    @property
    def is_running_here(self) -> bool:
        """Whether the loop calls the caller, which must not wait for the loop."""
        loop = self._loop
        return loop is not None and loop.is_running_here

    @property
    def is_own_here(self) -> bool:
        """Whether the bus has created the loop, and the loop runs the caller."""
        loop = self._loop
        return loop is not None and loop.is_own and loop.is_running_here

    def lend(self, action: str, lent: AsyncioLoop | None = None) -> None:
        """
        Run the coroutines of the bus on a loop of the caller, from now until the exit.

        Args:
            action: The call that lends the loop, for the error.
            lent: The loop; by default the one that runs in this thread.

        Raises:
            RuntimeError: No event loop runs in this thread.
            LoopError: The bus has used another loop since its last exit.
        """
        from typedbus._bus.asyncio_loop import AsyncioLoop

        lent = lent or AsyncioLoop.running()
        with self._lock:
            loop = self._loop
            if loop is None or (loop.loop is not lent.loop and not loop.is_used):
                self._loop = lent
            elif loop.loop is not lent.loop:
                raise LoopError(
                    action,
                    f"the components of the bus were built for {loop.name}, and this is {lent.name}; exit the bus "
                    "before it is started on another loop, and give tests and fixtures that share it the same loop "
                    "(loop_scope in pytest-asyncio)",
                )
        self._registry.report_slow_listeners(is_wanted=lent.loop.get_debug())

    def used_instead_of(self, loop: AsyncioLoop | None) -> AsyncioLoop | None:
        """Return the loop that has run coroutines of the bus since the last exit, unless that is *loop*; else None."""
        used = self._loop
        is_other = used is not None and used.is_used and (loop is None or used.loop is not loop.loop)
        return used if is_other else None

    def refuse_other_loop(self, action: str) -> None:
        """Raise `LoopError` if the loop cannot run, because another one, that of the caller, runs in its thread."""
        loop = self._loop
        if loop is None or not loop.is_used or loop.is_running_here or loop.loop.is_closed():
            return
        if loop.thread is threading.current_thread():
            from typedbus._bus.asyncio_loop import AsyncioLoop

            raise LoopError(
                action,
                f"the components of the bus were built for {loop.name}, which cannot run while {AsyncioLoop.running().name} "
                "runs in its thread; give tests and fixtures that share the bus the same loop "
                "(loop_scope in pytest-asyncio)",
            )

    def get(self, action: str) -> AsyncioLoop:
        """
        Return the loop of the bus; if there is none, create one in a thread of its own.

        Args:
            action: The call or the hook that needs the loop, for the error.

        Raises:
            LoopError: The bus has exited, and no transition has begun since; or the factory failed. Then, until the exit,
                the next loop is that of `asyncio.new_event_loop`.
        """
        loop = self._loop
        if loop is not None:
            return loop
        from typedbus._bus.asyncio_loop import AsyncioLoop

        with self._lock:
            if self._loop is None:
                if self._has_ended:
                    raise LoopError(action, AFTER_EXIT)
                # The start has failed with the factory, and its rollback and the exit need a loop as well.
                factory = None if self._has_factory_failed else self._factory
                self._has_factory_failed = True
                own = self._loop = AsyncioLoop.in_thread(self.name, factory)
                self._has_factory_failed = False
                # A bus that is dropped without an exit must not leave a thread behind.
                finalizer = weakref.finalize(self, own.stop)
                finalizer.atexit = False
                self._cancel_finalizer = finalizer.detach
            loop = self._loop
        self._registry.report_slow_listeners(is_wanted=loop.loop.get_debug())
        return loop

    def call_late(self, hook: ScheduledHook, log: Callable[[str, int], object]) -> BaseException | None:
        """
        Call an async *hook* that was postponed, wait for it in this thread, and return its exception or None.

        If the bus has exited, the hook runs on a new loop, which ends with it; *log* gets a warning for each task that
        it leaves there.
        """
        try:
            return self.get(hook.name).call(hook.listener, hook.name)
        except LoopError as error:
            if not self._has_ended:
                return error
        from typedbus._bus.asyncio_loop import AsyncioLoop

        loop = AsyncioLoop.in_thread(self.name, None)
        failure = loop.call(hook.listener, hook.name)
        for message in loop.end():
            log(message, WARNING)
        return failure

    def refuse(self, verb: str, channels: Iterable[AnyBoundChannel]) -> None:
        """
        Raise `LoopError` if the sync method *verb* of the bus would block a loop on which hooks of *channels* have to run.

        A start must not block any loop, because its async hooks run on the loop of the caller.
        """
        if not is_on_any_loop() or not (verb == "start" or self.is_running_here):
            return
        if self.is_used or any(map(has_async_listeners, channels)):
            raise would_block(f"bus.{verb}()", "async hooks", f"await bus.{verb}_async()")

    def reopen(self) -> None:
        """Let the bus have a loop again; called when a transition begins."""
        self._has_ended = False

    def end(self) -> list[str]:
        """
        Forget the loop, and end it if it belongs to the bus; return a message for each task that still ran there.

        Until the next transition the bus has no loop. Must not be called in the thread of the bus's own loop.
        """
        with self._lock:
            loop, self._loop = self._loop, None
            self._has_ended = True
            self._has_factory_failed = False
            self._forget_finalizer()
        self._registry.report_slow_listeners(is_wanted=False)
        if loop is None:
            return []
        for watcher in tuple(LOOP_WATCHERS):
            watcher(self, loop)
        return loop.end()

    def detach(self) -> None:
        """Forget the loop in a forked child process, which does not have the thread of the loop."""
        self._lock = threading.Lock()
        self._loop = None
        self._forget_finalizer()

    def _forget_finalizer(self) -> None:
        if self._cancel_finalizer is not None:
            self._cancel_finalizer()
            self._cancel_finalizer = None


LOOP_WATCHERS: Final[list[Callable[[EventLoop, AsyncioLoop], object]]] = []
"""Functions that are called at each exit, in its thread, before the bus forgets its loop and ends it."""


def would_block(action: str, work: str, instead: str) -> LoopError:
    """Return the error for *action*, which would block the loop that its *work* needs; *instead* is the code to write."""
    return LoopError(
        action,
        f"it would block the event loop of this thread, on which {work} have to run; write {instead}, or call it in "
        "another thread",
    )


def is_on_any_loop() -> bool:
    """Whether an event loop, of the bus or not, calls the caller."""
    # If asyncio has not been imported, no loop can run, and importing it takes as long as importing typedbus.
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None  # noqa: SLF001  # public, but not documented
