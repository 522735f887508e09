"""How the thread in `Bus.block` is woken, and the actions that it is asked to call."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from typedbus._base.clock import Inbox, Waking
from typedbus._base.errors import StillRunning
from typedbus._base.failures import describe, traceback_of
from typedbus._base.sync import simple_queue
from typedbus._bus.builtin import ERROR, MAIN, WARNING
from typedbus._channels.bound import BoundChannel
from typedbus._channels.roles import FailureSink
from typedbus._channels.subscriptions import Subscription


class Replacement(Protocol):
    """Replaces the process when a bus restarts. `run` provides one; a program that embeds a bus may set its own."""

    def problem(self) -> str | None:
        """
        Return why the process cannot be replaced at present, and what to do about it; None if it can.

        Called by `Bus.restart`, in the calling thread and in signal handlers.
        """
        ...

    def replace(self, failed: BaseException | None, /) -> None:
        """
        Replace the process.

        `Bus.block` calls it in its thread, as its last step. If this method
        returns, `block` returns; if it raises, `block` raises the same exception.

        Args:
            failed: The exception that `block` would have raised, or None; this method must report it.
        """


class MainLoopWakeup:
    """Wakes the thread in `Bus.block`; may be used from any thread and from signal handlers."""

    __slots__ = ("actions", "attendant", "queue", "waking")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Discard the actions, and the thread that calls them: in a forked child, both belong to the parent."""
        self.attendant: threading.Thread | None = None
        #: The actions that this thread must call; a deque, because a signal handler may append at any point.
        self.actions: deque[Callable[[], object]] = deque()
        # The only kind of queue that a signal handler may fill while it interrupts get().
        self.queue: Inbox = simple_queue()
        self.waking = Waking()

    def attend(self) -> None:
        """Make `wake` wake the calling thread; the caller holds the lock of the bus."""
        # A new queue: threads may have been replaced by greenlets since the last one was created.
        self.queue = simple_queue()
        self.attendant = threading.current_thread()

    def wake(self) -> None:
        """Wake the thread in `Bus.block`, if there is one."""
        if self.attendant is not None:
            self.waking.wake(self.queue)

    def act(self, log: Callable[[str, int], None]) -> None:
        """Call the first action, and log an exception that it raises."""
        action = self.actions.popleft()
        try:
            action()
        except Exception as error:
            log(f"{describe(action)}, which was requested, failed:\n{traceback_of(error)}", ERROR)

    def take(self) -> list[Callable[[], object]]:
        """Remove and return the actions that have not been called; the caller holds the lock of the bus."""
        actions, self.actions = list(self.actions), deque()
        return actions


def report_discarded(actions: Iterable[Callable[[], object]], log: Callable[[str, int], None]) -> None:
    """Log a warning for each of *actions*, which were not called before the bus exited."""
    for action in actions:
        log(f"{describe(action)} was requested and is not called: the bus has exited", WARNING)


def report_death(thread: threading.Thread, log: Callable[[str, int], None]) -> None:
    """
    Log the exception that ends *thread*, if one does, as an error with its traceback.

    `threading.excepthook` is called after it, as usual. *log* is held weakly.
    `SystemExit` ends a thread on purpose, and is not logged.
    """
    # Each thread object holds, from its construction, a reference to the function that calls threading.excepthook.
    # Wrapping this reference does not affect other threads, and works for a running thread as well. The attribute
    # is not public; a Python version without it prints the exception, as it does for every thread.
    handle: Callable[[threading.Thread], None] | None = getattr(thread, "_invoke_excepthook", None)
    if handle is None:
        return
    weak_log = weakref.WeakMethod(log)

    def log_and_handle(thread: threading.Thread) -> None:
        error, log = sys.exc_info()[1], weak_log()
        try:
            if error is not None and not isinstance(error, SystemExit) and log is not None:
                log(f"thread {thread.name!r} of the bus died of an exception:\n{traceback_of(error)}", ERROR)
        finally:
            del error, log
            handle(thread)

    thread._invoke_excepthook = log_and_handle  # type: ignore[attr-defined]  # noqa: SLF001  # see above


def outlived(threads: Iterable[threading.Thread], patience: float) -> list[StillRunning]:
    """Join *threads*, for *patience* seconds in total, and return an error for the threads that still run, if any."""
    deadline = time.monotonic() + patience
    others = [thread for thread in list(threads) if thread is not threading.current_thread()]
    for thread in others:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    running = [thread for thread in others if thread.is_alive()]
    if not running:
        return []
    import traceback  # only needed to report threads that still run

    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    stacks = [
        (thread.name, "".join(traceback.format_stack(frames[thread.ident])))
        for thread in running
        if thread.ident in frames
    ]
    return [StillRunning(tuple(stacks), patience)]


class MainChannel(BoundChannel[[], None]):
    """`MAIN`, which wakes `Bus.block` at each subscription: without listeners it sleeps without a time limit."""

    __slots__ = ("_wakeup",)

    def __init__(self, lock: threading.RLock, failures: FailureSink, wakeup: MainLoopWakeup) -> None:
        super().__init__(MAIN, lock, failures)
        self._wakeup = wakeup

    def _add(self, subscription: Subscription) -> Subscription:
        added = super()._add(subscription)
        self._wakeup.wake()
        return added
