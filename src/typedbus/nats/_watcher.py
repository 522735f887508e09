"""The messages that a connection receives, and the objects that it notifies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Message(Protocol):
    """A message that has arrived."""

    @property
    def subject(self) -> str: ...
    @property
    def reply(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str] | None: ...


class Watcher(Protocol):
    """An object that is notified of changes of the connection, in the thread of the event loop."""

    def connected(self, server: str) -> None:
        """There is a connection, the first or a new one."""

    def disconnected(self, reason: str) -> None:
        """The connection is lost."""

    def denied(self, subject: str) -> None:
        """The server has refused a message on *subject*, which may be in lower case."""

    def replies_refused(self) -> None:
        """The server has refused the subscription to the replies: none arrives on this connection."""


class Owner(Watcher, Protocol):
    """The watcher of a connection, which also receives the errors that change nothing."""

    def failed(self, reason: str) -> None:
        """A message, a subscription or a function that receives messages has failed."""
