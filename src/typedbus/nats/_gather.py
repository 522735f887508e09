"""Questions to the listeners in all processes."""

from __future__ import annotations

from typing import Generic, Self, TypeAlias

import attrs
import msgspec
from typing_extensions import ParamSpec, TypeVar

from typedbus._base.record import Record
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import Channel
from typedbus.nats._answers import failure_of, is_absent, items, origin_of
from typedbus.nats._arguments import is_count
from typedbus.nats._ask import Answer
from typedbus.nats._calls import Calls
from typedbus.nats._errors import (
    Busy,
    DecodeFailed,
    Denied,
    Disconnected,
    NoListener,
    PortFault,
    RemoteError,
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
class Gathered(Record, Generic[R_co]):
    """
    The answers of several processes.

    Attributes:
        replies: The result of each listener, in the order in which the processes answered, and in each of them in the
            running order of its listeners.
        failures: The failures, in the same order: an exception of a listener, a process with too many questions, or a
            process that declares the channel differently.
        complete: Whether as many processes have answered as the port expects, failures included. Without such a number
            it is False, since the port cannot know whether a process is missing.
    """

    replies: tuple[Answer[R_co], ...]
    failures: tuple[RemoteError | Busy | Unreadable, ...]
    complete: bool

    @property
    def value(self) -> Self:
        """The object itself; a failure in its place raises itself."""
        return self


Gathering: TypeAlias = Gathered[R] | NoListener | Disconnected | Denied
"""The outcomes of a question to all processes; `match` can be checked for exhaustiveness."""


def gather(
    link: Link,
    channel: Channel[P, R] | AsyncChannel[P, R],
    *,
    timeout: float,
    expect: int | None = None,
    stall: float | None = None,
) -> GatherPort[P, R]:
    """
    Return a port that asks the listeners of *channel* in all processes.

    Raises:
        SchemaFault: The arguments or the result of the channel cannot be sent.
        PortFault: *timeout*, *expect* or *stall* is no number above 0.
    """
    return GatherPort(link, channel, timeout, expect, stall)


@attrs.define(eq=False, repr=False)
class GatherPort(Generic[P, R]):
    """
    Asks the listeners of a channel in all processes; `gather` makes it, and a container starts it after its link.

    All processes with a `Responder` without a group answer, and one of each group. A call ends when *expect* processes
    have answered, when no answer has come for *stall* seconds since the last one, and after *timeout* seconds at the
    latest; answers that come later are dropped. It ends at once if no process has a responder, or the connection is
    lost; answers that have come before are dropped then.

    Args:
        link: The connection.
        channel: The channel of the listeners.
        timeout: How many seconds a call takes at the most.
        expect: How many processes answer; None if that is unknown.
        stall: How many seconds a call waits for another answer after each one; None for no such limit.
    """

    _link: Link
    _channel: Channel[P, R] | AsyncChannel[P, R]
    timeout: float
    expect: int | None
    stall: float | None
    _schema: MessageSchema[P, R] = attrs.field(init=False)
    _calls: Calls[Gathering[R]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._schema = schema_of(self._channel, self._link.codec)
        expect = self.expect
        if expect is not None and not is_count(expect):
            raise PortFault(self.channel, "expect", expect, "give the number of processes that answer, or None")
        self._calls = Calls(
            self._link, self.channel, self._schema.fingerprint, self.timeout, self.stall, wants_all=True
        )

    def __repr__(self) -> str:
        return f"<GatherPort {self.channel!r}>"

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

    async def gather(self, /, *args: P.args, **kwargs: P.kwargs) -> Gathering[R]:
        """
        Ask, on the event loop of the link. A cancellation ends the wait; the listeners are not cancelled.

        Raises:
            EncodeFailed: A receiver could not restore an argument.
            LinkClosed: The port has not started, or has stopped.
            LoopError: The caller runs on another event loop.
            TooLarge: The server does not allow a message of this size.
        """
        collector = _Collector(self.channel, self._schema, self.expect)
        return await self._calls.awaited("gather", collector, self._schema.encode(*args, **kwargs))

    def gather_from_thread(self, /, *args: P.args, **kwargs: P.kwargs) -> Gathering[R]:
        """
        Ask, and wait in this thread for the answers.

        Raises:
            EncodeFailed: A receiver could not restore an argument.
            LinkClosed: The port has not started, or has stopped.
            LoopError: An event loop runs in this thread.
            TooLarge: The server does not allow a message of this size.
        """
        collector = _Collector(self.channel, self._schema, self.expect)
        return self._calls.blocked("gather", collector, self._schema.encode(*args, **kwargs))


@attrs.define(eq=False)
class _Collector(Generic[R]):
    """The answers to one question."""

    channel: str
    schema: MessageSchema[..., R]
    expect: int | None
    replies: list[Answer[R]] = attrs.field(init=False, factory=list)
    failures: list[RemoteError | Busy | Unreadable] = attrs.field(init=False, factory=list)
    answered: int = attrs.field(init=False, default=0)

    def received(self, message: Message) -> Gathering[R] | None:
        if is_absent(message):
            return NoListener(self.channel)
        self.answered += 1
        kind = (message.headers or {}).get(REPLY_HEADER, "ok")
        if kind == "all":
            self._add(message)
        else:
            failure = failure_of(self.channel, kind, message)
            if not isinstance(failure, NoListener):
                self.failures.append(failure)
        return self.expired() if self.answered == self.expect else None

    def expired(self) -> Gathering[R]:
        if self.answered and not (self.replies or self.failures):
            return NoListener(self.channel)
        complete = self.expect is not None and self.answered >= self.expect
        return Gathered(tuple(self.replies), tuple(self.failures), complete)

    def _add(self, message: Message) -> None:
        origin = origin_of(message)
        try:
            for item in items(message.data):
                if item.result is msgspec.UNSET:
                    self.failures.append(RemoteError(self.channel, item.kind, item.message, origin))
                else:
                    self.replies.append(Answer(self.schema.decode_result(bytes(item.result)), origin))
        except DecodeFailed as error:
            self.failures.append(Unreadable(self.channel, "answer", error.problem, origin))
        except Exception as error:  # of msgspec, and RecursionError
            self.failures.append(Unreadable(self.channel, "answer", str(error), origin))
