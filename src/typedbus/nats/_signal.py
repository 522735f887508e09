"""The port of signals: messages that arrive at most once, and never block their sender."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._base.errors import LoopError
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import Channel
from typedbus.nats._errors import LinkClosed, TooLarge
from typedbus.nats._headers import ORIGIN_HEADER, SCHEMA_HEADER, size_of
from typedbus.nats._link import Link
from typedbus.nats._losses import Losses
from typedbus.nats._schema import MessageSchema, event_schema_of
from typedbus.nats._session import Session

P = ParamSpec("P")

#: How many messages may wait for the connection; further signals are dropped.
_MOST: Final = 8192
#: Seconds between two signals with headers, which cost time in both processes: a receiver needs them only to report a
#: process with another declaration of the channel.
_HEADERS_EVERY: Final = 1.0
_TOO_MANY: Final = f"more than {_MOST} messages waited for the connection"


def signal_subject(prefix: str, channel: str) -> str:
    """Return the subject of the signals on *channel*."""
    return f"{prefix}.signal.{channel}"


@attrs.define(eq=False, repr=False)
class SignalPort(Generic[P]):
    """
    Sends the arguments of each publish to all processes with a `Receiver` for the channel; `signal` makes it.

    A signal arrives at most once. A process receives the signals of one thread in the order of the calls. A publish
    never waits: a signal is dropped while there is no connection, and while 8192 messages wait for the connection.
    Dropped signals are counted, and published on `LINK` as `SignalsDropped`, at most once a second. A signal that is
    lost with the connection, or in the server, is not counted.

    A component: it starts after its link, and its users start after it.
    """

    _link: Link
    _schema: MessageSchema[P, None]
    _subject: str
    _losses: Losses
    _session: Session | None = attrs.field(init=False, default=None)
    _unwatch: Callable[[], None] | None = attrs.field(init=False, default=None)
    _headers: dict[str, str] = attrs.field(init=False, factory=dict)
    _header_size: int = attrs.field(init=False, default=0)
    _next_headers: float = attrs.field(init=False, default=0.0)
    #: The signals of other threads, until the loop takes them.
    _handed: collections.deque[tuple[bytes, dict[str, str] | None]] = attrs.field(init=False, factory=collections.deque)
    _is_scheduled: bool = attrs.field(init=False, default=False)

    def __repr__(self) -> str:
        return f"<SignalPort {self.channel!r}>"

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._schema.name

    @property
    def dropped(self) -> int:
        """How many signals this port has dropped, since it was made; may be read in any thread."""
        return self._losses.total

    def publish(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """
        Send a signal, on the event loop of the link.

        Raises:
            EncodeFailed: An argument cannot be sent.
            TooLarge: It is larger than the server allows.
            LinkClosed: The port has not started, or has stopped.
            LoopError: It was called on another event loop, or in a thread without one.
        """
        data = self._schema.encode(*args, **kwargs)
        session = self._opened()
        if asyncio._get_running_loop() is not session.loop:  # noqa: SLF001  # public, but not documented
            raise LoopError(
                f"publish() on the signal port of {self.channel!r}",
                "this is not the event loop of the link; use publish_from_thread(), which does not block",
            )
        if (size := len(data) + self._header_size) > session.connection.max_payload:
            raise self._too_large(session, size)
        self._send(session, data, self._traced(session, data))

    def publish_from_thread(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """
        Send a signal, in any thread.

        Raises:
            EncodeFailed: An argument cannot be sent.
            TooLarge: It is larger than the server allows.
            LinkClosed: The port has not started, or has stopped.
        """
        data = self._schema.encode(*args, **kwargs)
        session = self._opened()
        if (size := len(data) + self._header_size) > session.connection.max_payload:
            raise self._too_large(session, size)
        if len(self._handed) >= _MOST:
            self._losses.add(1, _TOO_MANY)
            return
        self._handed.append((data, self._traced(session, data)))
        if not self._is_scheduled:
            self._is_scheduled = True
            try:
                session.handover.call(self._take, session)
            except RuntimeError as error:
                raise LinkClosed(self.channel) from error

    async def start(self) -> None:
        """
        Accept signals.

        Raises:
            LinkClosed: The link has not started.
        """
        session = self._link.session(self.channel)
        self._headers = {SCHEMA_HEADER: self._schema.fingerprint, ORIGIN_HEADER: session.origin}
        self._header_size = size_of(self._headers)
        self._losses.open(session)
        self._unwatch = session.watch(self)
        self._next_headers = 0.0
        self._session = session

    async def stop(self) -> None:
        """Refuse further signals, and report the signals that were dropped; does nothing before `start`."""
        session, self._session = self._session, None
        if session is not None and self._unwatch is not None:
            self._take(session)
            self._unwatch()
            self._losses.close()

    def connected(self, server: str) -> None:
        """There is a connection."""

    def disconnected(self, reason: str) -> None:
        """The connection is lost."""

    def denied(self, subject: str) -> None:
        """Count a signal that the server has refused."""
        if subject.lower() == self._subject.lower():
            self._losses.add(1, f"the server denies this user to publish on the subject {self._subject!r}")

    def replies_refused(self) -> None:
        """Do nothing: a signal has no reply."""

    def _opened(self) -> Session:
        session = self._session
        if session is None:
            raise LinkClosed(self.channel)
        session.check_process(self.channel)
        return session

    def _too_large(self, session: Session, size: int) -> TooLarge:
        return TooLarge(self.channel, size, session.connection.max_payload)

    def _traced(self, session: Session, data: bytes) -> dict[str, str] | None:
        """Return headers with the context of the span of a signal, or None if there are no spans."""
        if session.tracing is None:
            return None
        headers = self._headers.copy()
        session.tracing.sending("publish", self._subject, headers, None)
        size = len(data) + size_of(headers)
        if size > session.connection.max_payload:
            raise self._too_large(session, size)
        return headers

    def _send(self, session: Session, data: bytes, headers: dict[str, str] | None) -> None:
        connection = session.connection
        if connection.waiting >= _MOST:
            self._losses.add(1, _TOO_MANY)
            return
        if headers is None and (now := session.loop.time()) >= self._next_headers:
            headers, self._next_headers = self._headers, now + _HEADERS_EVERY
        connection.send(self._subject, data, "", headers, self._dropped)

    def _take(self, session: Session) -> None:
        # First: a signal that is appended from here on either is found below or schedules the next call.
        self._is_scheduled = False
        for _ in range(len(self._handed)):
            self._send(session, *self._handed.popleft())

    def _dropped(self, reason: str) -> None:
        self._losses.add(1, f"there was no connection: {reason}")


def signal(link: Link, channel: Channel[P, None] | AsyncChannel[P, None]) -> SignalPort[P]:
    """
    Return a port that sends the publishes of *channel* to all processes with a `Receiver` for it, at most once.

    The publish itself calls no listener; a receiver in this process does.

    Raises:
        SchemaFault: The arguments of the channel cannot be sent, or its result is not None.
    """
    schema = event_schema_of(channel, link.codec)
    return SignalPort(link, schema, signal_subject(link.prefix, schema.name), Losses(schema.name))
