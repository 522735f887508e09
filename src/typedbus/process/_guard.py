"""
Handles a second SIGTERM if the main thread cannot run its signal handlers.

Python runs signal handlers in the main thread, between two instructions. A main
thread that is inside a C library, or waits for the lock of a stream whose writer
never returns, runs no handlers. So a separate thread receives the number of each
signal as well (signal.set_wakeup_fd), and forces the end if a second signal
requests it and the main thread does not run its handlers.

The number alone does not show whether the handler has run. So the signals that
request the end are counted twice: here when they arrive, and in `SignalState` when they
are handled. While the main thread sleeps in its inbox, it has handled all signals,
and receives further ones there.

The thread also reaps the children that were left running at a restart, when they
end. It is stopped while the process forks: Python warns of deadlocks if a process
with several threads forks, and `Daemon` refuses such a process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import threading
import time
import weakref
from typing import Final

from typedbus._os.children import has_ended, inherited
from typedbus._os.forks import BACKGROUND_THREADS, keeps_buses
from typedbus._os.signal_inbox import socket_pair
from typedbus.plugins._signal_handlers import SignalHandlers, asks_for_exit

#: How long the main thread may take to run its handlers, in seconds.
_PATIENCE: Final = 1.0
#: How often inherited children are reaped, while there are any, in seconds.
_LOOKING: Final = 0.5
#: No signal has this number.
_STOP: Final = b"\0"
_guards: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()


class Guard:
    """Watches the signals that request the exit of the bus of *handlers*, from `start` to `stop`."""

    def __init__(self, handlers: SignalHandlers) -> None:
        self._handlers = handlers
        self._state = handlers.state
        self._lock = threading.Lock()
        #: The number of current reasons to keep the thread stopped.
        self._pauses = 1
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None
        #: The number of exit signals that have arrived, without those that came while the main thread slept.
        self._arrivals = 0
        #: Children from before a restart, which no other code waits for.
        self._children = inherited()

    def start(self) -> None:
        """Start watching, unless the program has its own wakeup descriptor; only in the main thread."""
        descriptor = signal.set_wakeup_fd(-1)
        if descriptor != -1:
            signal.set_wakeup_fd(descriptor)
            return
        _pause_at_forks()
        _guards.add(self)
        BACKGROUND_THREADS.append(self)
        self.resume()

    def stop(self) -> None:
        """Stop watching; only in the main thread."""
        if self not in _guards:
            return
        _guards.discard(self)
        BACKGROUND_THREADS.remove(self)
        self.pause()
        signal.set_wakeup_fd(-1)
        for end in self._sockets or ():
            end.close()

    def pause(self) -> None:
        """Stop the thread and wait for its end; each call needs a matching call of `resume`."""
        with self._lock:
            self._pauses += 1
            thread, self._thread = self._thread, None
            if thread is not None and self._sockets is not None:
                self._sockets[1].send(_STOP)
                thread.join()

    def resume(self) -> None:
        """Start the thread, for the first time or again, unless there is another reason to keep it stopped."""
        with self._lock:
            self._pauses -= 1
            if self._pauses:
                return
            if self._sockets is None:
                self._sockets = socket_pair()
                signal.set_wakeup_fd(self._sockets[1].fileno(), warn_on_full_buffer=False)
                self._arrivals = self._state.handled
            self._thread = threading.Thread(target=self._watch, args=[self._sockets[0]], name="signals", daemon=True)
            self._thread.start()

    def forget(self) -> None:
        """In a forked child: close the sockets, which belong to the parent."""
        self._lock = threading.Lock()
        self._pauses -= 1
        for end in self._sockets or ():
            end.close()
        self._sockets = None
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)

    def _watch(self, receiving: socket.socket) -> None:
        state = self._state
        due: float | None = None
        number = 0
        while True:
            self._children[:] = [pid for pid in self._children if not has_ended(pid)]
            timeouts = [_LOOKING] if self._children else []
            timeouts += [] if due is None else [max(0.001, due - time.monotonic())]
            receiving.settimeout(min(timeouts, default=None))
            with contextlib.suppress(TimeoutError):
                numbers = receiving.recv(4096)
                exit_signals = [item for item in numbers if asks_for_exit(self._handlers.bus, item)]
                self._arrivals += len(exit_signals)
                number = exit_signals[-1] if exit_signals else number
                if _STOP in numbers:
                    return
            if state.is_asleep:
                self._arrivals = state.handled
            backlog = self._arrivals - state.handled
            if backlog <= 0 or (backlog == 1 and not state.has_asked):
                due = None
            elif due is None:
                due = time.monotonic() + _PATIENCE
            elif time.monotonic() >= due:
                self._handlers.force(signal.Signals(number))


@functools.cache
def _pause_at_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )


#: By the thread that is about to fork: the stopped guards, and the signals that it had blocked before.
_forking: Final[dict[int, tuple[list[Guard], set[int]]]] = {}


def _before_fork() -> None:
    # A signal that the child receives before it has closed the sockets would be counted in the parent.
    caught = [number for number in signal.valid_signals() if callable(signal.getsignal(number))]
    guards = list(_guards)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, caught if guards else ())
    _forking[threading.get_ident()] = guards, blocked
    for guard in guards:
        guard.pause()


def _after_fork_in_parent() -> None:
    guards, blocked = _forking.pop(threading.get_ident())
    # First, since a new thread inherits the blocked signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for guard in guards:
        guard.resume()


def _after_fork_in_child() -> None:
    guards, blocked = _forking.pop(threading.get_ident())
    for guard in guards:
        guard.forget()
        if not keeps_buses():
            _guards.discard(guard)
            BACKGROUND_THREADS.remove(guard)
    _forking.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
