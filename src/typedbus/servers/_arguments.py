"""The arguments of server components, and the checks that refuse invalid ones in the line of the declaration."""

from __future__ import annotations

import socket
import threading
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.numbers import is_number
from typedbus._base.structured import StructuredError

EXPECTED: Final = (
    "'host:port', ':port' for every interface, '[::1]:port', 'unix:/path', or a stream socket that is bound"
)
UNIX: Final = "unix:"
AF_UNIX: Final[int | None] = getattr(socket, "AF_UNIX", None)  # Python has none on Windows
_ALL_PERMISSIONS: Final = 0o777


class SettingError(StructuredError, ValueError, OperatorError):
    """
    Raised where a server is declared with an argument that can never work.

    Attributes:
        name: The name of the argument.
        given: The value that was given.
        expected: A description of the values that it accepts.
    """

    name: str
    given: object
    expected: str

    def __str__(self) -> str:
        return f"{self.name}={self.given!r} is not valid; give {self.expected}"


def parse_bind(bind: str) -> tuple[str, int] | str:
    """
    Return host and port of *bind*, the host empty for every interface, or the path of a socket.

    Raises:
        SettingError: *bind* is neither an address nor a path.
    """
    if bind.startswith(UNIX):
        path = bind.removeprefix(UNIX)
        if not path or "\0" in path:
            raise SettingError("bind", bind, EXPECTED)
        if AF_UNIX is None:
            raise SettingError("bind", bind, "'host:port', since Python has no Unix sockets on this system")
        return path
    host, colon, digits = bind.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if is_bracketed:
        host = host[1:-1]
    if (
        not colon
        or (":" in host) != is_bracketed
        or any(character.isspace() or character in "[]/\0" for character in host)
    ):
        raise SettingError("bind", bind, EXPECTED)
    if not (digits.isascii() and digits.isdigit() and int(digits) < 1 << 16):
        raise SettingError("bind", bind, f"a port from 0, for any free port, to 65535: {EXPECTED}")
    return host, int(digits)


def check_bind(instance: object, attribute: attrs.Attribute[str], bind: str | socket.socket) -> None:
    """Refuse *bind* unless it is an address, a path or a stream socket."""
    if isinstance(bind, str):
        parse_bind(bind)
    elif not isinstance(bind, socket.socket) or bind.type != socket.SOCK_STREAM:
        raise SettingError("bind", bind, EXPECTED)


def check_mode(instance: object, attribute: attrs.Attribute[int | None], mode: int | None) -> None:
    """Refuse *mode* unless it is a set of permissions or None."""
    if mode is not None and (not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= _ALL_PERMISSIONS):
        raise SettingError("mode", mode, "permissions such as 0o660, or None to let the umask decide")


def check_seconds(instance: object, attribute: attrs.Attribute[float], seconds: float) -> None:
    """Refuse *seconds* unless it is a finite number of seconds, 0 or more."""
    if not is_number(seconds) or not 0 <= seconds <= threading.TIMEOUT_MAX / 2:
        raise SettingError(attribute.name, seconds, "a number of seconds, 0 or more")


def check_threads(instance: object, attribute: attrs.Attribute[int], threads: int) -> None:
    """Refuse *threads* unless it is a whole number from 1 up."""
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise SettingError("threads", threads, "a whole number from 1 up")
