"""The port of durable events: a publish stores the arguments in a stream."""

from __future__ import annotations

import concurrent.futures
from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._base.numbers import is_seconds
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import Channel
from typedbus.nats._arguments import is_count, is_word
from typedbus.nats._delivery import is_received
from typedbus.nats._errors import PortFault
from typedbus.nats._headers import ORIGIN_HEADER, SCHEMA_HEADER
from typedbus.nats._link import Link
from typedbus.nats._message_ids import new_message_id
from typedbus.nats._pending import Encoded, Receipt
from typedbus.nats._schema import MessageSchema, event_schema_of
from typedbus.nats._sender import Sender
from typedbus.nats._streams import Stream, named
from typedbus.nats._tracing import carry

P = ParamSpec("P")

_LONGEST_KEY: Final = 255


@attrs.define(eq=False, repr=False)
class EventPort(Generic[P]):
    """
    Stores the arguments of each publish in a stream; `event` makes it.

    A component: it starts after its link, and its users start after it. Its start checks the stream, or creates it. Its
    stop refuses further events with `LinkClosed`, waits until those in flight have ended, by their deadlines at the
    latest, and publishes the ids without an outcome on `LINK` as `Unresolved`.

    Every event ends by the deadline of the port: with a `Receipt` if it is stored, otherwise with an exception. An
    event without an acknowledgement is sent again with the same id, also after a reconnection, and the stream stores
    it once. While there is no connection, events wait in the window of the port. While the window is full, publishes
    wait for their turn, in the order of the calls. The stream has the events of one thread in the order of its calls,
    except for events that were sent again.

    The arguments are encoded in the thread of the caller, which raises `EncodeFailed` for a value that cannot be sent.
    """

    _sender: Sender
    _schema: MessageSchema[P, None]
    _key: str | None = None

    def __repr__(self) -> str:
        return f"<EventPort {self.channel!r} on stream {self.stream!r}>"

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._sender.channel

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return named(self._sender.stream).name

    async def publish(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """
        Store an event, and wait for the acknowledgement, on the event loop of the link.

        If the caller is cancelled, the event may be stored nevertheless.

        Raises:
            NotStored: The stream refused it, or there was no connection before the deadline; it is not in the stream.
            OutcomeUnknown: There was no acknowledgement before the deadline; it may be in the stream.
            TooLarge: The server does not allow a message of this size; it was not sent.
            Denied: The user of the link may not publish on the subject.
            WindowFull: Its turn did not come before the deadline; it was not sent.
            LinkClosed: The port has not started, or has stopped; it was not sent.
            LoopError: It was called on another event loop; it was not sent.
        """
        return await self._sender.publish(self._schema.encode(*args, **kwargs), self._key)

    def publish_from_thread(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """
        Store an event, and wait in this thread for the acknowledgement.

        Raises:
            LoopError: An event loop runs in this thread; it was not sent.
            Exception: As for `publish`.
        """
        return self._sender.publish_from_thread(self._schema.encode(*args, **kwargs), self._key)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[Receipt]:
        """
        Send an event, and return the future of its receipt; may be called in any thread.

        While the window is full, it blocks until the turn of the event, for the deadline at most. It does not block a
        thread in which an event loop runs.

        The future has the exceptions of `publish`, and cannot be cancelled. It ends in the thread of the event loop of
        the link, so its callbacks must not block.

        Raises:
            WindowFull: The turn did not come before the deadline, or the window is full and an event loop runs in this
                thread; the event was not sent.
            LinkClosed: The port has not started, or has stopped; it was not sent.
        """
        return self._sender.submit(self._schema.encode(*args, **kwargs), self._key)[1]

    def keyed(self, key: str) -> EventPort[P]:
        """
        Return a port that uses *key* as the id of its event, so that the stream stores it once.

        The stream remembers ids for its ``duplicate_window``. A key names one event, such as
        ``f"order-{order.id}-placed"``, and not a kind of events. The port shares the window of this one, and need not
        be started.

        Raises:
            PortFault: *key* is not 1 to 255 printable ASCII characters without spaces.
        """
        if not is_word(key) or len(key) > _LONGEST_KEY:
            remedy = f"a key has 1 to {_LONGEST_KEY} printable ASCII characters without spaces"
            raise PortFault(self.channel, "key", key, remedy)
        return EventPort(self._sender, self._schema, key)

    async def forward(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """
        Store a local publish of an async channel: ``bus[order_placed].subscribe(port.forward)``.

        The publish ends when the event is stored, and fails with the exceptions of `publish`. It does nothing for an
        event with which a `Consumer` of this channel has called the listeners, so that an event does not go around
        between processes.
        """
        if not is_received(self.channel, (*args, *kwargs.values())):
            await self.publish(*args, **kwargs)

    def forward_from_thread(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """As `forward`, for a `Channel`, whose publishes must be made in threads without an event loop."""
        if not is_received(self.channel, (*args, *kwargs.values())):
            self.publish_from_thread(*args, **kwargs)

    def encoded(self, *args: P.args, **kwargs: P.kwargs) -> Encoded:
        """Return an event that is not sent yet, for a table or a file; needs no connection."""
        headers = {SCHEMA_HEADER: self._schema.fingerprint, ORIGIN_HEADER: self._sender.link.origin}
        carry(headers)
        return Encoded(self._key or new_message_id(), self._schema.encode(*args, **kwargs), headers)

    async def publish_encoded(self, event: Encoded) -> Receipt:
        """Store *event*; everything else is as for `publish`."""
        return await self._sender.publish(event.data, event.message_id, event.headers)

    async def start(self) -> None:
        """
        Check the stream, and accept events.

        Raises:
            LinkClosed: The link has not started.
            StreamFault: The stream is missing, cannot be created, or does not fit. Without a connection it
                is logged as soon as there is one.
            Denied: The server does not let this user subscribe to "_INBOX.>", where acknowledgements arrive.
        """
        await self._sender.open()

    async def stop(self) -> None:
        """Refuse further events, and wait until those in flight have ended; does nothing before `start`."""
        await self._sender.close()


def event(
    link: Link,
    channel: Channel[P, None] | AsyncChannel[P, None],
    *,
    stream: str | Stream,
    deadline: float = 5.0,
    window: int = 1024,
) -> EventPort[P]:
    """
    Return a port that stores the events of *channel* in a stream, at least once.

    A `Consumer` in this or another process calls the listeners of the channel with them. The publish itself calls
    no listener.

    Args:
        link: The connection.
        channel: The channel; its subject is ``<stream>.<name of the channel>``.
        stream: The stream, which is created if it is missing, or the name of one that must exist.
        deadline: How long an event may take, in seconds. The stream must remember ids for twice as long. A cluster
            elects a new leader of a stream with replicas in up to 8 seconds, so 10 or more suit such a stream.
        window: How many events may be in flight, from all threads.

    Raises:
        SchemaFault: The arguments of the channel cannot be sent, or its result is not None.
        PortFault: *deadline* or *window* is no such number.
        StreamFault: *stream* is no name of a stream.
    """
    schema = event_schema_of(channel, link.codec)
    if not is_seconds(deadline):
        raise PortFault(schema.name, "deadline", deadline, "give a number of seconds above 0")
    if not is_count(window):
        raise PortFault(schema.name, "window", window, "give a whole number from 1 up")
    named(stream)
    return EventPort(Sender(link, schema.name, schema.fingerprint, stream, deadline, window), schema)
