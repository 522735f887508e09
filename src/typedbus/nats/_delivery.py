"""The event that a consumer has received, and the one that the current listener handles."""

from __future__ import annotations

import contextvars
import datetime as dt
import enum
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from typedbus._base.record import Record
from typedbus.nats._errors import NoDelivery
from typedbus.nats._headers import FIRST_ID_HEADER, ID_HEADER, ORIGIN_HEADER

if TYPE_CHECKING:
    from typedbus.nats._watcher import Message

_NO_HEADERS: Final[Mapping[str, str]] = {}


@attrs.frozen(eq=False, repr=False)
class Delivery(Record):
    """
    The delivery of an event to the listeners of this process.

    Attributes:
        message_id: The id of the event, the same at each delivery. An event that was published without an id has
            ``<stream>/<sequence>``.
        attempt: How often the event was delivered to the group, 1 at first. A delivery to a process that ended before
            it called the listeners counts.
        subject: The subject of the event.
        sequence: Its position in the stream.
        origin: The process that published it; "" if it was published without typedbus.
        published_at: When the stream stored it, in UTC.
    """

    message_id: str
    attempt: int
    subject: str
    sequence: int
    origin: str
    published_at: dt.datetime


class State(enum.Enum):
    """How far the listeners are with an event, and how they ended."""

    BUFFERED = enum.auto()
    RUNNING = enum.auto()
    HANDLED = enum.auto()
    FAILED = enum.auto()
    UNREADABLE = enum.auto()
    #: There is no listener, or the stop has cancelled it.
    NOT_HANDLED = enum.auto()


@attrs.define(eq=False)
class Received:
    """
    An event that a consumer holds, from its arrival to its acknowledgement.

    Attributes:
        channel: The name of its channel.
        message: The message; a later delivery of the same event replaces it.
        stream: The name of the stream.
        sequence: Its position in the stream.
        attempt: How often it was delivered.
        published: When the stream stored it, in nanoseconds since 1970.
        state: How far the listeners are.
        error: Why they failed.
        arguments: The objects with which they were called.
        began: When they were called, in seconds of the event loop.
        beat: When the next heartbeat is due, in seconds of the event loop.
        hangs: Whether the listeners run so long that the event is delivered to another process.
        stack: Returns the stack of the call.
    """

    channel: str
    message: Message
    stream: str
    sequence: int
    attempt: int
    published: int
    state: State = State.BUFFERED
    error: BaseException | None = None
    arguments: tuple[object, ...] | None = None
    began: float = 0.0
    beat: float = 0.0
    hangs: bool = False
    stack: Callable[[], str] = str

    @property
    def is_handled(self) -> bool:
        """Whether all listeners have returned."""
        return self.state is State.HANDLED

    def begin(self, stack: Callable[[], str]) -> None:
        """Take note that the listeners are called; *stack* returns the stack of the call."""
        self.began, self.stack, self.state = time.monotonic(), stack, State.RUNNING

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the message."""
        return self.message.headers or _NO_HEADERS

    @property
    def message_id(self) -> str:
        """The id of the event."""
        headers = self.headers
        return headers.get(FIRST_ID_HEADER) or headers.get(ID_HEADER) or f"{self.stream}/{self.sequence}"

    @property
    def delivery(self) -> Delivery:
        """The delivery for the listeners."""
        return Delivery(
            self.message_id,
            self.attempt,
            self.message.subject,
            self.sequence,
            self.headers.get(ORIGIN_HEADER, ""),
            # Not divided as a float, which has too few digits for microseconds.
            _EPOCH + dt.timedelta(microseconds=self.published // 1000),
        )


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

#: The event whose listeners run in this context.
CURRENT: Final[contextvars.ContextVar[Received | None]] = contextvars.ContextVar("typedbus_delivery", default=None)


def received(channel: str, message: Message) -> Received | None:
    """Return the event in *message*, or None if a stream has not sent it."""
    # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<number>.<time>.<pending>
    # $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sequence>.<number>.<time>.<pending>[.<random>]
    tokens = message.reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or not (len(tokens) == 9 or len(tokens) >= 11):  # noqa: PLR2004  # as above
        return None
    first = 2 if len(tokens) == 9 else 4  # noqa: PLR2004
    stream, _, attempt, sequence, _, published, *_ = tokens[first:]
    return Received(channel, message, stream, int(sequence), int(attempt), int(published))


def delivery() -> Delivery:
    """
    Return the delivery that the current listener of a `Consumer` handles.

    It may be called in the thread or the task of the listener, in the tasks that it creates, and in
    `asyncio.to_thread`.

    Raises:
        NoDelivery: No `Consumer` has called the listener.
    """
    current = CURRENT.get()
    if current is None:
        raise NoDelivery
    return current.delivery


def is_received(channel: str, arguments: Iterable[object]) -> bool:
    """
    Return whether a consumer of *channel* has called the listeners with these *arguments*, in this context.

    For ports that forward a local channel: another event that a listener publishes on the same channel has other
    arguments, and is not a received one.
    """
    current = CURRENT.get()
    if current is None or current.channel != channel or current.arguments is None:
        return False
    return {*map(id, current.arguments)} <= {*map(id, arguments)}
