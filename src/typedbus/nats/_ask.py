"""Questions to one listener in another process."""

from __future__ import annotations

from typing import Generic, TypeAlias

import attrs
from typing_extensions import ParamSpec, TypeVar

from typedbus._base.record import Record
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import Channel
from typedbus.nats._answers import failure_of, is_absent, origin_of
from typedbus.nats._calls import Calls
from typedbus.nats._errors import (
    Busy,
    DecodeFailed,
    Denied,
    Disconnected,
    NoListener,
    RemoteError,
    RemoteTimeout,
    Unreadable,
)
from typedbus.nats._headers import REPLY_HEADER
from typedbus.nats._link import Link
from typedbus.nats._schema import MessageSchema, schema_of
from typedbus.nats._watcher import Message

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@attrs.frozen(eq=False, repr=False)
class Answer(Record, Generic[R_co]):
    """
    The result of a listener in another process.

    Attributes:
        value: The result.
        origin: The process that has answered, as its `Link.origin`.
    """

    value: R_co
    origin: str


Asked: TypeAlias = Answer[R] | NoListener | RemoteTimeout | RemoteError | Busy | Unreadable | Disconnected | Denied
"""The outcomes of a question; `match` can be checked for exhaustiveness. ``.value`` is the result, or raises the failure."""


def ask(link: Link, channel: Channel[P, R] | AsyncChannel[P, R], *, timeout: float) -> AskPort[P, R]:
    """
    Return a port that asks one listener of *channel* in another process.

    Raises:
        SchemaFault: The arguments or the result of the channel cannot be sent.
        PortFault: *timeout* is no number of seconds above 0.
    """
    return AskPort(link, channel, timeout)


@attrs.define(eq=False, repr=False)
class AskPort(Generic[P, R]):
    """
    Asks one listener of a channel in another process; `ask` makes it, and a container starts it after its link.

    The first answer is the outcome. The server selects one process of the responders of a group, and that process
    calls the verb `first` of its channel. A failure is returned and not raised, and each call ends within
    the timeout and 0.3 s. A question that has failed is not repeated: its listener may have been called, unless the
    failure is `NoListener`, `Busy`, `Denied`, `Unreadable` with the part "question", or `Disconnected` that was not sent.

    Args:
        link: The connection.
        channel: The channel of the listeners.
        timeout: How many seconds each call waits for an answer.
    """

    _link: Link
    _channel: Channel[P, R] | AsyncChannel[P, R]
    timeout: float
    _schema: MessageSchema[P, R] = attrs.field(init=False)
    _calls: Calls[Asked[R]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._schema = schema_of(self._channel, self._link.codec)
        self._calls = Calls(self._link, self.channel, self._schema.fingerprint, self.timeout)

    def __repr__(self) -> str:
        return f"<AskPort {self.channel!r}>"

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._schema.name

    async def start(self) -> None:
        """
        Begin to use the connection of the link.

        Raises:
            LinkClosed: The link has not started.
            Denied: The server does not let this user subscribe to "_INBOX.>", where answers arrive.
        """
        await self._calls.start()

    async def stop(self) -> None:
        """End the questions that wait, with `Disconnected`."""
        await self._calls.stop()

    async def ask(self, /, *args: P.args, **kwargs: P.kwargs) -> Asked[R]:
        """
        Ask, on the event loop of the link.

        A cancellation ends the wait; the listener is not cancelled.

        Raises:
            EncodeFailed: A receiver could not restore an argument.
            LinkClosed: The port has not started, or has stopped.
            LoopError: The caller runs on another event loop.
            TooLarge: The server does not allow a message of this size.
        """
        return await self._calls.awaited("ask", self, self._schema.encode(*args, **kwargs))

    def ask_from_thread(self, /, *args: P.args, **kwargs: P.kwargs) -> Asked[R]:
        """
        Ask, and wait in this thread for the answer.

        Raises:
            EncodeFailed: A receiver could not restore an argument.
            LinkClosed: The port has not started, or has stopped.
            LoopError: An event loop runs in this thread.
            TooLarge: The server does not allow a message of this size.
        """
        return self._calls.blocked("ask", self, self._schema.encode(*args, **kwargs))

    def received(self, message: Message) -> Asked[R]:
        """Return the outcome of a call with the answer *message*."""
        if is_absent(message):
            return NoListener(self.channel)
        kind = (message.headers or {}).get(REPLY_HEADER, "ok")
        if kind == "ok":
            try:
                return Answer(self._schema.decode_result(message.data), origin_of(message))
            except DecodeFailed as error:
                return Unreadable(self.channel, "answer", error.problem, origin_of(message))
        return failure_of(self.channel, kind, message)

    def expired(self) -> Asked[R]:
        """Return the outcome of a call without an answer."""
        return RemoteTimeout(self.channel, self.timeout)
