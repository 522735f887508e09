"""
The sockets that a service manager passes to the process.

They are passed as in sd_listen_fds(3), as descriptors from 3 on. `activated`
returns duplicates. The descriptors themselves stay open, unchanged and inheritable:
whatever is closed at a stop, the program that replaces this process finds them
again. The environment is left unchanged for the same reason. A child process sees
it as well, and recognizes by its own pid that it is not meant for it.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError

_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START of sd-daemon.h
_UNNAMED: Final = "unknown"  # the name of a socket without one, in sd_listen_fds_with_names(3)
#: Times are 64 bit numbers.
_LARGEST: Final = 2**63 - 1


class SystemdError(StructuredError, ValueError, OperatorError):
    """
    Raised by `Systemd` and `activated` for a value of an environment variable that no service manager sets.

    Attributes:
        variable: Its name.
        value: Its value.
        reason: What is wrong with it.
    """

    variable: str
    value: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the environment variable {self.variable}={self.value!r} is invalid: {self.reason}; "
            f"correct it where the process is started, or unset {self.variable}"
        )


def activated(
    name: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> list[socket.socket]:
    """
    Return the sockets that the service manager has opened for this process, in its order; an empty list if none.

    They are duplicates, which the caller must close. The inherited descriptors stay
    open and inheritable, also when the process is replaced. Call this before the
    process becomes a daemon, which has another pid.

    Args:
        name: The ``FileDescriptorName=`` of the sockets to return; all sockets unless given.
        environ: The mapping with ``LISTEN_FDS``, ``LISTEN_PID`` and ``LISTEN_FDNAMES``; if ``LISTEN_PID`` is not the
            pid of this process, the sockets are meant for another process.

    Raises:
        SystemdError: The environment names a descriptor that is not open or is not
            a socket; or there are sockets, but none is called *name*.
    """
    if number_in(environ, "LISTEN_PID", 1) != os.getpid():
        return []
    count = number_in(environ, "LISTEN_FDS", 0) or 0
    name_list = environ.get("LISTEN_FDNAMES") or None
    names: Iterable[str]
    if name_list is not None:
        names = name_list.split(":")
        if len(names) != count:
            raise SystemdError(
                "LISTEN_FDNAMES", name_list, f"it has {len(names)} names for {count} sockets (LISTEN_FDS)"
            )
    else:
        # The count may be absurdly high: no list of that length is created, and a closed descriptor ends the loop.
        names = itertools.repeat(_UNNAMED, count if name in (None, _UNNAMED) else 0)
    sockets: list[socket.socket] = []
    for number, socket_name in enumerate(names, _FIRST_DESCRIPTOR):
        if name not in (None, socket_name):
            continue
        try:
            duplicate = os.dup(number)
            try:
                sockets.append(socket.socket(fileno=duplicate))
            except OSError:
                os.close(duplicate)
                raise
        except (OSError, OverflowError) as error:
            for opened in sockets:
                opened.close()
            reason = f"file descriptor {number}, {socket_name!r}, is not a usable socket: {getattr(error, 'strerror', error)}"
            raise SystemdError("LISTEN_FDS", str(count), reason) from error
    if name is not None and count and not sockets:
        raise SystemdError("LISTEN_FDNAMES", name_list or _UNNAMED, f"no socket has the name {name!r}")
    return sockets


def number_in(environ: Mapping[str, str], variable: str, least: int) -> int | None:
    """
    Return the value of *variable*; None if it is not set or empty.

    Raises:
        SystemdError: It is not a whole number from *least* up, or is larger than a time may be.
    """
    value = environ.get(variable)
    if not value:
        return None
    if not (value.isascii() and value.isdigit()):
        raise SystemdError(variable, value, f"it is not a whole number from {least} up")
    # The length first: Python does not convert texts of thousands of digits.
    if len(value) > len(str(_LARGEST)) or int(value) > _LARGEST:
        raise SystemdError(variable, f"{value[:20]}...", f"it is larger than {_LARGEST}")
    if int(value) < least:
        raise SystemdError(variable, value, f"it is not a whole number from {least} up")
    return int(value)
