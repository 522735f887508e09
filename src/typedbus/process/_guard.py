"""
Handles a second SIGTERM if the main thread cannot run its signal handlers.

Python runs signal handlers in the main thread, between two instructions. A main
thread that is inside a C library, or waits for the lock of a stream whose writer
never returns, runs no handlers. So a separate thread receives the number of each
signal as well (signal.set_wakeup_fd), and forces the end if a second signal
requests it and the main thread does not run its handlers.

The number alone does not show whether the handler has run. So the signals that
request the end are counted twice: here when they arrive, and in `Signals` when they
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
from typedbus._os.forks import WATCHING, goes_on
from typedbus.plugins.signals import Signals, _asks_for_exit, _socket_pair

#: How long the main thread may take to run its handlers, in seconds.
_PATIENCE: Final = 1.0
#: How often inherited children are reaped, while there are any, in seconds.
_LOOKING: Final = 0.5
#: No signal has this number.
_STOP: Final = b"\0"
_guards: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()


class Guard:
    """Watches the signals that request the exit of the bus of *signals*, from `start` to `stop`."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._record = signals._record
        self._lock = threading.Lock()
        #: The number of current reasons to keep the thread stopped.
        self._aside = 1
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None
        #: The number of exit signals that have arrived, without those that came while the main thread slept.
        self._arrived = 0
        #: Children from before a restart, which no other code waits for.
        self._inherited = inherited()

    def start(self) -> None:
        """Start watching, unless the program has its own wakeup descriptor; only in the main thread."""
        before = signal.set_wakeup_fd(-1)
        if before != -1:
            signal.set_wakeup_fd(before)
            return
        _stand_aside_at_forks()
        _guards.add(self)
        WATCHING.append(self)
        self.set_out()

    def stop(self) -> None:
        """Stop watching; only in the main thread."""
        if self not in _guards:
            return
        _guards.discard(self)
        WATCHING.remove(self)
        self.stand_aside()
        signal.set_wakeup_fd(-1)
        for end in self._ends or ():
            end.close()

    def rest(self) -> None:
        """Stop the thread until `set_out`: a `Daemon` calls this before it forks."""
        self.stand_aside()

    def set_out(self) -> None:
        """Start the thread, for the first time or again, in the same process or in a forked child."""
        if self._ends is None:
            self._ends = _socket_pair()
            signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
            self._arrived = self._record.handled
        self.go_on()

    def stand_aside(self) -> None:
        """Stop the thread and wait for its end; each call needs a matching call of `go_on`."""
        with self._lock:
            self._aside += 1
            thread, self._thread = self._thread, None
            if thread is not None and self._ends is not None:
                self._ends[1].send(_STOP)
                thread.join()

    def go_on(self) -> None:
        """Start the thread, unless there is another reason to keep it stopped."""
        with self._lock:
            self._aside -= 1
            if not self._aside and self._ends is not None:
                self._thread = threading.Thread(target=self._watch, args=[self._ends[0]], name="signals", daemon=True)
                self._thread.start()

    def forget(self) -> None:
        """In a forked child: close the sockets, which belong to the parent."""
        self._lock = threading.Lock()
        self._aside -= 1
        for end in self._ends or ():
            end.close()
        self._ends = None
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)

    def _watch(self, receiving: socket.socket) -> None:
        record = self._record
        due: float | None = None
        number = 0
        while True:
            self._inherited[:] = [pid for pid in self._inherited if not has_ended(pid)]
            timeouts = [_LOOKING] if self._inherited else []
            timeouts += [] if due is None else [max(0.001, due - time.monotonic())]
            receiving.settimeout(min(timeouts, default=None))
            with contextlib.suppress(TimeoutError):
                numbers = receiving.recv(4096)
                asking = [one for one in numbers if _asks_for_exit(self._signals.bus, one)]
                self._arrived += len(asking)
                number = asking[-1] if asking else number
                if _STOP in numbers:
                    return
            if record.is_asleep:
                self._arrived = record.handled
            unhandled = self._arrived - record.handled
            if unhandled <= 0 or (unhandled == 1 and not record.has_asked):
                due = None
            elif due is None:
                due = time.monotonic() + _PATIENCE
            elif time.monotonic() >= due:
                self._signals._force(signal.Signals(number))


@functools.cache
def _stand_aside_at_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


#: The stopped guards, by the thread that is about to fork.
_forking: Final[dict[int, list[Guard]]] = {}


def _before() -> None:
    guards = _forking[threading.get_ident()] = list(_guards)
    for guard in guards:
        guard.stand_aside()


def _in_parent() -> None:
    for guard in _forking.pop(threading.get_ident(), []):
        guard.go_on()


def _in_child() -> None:
    for guard in _forking.pop(threading.get_ident(), []):
        guard.forget()
        if not goes_on():
            _guards.discard(guard)
            WATCHING.remove(guard)
    _forking.clear()
