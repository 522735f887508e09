"""The exceptions of mounted applications, with their texts."""

from __future__ import annotations

from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError


class MountError(StructuredError, ValueError):
    """
    Raised for a mount that could never receive a request, or never answer one.

    Attributes:
        given: The path, the application, or the result of the listener.
        problem: The reason why it cannot be mounted, and the remedy.
    """

    given: object
    problem: str

    def __str__(self) -> str:
        return f"cannot mount {self.given!r}: {self.problem}"


class MountConflict(StructuredError, ValueError, OperatorError):
    """
    Raised by the start of a dispatcher if two applications have the same path.

    Attributes:
        path: Their path.
        first: The component that mounts the first application, with file and line.
        second: The component that mounts the second application, with file and line.
    """

    path: str
    first: str
    second: str

    def __str__(self) -> str:
        return (
            f"two applications are mounted at {self.path}: by {self.first} and by {self.second}; "
            "give one of them another path"
        )


class MountFailed(StructuredError, RuntimeError):
    """
    Raised when a mounted ASGI application fails in its lifespan; raised from the application's exception.

    Attributes:
        path: Where the application is mounted.
        phase: ``startup`` or ``shutdown``.
        message: The reason that the application gave.
    """

    path: str
    phase: str
    message: str

    def __str__(self) -> str:
        reason = self.message.strip() or "it gave no reason"
        return f"the application mounted at {self.path} failed in its lifespan {self.phase}: {reason}"


class NotMounted(RuntimeError):
    """Raised by a dispatcher that is called before its bus has started it, or after the stop."""

    def __str__(self) -> str:
        return (
            "the dispatcher has no mounts now: it collects them at the start of its bus and drops them at the stop; "
            "serve it with a server component on that bus, or inside a typedbus.hosting Hosted"
        )


_BRIDGED: Final = {
    "WSGI": "a WSGI application under an ASGIDispatcher",
    "ASGI": "an ASGI application under a WSGIDispatcher",
}


class NoBridge(StructuredError, ImportError, OperatorError):
    """
    Raised by the start of a dispatcher that has a mount of the other kind, if a2wsgi is not installed.

    Attributes:
        mount: The path of that mount.
        kind: ``WSGI`` or ``ASGI``.
    """

    mount: str
    kind: str

    def __str__(self) -> str:
        return (
            f"the application mounted at {self.mount} is {_BRIDGED[self.kind]}, which needs a2wsgi, "
            'and that is not installed: pip install "typedbus[mounts]"'
        )
