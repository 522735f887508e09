"""Subscriptions that outlive each single connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from nats.errors import SlowConsumerError

from typedbus._base.failures import error_text
from typedbus.nats._line import Line
from typedbus.nats._watcher import Message

#: Seconds until the server must have confirmed the end of a subscription.
_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class Subscription:
    """
    A subscription that outlives each single connection.

    Args:
        refused: Called if the server does not let this user subscribe; without it the error is logged.

    Attributes:
        dropped: How many messages were lost because more than *limit* waited.
        is_denied: Whether the server has refused it on the last connection.
    """

    subject: str
    receive: Callable[[Message], None]
    group: str
    limit: int
    refused: Callable[[], object] | None
    dropped: int = attrs.field(init=False, default=0)
    is_denied: bool = attrs.field(init=False, default=False)
    handle: Any = attrs.field(init=False, default=None)  # nats-py's object for the current connection
    line: Line | None = attrs.field(init=False, default=None)


@attrs.define(eq=False)
class Subscriptions:
    """
    The subscriptions of a link. All methods are called in the thread of the event loop.

    Args:
        report: Called with the text of each failure.

    Attributes:
        all: The subscriptions that have not ended.
    """

    report: Callable[[str], None]
    all: list[Subscription] = attrs.field(init=False, factory=list)

    def missing(self, line: Line) -> Subscription | None:
        """Return a subscription that *line* does not have yet."""
        return next((one for one in self.all if one.line is not line), None)

    async def begin(self, subscription: Subscription, line: Line) -> None:
        """Make *subscription* on *line*."""

        async def receive(message: Any) -> None:
            try:
                subscription.receive(message)
            except Exception as error:
                self.report(f"a message on {message.subject!r} was not received: {error_text(error)}")

        subscription.line = line
        subscription.is_denied = False
        handle = await line.client.subscribe(
            subscription.subject, queue=subscription.group, cb=receive, pending_msgs_limit=subscription.limit
        )
        if subscription in self.all:
            subscription.handle = handle
        else:
            await handle.unsubscribe()

    def refused(self, subject: str) -> None:
        """Notify the subscriptions to *subject*, which the server has refused; it may be in lower case."""
        concerned = [one for one in self.all if one.subject.lower() == subject.lower()]
        for one in concerned:
            one.is_denied = True
            if one.refused is not None:
                one.refused()
        if not concerned or any(one.refused is None for one in concerned):
            self.report(f"the server denies this user to subscribe to the subject {subject!r}")

    def failed(self, error: Exception) -> bool:
        """Count a message that was lost; return whether *error* is such a loss."""
        if not isinstance(error, SlowConsumerError):
            return False
        for subscription in self.all:
            if subscription.handle is error.sub:
                subscription.dropped += 1
        return True


async def drain(handle: Any, line: Line) -> None:
    """Wait until nats-py's subscription *handle* has passed on all messages that the server has sent for it."""
    # The method of nats-py for this ends before the last messages: its ping is written before its request.
    client: Any = line.client
    await client._send_unsubscribe(handle._id)  # noqa: SLF001
    await line.flush(_PATIENCE)
    await handle._pending_queue.join()  # noqa: SLF001
