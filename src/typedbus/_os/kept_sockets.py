"""
Listening sockets that survive the replacement of this process.

A process that bound a port below 1024 as root, and then dropped its privileges, cannot bind that port again.
So a server that stops for a restart keeps such a socket open here, see `typedbus._os.successor`, and the server that
requests the same address in the new program claims it. Clients that connect in between wait in its backlog.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final

import attrs

from typedbus._os.forks import after_fork
from typedbus._os.successor import Entry, Keeper, register

#: Device, inode and time of creation of a socket's file.
Identity = tuple[int, int, int]


@attrs.frozen(eq=False)
class KeptSocket:
    """
    A listening socket for which no server is responsible.

    Args:
        socket: The socket.
        file: The identity of its file when it was bound; None for a port.
    """

    socket: socket.socket
    file: Identity | None = None


_sockets: Final[list[KeptSocket]] = []


def keep(listening: socket.socket, file: Identity | None = None) -> None:
    """
    Keep a duplicate of *listening* open for the next program.

    Raises:
        OSError: The socket is closed, or the system has no descriptor left.
    """
    # A plain socket: the server that claims it restores any subclass of *listening*.
    _sockets.append(KeptSocket(socket.socket(fileno=os.dup(listening.fileno())), file))


def claim(fits: Callable[[KeptSocket], bool]) -> KeptSocket | None:
    """Return a kept socket for which *fits* is true, or None; the caller is responsible for it from here on."""
    for kept in _sockets:
        if fits(kept):
            _sockets.remove(kept)
            return kept
    return None


def _entries() -> list[Entry]:
    return [([kept.socket.fileno(), kept.file], [kept.socket.fileno()]) for kept in _sockets]


def _adopt(descriptor: int, file: list[int] | None) -> None:
    listening = socket.socket(fileno=descriptor)
    if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listening.detach()  # the descriptor belongs to other code
        return
    listening.set_inheritable(False)
    _sockets.append(KeptSocket(listening, None if file is None else (file[0], file[1], file[2])))


def _drop() -> None:
    # The socket files are not removed: a process that could remove them would not have kept the socket.
    while _sockets:
        _sockets.pop().socket.close()


register(Keeper("TYPEDBUS_SOCKETS", _entries, _adopt, _drop))
# A descriptor in the child would take clients that no server there accepts.
after_fork(_drop)
