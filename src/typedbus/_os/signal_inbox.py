"""
An inbox on which the main thread sleeps and that any signal wakes.

A Python handler runs when the main thread next executes bytecode. A signal that
comes just before that thread sleeps on a lock does not interrupt the sleep, so
its handler would not run. Here the C-level handler writes a byte to a socket,
and the byte stays there until it is read (signal.set_wakeup_fd).
"""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
from typing import Final

#: The number of standard streams.
_STREAMS: Final = 3
#: The longest time-out of a socket, in seconds; longer waits are repeated.
_LONGEST: Final = 86400.0


class SignalInbox:
    """
    The inbox on which the main thread sleeps while signal handlers are in force.

    Attributes:
        is_asleep: Whether a thread sleeps on it, so that each signal wakes it. A signal right before or
            after the sleep counts as outside.
    """

    def __init__(self) -> None:
        self._receiving, self._sending = socket_pair()
        self.is_asleep = False

    def put(self, item: None, /) -> None:
        """Wake the sleeping thread, or the next one that sleeps. May be called in a signal handler."""
        # A full buffer already wakes the reader, and a closed socket has no reader, so errors are ignored.
        with contextlib.suppress(OSError):
            self._sending.send(b"\0")

    def get(self, *, timeout: float | None = None) -> None:
        """
        Sleep until a signal arrives or `put` is called; only in the main thread.

        Raises:
            queue.Empty: Neither happened within *timeout* seconds, or within a day.
        """
        descriptor = signal.set_wakeup_fd(self._sending.fileno(), warn_on_full_buffer=False)
        try:
            self.is_asleep = True
            self._receiving.settimeout(None if timeout is None else min(timeout, _LONGEST))
            self._receiving.recv(4096)
        except TimeoutError:
            raise queue.Empty from None
        finally:
            self.is_asleep = False
            signal.set_wakeup_fd(descriptor)

    def close(self) -> None:
        """Close the sockets; no thread may sleep on it."""
        self._receiving.close()
        self._sending.close()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets for the numbers of signals: a receiving one, and a sending one that does not block."""
    # If the process began without a standard stream, no socket may get its descriptor.
    pairs = [socket.socketpair()]
    while min(end.fileno() for end in pairs[-1]) < _STREAMS:
        pairs.append(socket.socketpair())
    receiving, sending = pairs.pop()
    for end in (end for pair in pairs for end in pair):
        end.close()
    sending.settimeout(0)
    return receiving, sending
