"""The parts of a link from its start to its stop, which ports and consumers use."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

import attrs

from typedbus._base.failures import error_text
from typedbus._bus.builtin import ERROR
from typedbus._bus.bus import Bus
from typedbus._os.forks import current_pid
from typedbus.nats._connection import Connection
from typedbus.nats._errors import Denied, LinkForked, NotConnected
from typedbus.nats._events import LINK, Connected, ConnectionLost, LinkEvent
from typedbus.nats._handover import Handover
from typedbus.nats._replies import Replies
from typedbus.nats._security import Options
from typedbus.nats._subscriptions import Subscription
from typedbus.nats._tracing import Tracing, tracing_of
from typedbus.nats._watcher import Watcher

#: The subjects of all replies, as the permissions of a user name them.
_INBOXES: Final = "_INBOX.>"


def process_name(name: str) -> str:
    """Return the name of this process among all: *name* or "python", the host and the pid, in printable ASCII."""
    text = f"{name or 'python'}@{socket.gethostname()}:{os.getpid()}"
    return "".join(character if "!" <= character <= "~" else "?" for character in text)


@attrs.define(eq=False)
class Session:
    """
    A connection with its replies and its watchers.

    All methods but `Handover.call`, `is_forked` and `check_process` are called on the event loop.

    Args:
        bus: Receives the events of the connection on `LINK`.
        options: How to connect.
        origin: The name of this process in the headers of its messages.

    Attributes:
        connection: Sends and receives.
        replies: The replies that are expected.
        handover: Calls functions on the event loop from other threads.
        loop: The event loop.
        tracing: The spans of messages; None if the program has not configured OpenTelemetry.
    """

    bus: Bus
    options: Options = attrs.field(repr=False)
    origin: str
    loop: asyncio.AbstractEventLoop = attrs.field(init=False, repr=False, factory=asyncio.get_running_loop)
    connection: Connection = attrs.field(init=False, repr=False)
    replies: Replies = attrs.field(init=False, repr=False)
    handover: Handover = attrs.field(init=False, repr=False)
    tracing: Tracing | None = attrs.field(init=False, repr=False)
    _inbox: Subscription | None = attrs.field(init=False, repr=False, default=None)
    _pid: int = attrs.field(init=False, repr=False, factory=current_pid)
    _watchers: list[Watcher] = attrs.field(init=False, repr=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.connection = Connection(self.options, self)
        self.replies = Replies(self.connection.new_inbox())
        self.handover = Handover(self.loop)
        self.tracing = tracing_of(self.bus, self.origin)

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked after the start of the session; may be read in any thread."""
        return current_pid() != self._pid

    def check_process(self, name: str) -> None:
        """
        Check that no fork has happened since the start; may be called in any thread.

        Raises:
            LinkForked: This process is a child of the process that has the event loop; the error names *name*.
        """
        if self.is_forked:
            raise LinkForked(name, self.origin)

    async def open(self, within: float, *, required: bool) -> None:
        """
        Connect.

        Raises:
            NotConnected: There is no connection after *within* seconds, and it is *required*.
            ServerTooOld: The server is older than 2.10.23.
        """
        end = self.loop.time() + within
        try:
            self._inbox = await self.connection.subscribe(
                self.replies.subject, self.replies.receive, refused=self.replies_refused
            )
            is_connected = await self.connection.open(within)
            # A refusal of the subscription is received before the answer, so the start of a port finds it.
            await self.connection.flush(end - self.loop.time())
        except BaseException:
            await self.connection.close(0)
            raise
        if required and not is_connected:
            await self.connection.close(0)
            raise NotConnected(self.options.addresses, within, self.connection.last_error)

    def replies_denied(self, channel: str) -> Denied | None:
        """Return the failure of a message on *channel* if the server does not let this user receive replies, else None."""
        if self._inbox is None or not self._inbox.is_denied:
            return None
        return Denied(channel, _INBOXES, "subscribe to")

    def check_replies(self, channel: str) -> None:
        """
        Check that this user may receive replies.

        Raises:
            Denied: The server has refused the subscription to them; the error names *channel*.
        """
        if (denied := self.replies_denied(channel)) is not None:
            raise denied

    async def close(self, within: float) -> None:
        """Send the queued messages, and close the connection, after *within* seconds at the latest."""
        await self.connection.close(within)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Notify *watcher* of changes of the connection, until the function that is returned is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def report(self, event: LinkEvent) -> None:
        """Publish *event* on `LINK`; the failure of a listener is logged."""
        try:
            self.bus[LINK].publish(event)
        except Exception as error:
            self.bus.log(f"a listener of 'link' failed: {error_text(error)}", ERROR)

    def connected(self, server: str) -> None:
        """Notify the watchers."""
        self.bus.log(f"connected to {server}")
        self.report(Connected(server))
        self._notify(lambda watcher: watcher.connected(server))

    def disconnected(self, reason: str) -> None:
        """Notify the watchers."""
        self.bus.log(f"the connection to a NATS server is lost: {reason}", ERROR)
        self.report(ConnectionLost(reason))
        self._notify(lambda watcher: watcher.disconnected(reason))

    def denied(self, subject: str) -> None:
        """Notify the watchers."""
        self._notify(lambda watcher: watcher.denied(subject))

    def replies_refused(self) -> None:
        """Log it, and notify the watchers."""
        self.failed(
            f"the server denies this user to subscribe to the subject {_INBOXES!r}, so events and questions fail; allow it "
            "in the permissions of the user"
        )
        self._notify(lambda watcher: watcher.replies_refused())

    def failed(self, reason: str) -> None:
        """Log *reason*."""
        self.bus.log(f"NATS: {reason}", ERROR)

    def _notify(self, call: Callable[[Watcher], None]) -> None:
        for watcher in tuple(self._watchers):
            try:
                call(watcher)
            except Exception as error:
                self.failed(f"a port was not notified: {error_text(error)}")
