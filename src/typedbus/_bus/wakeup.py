"""What wakes the thread that blocks on a bus, and what it is asked to do."""

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
from typedbus._base.states import State
from typedbus._base.sync import simple_queue
from typedbus._bus.registry import ERROR, MAIN, WARNING
from typedbus._channels.bound import BoundChannel, Subscription


class Replacement(Protocol):
    """What takes the place of the process when a bus restarts: `run` has one; who embeds a bus may have another."""

    def problem(self) -> str | None:
        """
        Return why nothing can take the place of the process at present, and what to do about it; None if it can.

        Asked by `Bus.restart`, in the thread that calls it and in signal handlers.
        """
        ...

    def replace(self, failed: BaseException | None, /) -> None:
        """
        Put something else in the place of the process.

        Called by `Bus.block`, in its thread, as the last thing that it does.
        Where this returns so does `block`; what it raises `block` raises.

        Args:
            failed: What `block` would have raised otherwise; to be told here.
        """


class Waiter:
    """A thread in `Bus.wait`: for which states, which it was, and the lock that it sleeps on."""

    __slots__ = ("reached", "states", "woken")

    def __init__(self, states: frozenset[State]) -> None:
        self.states = states
        self.reached: State | None = None
        self.woken = threading.Lock()
        self.woken.acquire()


class Doorbell:
    """What wakes the thread in `Bus.block`; rung by anybody, by signal handlers too."""

    __slots__ = ("actions", "attendant", "queue", "waking")

    def __init__(self) -> None:
        self.attendant: threading.Thread | None = None
        #: What that thread is to call; a deque, since a handler may come in the middle of anything.
        self.actions: deque[Callable[[], object]] = deque()
        # Of all queues this kind alone may be filled by a handler that interrupts its get().
        self.queue: Inbox = simple_queue()
        self.waking = Waking()

    def attend(self) -> None:
        """Let the calling thread be the one that `ring` wakes; the caller holds the lock of the bus."""
        # A new queue: threads may have become greenlets since the last one was made.
        self.queue = simple_queue()
        self.attendant = threading.current_thread()

    def ring(self) -> None:
        if self.attendant is not None:
            self.waking.wake(self.queue)

    def act(self, log: Callable[[str, int], None]) -> None:
        """Call the first of the actions, and tell *log* what it raises."""
        action = self.actions.popleft()
        try:
            action()
        except Exception as error:
            log(f"{describe(action)}, which was requested, failed:\n{traceback_of(error)}", ERROR)

    def take(self) -> list[Callable[[], object]]:
        """Return the actions that have not been called, and forget them; the caller has the lock of the bus."""
        actions, self.actions = list(self.actions), deque()
        return actions


def report_discarded(actions: Iterable[Callable[[], object]], log: Callable[[str, int], None]) -> None:
    """Log a warning for each of *actions*, which the exit of the bus came before."""
    for action in actions:
        log(f"{describe(action)} was requested and is not called: the bus has exited", WARNING)


def report_death(thread: threading.Thread, log: Callable[[str, int], None]) -> None:
    """
    Log the exception that ends *thread*, if one does, as an error with its traceback.

    `threading.excepthook` is called after it, as usual. *log* is held weakly.
    `SystemExit` ends a thread on purpose, and is not logged.
    """
    # From its construction on each thread holds a reference to the function that calls threading.excepthook.
    # Wrapping this one changes nothing for other threads, and works for a thread that already runs, too. The
    # attribute is not public; a Python that has none prints the exception, as it does for every thread.
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

    thread._invoke_excepthook = log_and_handle  # type: ignore[attr-defined]  # see above


def outlived(threads: Iterable[threading.Thread], patience: float) -> list[StillRunning]:
    """Join *threads*, all of them within *patience* seconds, and return who goes on, if anybody does."""
    deadline = time.monotonic() + patience
    others = [thread for thread in list(threads) if thread is not threading.current_thread()]
    for thread in others:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    running = [thread for thread in others if thread.is_alive()]
    if not running:
        return []
    import traceback  # only needed to tell of what should not happen

    frames = sys._current_frames()
    stacks = [
        (thread.name, "".join(traceback.format_stack(frames[thread.ident])))
        for thread in running
        if thread.ident in frames
    ]
    return [StillRunning(stacks, patience)]


class MainChannel(BoundChannel[[], None]):
    """`MAIN`: `Bus.block` sleeps without a time limit until somebody listens."""

    __slots__ = ("_doorbell",)

    def __init__(
        self,
        lock: threading.RLock,
        witnesses: tuple[BoundChannel[..., None], ...],
        doorbell: Doorbell,
    ) -> None:
        super().__init__(MAIN, lock, witnesses)
        self._doorbell = doorbell

    def _add(self, subscription: Subscription) -> Subscription:
        added = super()._add(subscription)
        self._doorbell.ring()
        return added
