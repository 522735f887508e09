"""Replies to messages: one subscription for all of them, and a subject of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from typedbus.nats._watcher import Message


@attrs.define(eq=False)
class Replies:
    """
    The handlers of the replies that are expected. All methods are called in the thread of the event loop.

    A subject is never used twice, so a late reply reaches no handler.

    Args:
        prefix: The subject below which the replies arrive.
    """

    prefix: str
    handlers: dict[str, Callable[[Message], None]] = attrs.field(init=False, factory=dict)
    _numbers: itertools.count[int] = attrs.field(init=False, factory=itertools.count)

    @property
    def subject(self) -> str:
        """The subject of the subscription."""
        return f"{self.prefix}.*"

    def expect(self, handler: Callable[[Message], None]) -> str:
        """Return a new subject; *handler* is called with each message on it until `forget`."""
        subject = f"{self.prefix}.{next(self._numbers):x}"
        self.handlers[subject] = handler
        return subject

    def forget(self, subject: str) -> None:
        """Ignore further messages on *subject*."""
        self.handlers.pop(subject, None)

    def receive(self, message: Message) -> None:
        """Call the handler of the subject of *message*, if there is one."""
        handler = self.handlers.get(message.subject)
        if handler is not None:
            handler(message)
