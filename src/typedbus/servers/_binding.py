"""
The socket that a server listens on: its name, how it is bound, and how it is closed without losing a client.

The address is bound in the thread that starts the bus, and listens from then on,
so a port that is in use is an error before further components are started. No
port is probed before or afterwards: only the result of bind(2) cannot be out of
date.

To a client a connection exists as soon as the kernel has accepted it, long before
the server does. A server that stops accepting and closes its socket resets the
connections in between. So a stop first refuses new clients, and only then accepts
the clients that wait. A Unix socket refuses clients when it is shut down; for TCP
on Linux, `_refusal` does it. On other systems a gap of some microseconds is left.

A process that has dropped its privileges may be unable to bind the same name again.
At a restart such a socket stays open, and the restarted program claims it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._os.exhausted import OutOfDescriptors, with_limit
from typedbus._os.kept_sockets import claim, keep
from typedbus.servers._arguments import AF_UNIX, UNIX, parse_bind
from typedbus.servers._refusal import ListeningSocket
from typedbus.servers._socket_file import SocketFile, bind_file, set_mode

BACKLOG: Final = 1024


class BindError(OSError, OperatorError):
    """
    Raised by the start of a server that cannot listen on its address.

    *errno* and *strerror* are the error of the operating system, *filename* is the address.
    """

    def __str__(self) -> str:
        is_path = str(self.filename).startswith(UNIX)
        advice = (_OF_PATHS if is_path else _OF_PORTS).get(self.errno or 0, self.strerror)
        return f"cannot listen on {self.filename}: {advice}"


_OF_PORTS: Final = {
    errno.EADDRINUSE: "another process uses this port; stop it, or give another port as bind=",
    errno.EACCES: (
        "Permission denied; a port below 1024 requires root or CAP_NET_BIND_SERVICE: "
        "give a port from 1024 up as bind=, or a socket that systemd has bound"
    ),
    errno.EADDRNOTAVAIL: "no interface of this machine has this address",
}
_OF_PATHS: Final = {
    errno.EADDRINUSE: "another process serves on this path; stop it, or give another path as bind=",
    errno.EEXIST: "the path is a file that is not a socket; give another path as bind=",
    errno.ENOENT: "the directory does not exist; create it, or give another path as bind=",
    errno.EACCES: "Permission denied; the process needs write access to the directory",
}


@attrs.define(eq=False)
class Listening:
    """
    A socket that listens, from `listen` to `close`.

    Attributes:
        socket: The socket, which does not block.
        where: The address in the form of *bind*, with the actual port.
        is_own: Whether it was bound here, and is not shared.
        file: The socket's file, if it was created here, until it has been removed.
    """

    socket: socket.socket
    where: str
    is_own: bool
    file: SocketFile | None = None

    def refuse(self) -> OSError | None:
        """
        Refuse new clients; clients that are connected can still be accepted.

        Does nothing to a socket that was passed in: other processes may accept from it.

        Returns:
            The reason, if the system does not allow it.

        Raises:
            OSError: The file of the socket cannot be removed. New clients are refused nevertheless.
        """
        if not self.is_own:
            return None
        if isinstance(self.socket, ListeningSocket):
            return self.socket.refuse()
        try:
            self._remove_file()
        finally:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RD)
        return None

    def keep(self) -> bool:
        """
        Keep the socket open for the restarted program if this process could not bind it again; return whether it did.

        New clients are not refused then: clients that are not accepted here wait for the restarted program. `close`
        closes the socket only for this program. If the socket is not kept, its file has been removed.
        """
        if not self.is_own or self._can_be_bound_again():
            return False
        try:
            keep(self.socket, None if self.file is None else self.file.identity)
        except OSError:
            return False  # a server that has died has closed it, or no descriptor is free
        self.file = None
        return True

    def _can_be_bound_again(self) -> bool:
        try:
            if self.file is not None:
                # A process that may remove a file may also create it again.
                self.file.remove()
            elif isinstance(self.socket, ListeningSocket):
                # The system checks the permission for a port first, and only then whether the port is in use.
                with socket.socket(self.socket.family, self.socket.type) as probe:
                    probe.bind(self.socket.getsockname())
        except OSError as error:
            return self.file is None and not isinstance(error, PermissionError)
        return True

    def close(self) -> None:
        """
        Close the socket, and remove its file if it is still the file that was created here.

        Raises:
            OSError: The file cannot be removed.
        """
        try:
            self._remove_file()
        finally:
            self.socket.close()

    def _remove_file(self) -> None:
        # Before the socket ends: from then on another process may replace the file.
        file, self.file = self.file, None
        if file is not None:
            file.remove()


def listen(bind: str | socket.socket, mode: int | None = None) -> Listening:
    """
    Bind and listen, or claim the socket that the program before a restart has kept for the same address.

    If a host has several addresses, the first address of this machine is used.
    ``:port`` accepts IPv4 and IPv6 where the system has both; ``[::]:port`` accepts
    only IPv6, ``0.0.0.0:port`` only IPv4. The file of a socket on which no process
    listens is replaced. A given socket is duplicated, and stays open when the
    duplicate is closed.

    Args:
        bind: As in `parse_bind`, or a stream socket that is bound.
        mode: The permissions of a socket's file.

    Raises:
        SettingError: *bind* is neither an address nor a path.
        BindError: The operating system refuses.
    """
    if isinstance(bind, socket.socket):
        try:
            duplicate = bind.dup()
            duplicate.listen(BACKLOG)
        except OSError as error:
            raise _bind_error(error, f"the socket {bind!r}") from error
        duplicate.settimeout(0.0)
        return Listening(duplicate, _where(duplicate), is_own=False)
    target = parse_bind(bind)
    try:
        if isinstance(target, str):
            return _listen_on_path(Path(target).absolute(), mode)
        return _listen_on_port(*target)
    except OSError as error:
        raise _bind_error(error, bind) from error


def _bind_error(error: OSError, where: str) -> BindError:
    exhausted = with_limit(error)
    if isinstance(exhausted, OutOfDescriptors):
        return BindError(error.errno, str(exhausted), where)
    # "AF_UNIX path too long" and unknown hosts have no errno of the operating system.
    return BindError(error.errno, error.strerror or str(error), where)


def _listen_on_port(host: str, port: int) -> Listening:
    every_interface = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  # the meaning of ':port'
    candidates = socket.getaddrinfo(host or every_interface, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    names = [(family, address) for family, *_, address in candidates]
    # Before any bind: without the permission for the port, the first address fails even if this machine lacks it.
    kept = claim(
        lambda kept: (
            (kept.socket.family, kept.socket.getsockname()) in names
            and (kept.socket.family != socket.AF_INET6 or _is_ipv6_alone(kept.socket) == bool(host))
        )
    )
    if kept is not None:
        listening = ListeningSocket(fileno=kept.socket.detach())
        listening.settimeout(0.0)
        return Listening(listening, _where(listening), is_own=True)
    for remaining, (family, kind, protocol, _, address) in enumerate(candidates, 1 - len(candidates)):
        listening = ListeningSocket(family, kind, protocol)
        try:
            if sys.platform == "win32":
                # On Windows, SO_REUSEADDR would take a port away from the process that uses it.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(host)))
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            if remaining == 0 or error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
            continue
        listening.settimeout(0.0)
        return Listening(listening, _where(listening), is_own=True)
    raise AssertionError  # getaddrinfo raises if there is no address


def _is_ipv6_alone(listening: socket.socket) -> bool:
    return bool(listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _listen_on_path(path: Path, mode: int | None) -> Listening:
    assert AF_UNIX is not None  # `parse_bind` has refused a path otherwise
    kept = claim(
        lambda kept: (
            kept.file is not None and kept.socket.getsockname() == str(path) and SocketFile(path, kept.file).is_intact()
        )
    )
    listening = socket.socket(AF_UNIX, socket.SOCK_STREAM) if kept is None else kept.socket
    try:
        if kept is None or kept.file is None:
            file = bind_file(listening, path, mode, BACKLOG)
        else:
            file = SocketFile(path, kept.file)
            set_mode(path, mode)
    except OSError:
        listening.close()
        raise
    listening.settimeout(0.0)
    return Listening(listening, f"{UNIX}{path}", is_own=True, file=file)


def _where(listening: socket.socket) -> str:
    name = listening.getsockname()
    if not isinstance(name, tuple):
        # The name of an abstract socket begins with a NUL, which is written as @.
        path = os.fsdecode(name)
        return f"{UNIX}@{path[1:]}" if path.startswith("\0") else UNIX + path
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
