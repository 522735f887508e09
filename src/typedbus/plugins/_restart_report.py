"""
Reports of a daemon to the `typedbus restart` commands that wait for its restart.

A command connects to the socket beside the PID file and then sends SIGHUP. The connection stays open, through the
replacement of the process, until there is a report. Each line is a separate packet: ``STATUS=...``, ``REFUSED=...``,
or ``READY=1``. No function here blocks for longer than a second, and a report without a reader is dropped.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from typing import Final

from typedbus._base.events import ComponentStarting, Failed, Moved
from typedbus._base.states import State
from typedbus._bus.builtin import COMPONENT_STARTING, FAILED, MOVED
from typedbus._bus.bus import Bus
from typedbus._os.forks import after_fork
from typedbus._os.pidfiles import held

#: The maximum size of one report in bytes.
SIZE: Final = 4096
#: Process, user and group of the peer, in the format of SO_PEERCRED.
CREDENTIALS: Final = struct.Struct("3i")
#: Seconds to wait for a slow command to read a report that it needs.
_PATIENCE: Final = 1.0
#: A priority after the other listeners: the start is over when they have run.
_LAST: Final = 100

_connections: Final[list[socket.socket]] = []


def report(line: str, patience: float = 0.0) -> bool:
    """
    Send *line* to each waiting command, and return whether there is any.

    A command that does not read within *patience* seconds misses the line. May be called in a signal handler.
    """
    _accept()
    message = " ".join(line.split()).encode(errors="backslashreplace")[:SIZE]
    for connection in [*_connections]:
        try:
            connection.settimeout(patience)
            connection.send(message)
        except (BlockingIOError, TimeoutError):
            pass
        except OSError:
            _close(connection)
    return bool(_connections)


def report_start(bus: Bus) -> None:
    """Report the progress of the start of *bus* to the commands that wait for it, if there are any."""
    if not report("STATUS=about to start"):
        return
    has_failed = False

    def starting(event: ComponentStarting, /) -> None:
        if not has_failed:
            report(f"STATUS=starting {event.path}")

    def failed(event: Failed, /) -> None:
        nonlocal has_failed
        if not has_failed:
            has_failed = True
            report(f"STATUS=failed {event.path} in {event.hook}: {event.error!r}", _PATIENCE)

    def moved(event: Moved, /) -> None:
        if event.after is State.STARTED:
            report("READY=1", _PATIENCE)
        if event.after in (State.STARTED, State.EXITED):
            for subscription in subscriptions:
                subscription.cancel()
            for connection in [*_connections]:
                _close(connection)

    subscriptions = (
        bus[COMPONENT_STARTING].subscribe(starting),
        bus[FAILED].subscribe(failed),
        bus[MOVED].subscribe(moved, priority=_LAST),
    )


def _accept() -> None:
    """Accept connections only of root and of this process's user; the socket's mode admits no other users anyway."""
    if sys.platform != "linux":
        return
    for file in held:
        while file.listener is not None:
            try:
                connection, _ = file.listener.accept()
            except OSError:
                break  # there are no more
            _, user, _ = CREDENTIALS.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            )
            if user in (0, os.geteuid()):
                _connections.append(connection)
            else:
                connection.close()


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(ValueError):
        _connections.remove(connection)
    connection.close()


def _leave_to_parent() -> None:
    for connection in [*_connections]:
        _close(connection)


after_fork(_leave_to_parent)
