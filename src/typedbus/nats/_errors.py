"""The exceptions of links and ports."""

from __future__ import annotations

from typing import NoReturn

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError


class LinkFault(StructuredError, ValueError, OperatorError):
    """
    Raised by a `Link`, or by its start, for an argument that it cannot use, such as a file that is missing.

    Attributes:
        argument: The argument.
        problem: The fault of its value, and the remedy. It has no secrets.
    """

    argument: str
    problem: str

    def __str__(self) -> str:
        return f"{self.argument} of Link(...): {self.problem}"


class NotConnected(StructuredError, ConnectionError, OperatorError):
    """
    Raised by the start of a `Link` that could not connect in time.

    Attributes:
        servers: The addresses that were tried, without user names, passwords and tokens.
        seconds: How long the link tried.
        reason: The last error.
    """

    servers: tuple[str, ...]
    seconds: float
    reason: str

    def __str__(self) -> str:
        return (
            f"no connection to {', '.join(self.servers)} within {self.seconds:g} s: {self.reason}; "
            "start the server, correct the address or the credentials, or pass require_at_start=False to connect later"
        )


class ServerTooOld(StructuredError, ConnectionError, OperatorError):
    """
    Raised by the start of a `Link` to a server older than 2.10.23, which may lose a stream when its process is killed.

    Attributes:
        server: The address of the server.
        version: Its version.
    """

    server: str
    version: str

    def __str__(self) -> str:
        return f"the server {self.server} has version {self.version}; typedbus.nats needs nats-server 2.10.23 or later"


class StreamFault(StructuredError, ValueError, OperatorError):
    """
    Raised for a stream that a port or a consumer cannot use, where it is declared or at their start.

    Attributes:
        stream: The name of the stream.
        problem: The fault, and the remedy.
        is_temporary: Whether the server did not answer, or could not answer for the moment, such as during an election.
    """

    stream: str
    problem: str
    is_temporary: bool = False

    def __str__(self) -> str:
        return f"stream {self.stream!r}: {self.problem}"


class SchemaFault(StructuredError, TypeError):
    """
    Raised where a port or a consumer is created for a channel whose arguments or result cannot be sent.

    Attributes:
        channel: The name of the channel.
        path: The parameter, and the fields below it, such as ``order.lines[].price``.
        problem: Why a value there cannot be sent, and the remedy.
    """

    channel: str
    path: str
    problem: str

    def __str__(self) -> str:
        place = f", at {self.path}" if self.path else ""
        return f"channel {self.channel!r} cannot be sent to other processes{place}: {self.problem}"


class EncodeFailed(StructuredError, ValueError):
    """
    Raised for arguments or a result that a receiver could not restore. Nothing was sent.

    Attributes:
        channel: The name of the channel.
        path: The parameter, and the fields below it, such as ``order.lines[1].price``.
        problem: The value, and the remedy.
    """

    channel: str
    path: str
    problem: str

    def __str__(self) -> str:
        place = f", at {self.path}" if self.path else ""
        return f"nothing was sent on {self.channel!r}{place}: {self.problem}"


class PortFault(StructuredError, ValueError):
    """
    Raised for an argument with which a port or a `Responder` cannot be made.

    Attributes:
        channel: The channel of the port or the responder.
        argument: The name of the argument.
        given: Its value.
        remedy: The values that can be used.
    """

    channel: str
    argument: str
    given: object
    remedy: str

    def __str__(self) -> str:
        return f"channel {self.channel!r}: {self.argument}={self.given!r} cannot be used: {self.remedy}"


class OtherBus(StructuredError, ValueError):
    """
    Raised where a `Consumer`, a `Receiver` or a `Responder` is created with a link of one bus and a channel of another.

    Attributes:
        channel: The name of the channel.
        channel_bus: Its bus, with the name of the container.
        link: The process name of the link, `Link.origin`.
        link_bus: The bus of the link, with the name of the container.
    """

    channel: str
    channel_bus: str
    link: str
    link_bus: str

    def __str__(self) -> str:
        return (
            f"the channel {self.channel!r} belongs to {self.channel_bus}, and the link {self.link} to {self.link_bus}; pass "
            "a link and a channel of one bus, such as link.provided and bus.provided[channel] in one container"
        )


class DecodeFailed(StructuredError, ValueError):
    """
    Raised for a message that is not one of its channel: damaged, or of a sender with another declaration.

    Attributes:
        channel: The name of the channel.
        problem: The fault, with the path of the value, such as ``$.order.lines[1].quantity``.
    """

    channel: str
    problem: str

    def __str__(self) -> str:
        return f"a message on {self.channel!r} cannot be decoded: {self.problem}"


class ConsumerFault(StructuredError, ValueError):
    """
    Raised where a `Consumer` or a `Redelivery` is created with an argument that it cannot use.

    Attributes:
        argument: The name of the argument.
        given: Its value.
        remedy: The values that can be used.
    """

    argument: str
    given: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.argument}={self.given!r} cannot be used: {self.remedy}"


class NoDelivery(StructuredError, LookupError):
    """Raised by `delivery` where no `Consumer` has called the listener."""

    def __str__(self) -> str:
        return (
            "there is no delivery: call delivery() in a listener that a Consumer calls, or in a task of that listener"
        )


class LinkClosed(StructuredError, RuntimeError):
    """
    Raised by a port that has not started or has stopped, or whose `Link` has not. Nothing was sent.

    Attributes:
        name: The channel of the port; for `DeadLetters` the stream.
    """

    name: str

    def __str__(self) -> str:
        return (
            f"nothing was sent on {self.name!r}: its port or link has not started, or has stopped; use it in hooks of "
            "components that depend on it, and while the bus is STARTED"
        )


class LinkForked(LinkClosed):
    """
    Raised by a port in a process that was forked after the start of its `Link`. Nothing was sent.

    Attributes:
        name: The channel of the port; for `DeadLetters` the stream.
        origin: The process with the link.
    """

    origin: str

    def __str__(self) -> str:
        return (
            f"nothing was sent on {self.name!r}: this process was forked after the start of the link of {self.origin}, "
            "and does not have its event loop; start the bus in this process, with a link and ports of its own"
        )


class WindowFull(StructuredError, RuntimeError):
    """
    Raised by an event port that has as many events in flight as its window allows. The event was not sent.

    Attributes:
        channel: The channel of the port.
        window: How many events may be in flight.
    """

    channel: str
    window: int

    def __str__(self) -> str:
        return (
            f"{self.window} events on {self.channel!r} wait for the acknowledgement of the server; nothing was sent: "
            "await publish(...), which waits for its turn, or enlarge the window of the port"
        )


class NotStored(StructuredError, RuntimeError):
    """
    Raised for an event that is not in the stream: the stream refused it, or there was no connection in time.

    Attributes:
        channel: The channel of the port.
        message_id: The id of the event.
        reason: Why it was not stored.
    """

    channel: str
    message_id: str
    reason: str

    def __str__(self) -> str:
        return f"the event {self.message_id} on {self.channel!r} was not stored: {self.reason}"


class OutcomeUnknown(StructuredError, TimeoutError):
    """
    Raised for an event without an acknowledgement within the deadline of its port. It may be in the stream.

    Publish it again with the same id, `EventPort.keyed`: within the window of the stream it is stored once.

    Attributes:
        channel: The channel of the port.
        message_id: The id of the event.
        seconds: How long the port waited.
    """

    channel: str
    message_id: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"the server has not acknowledged the event {self.message_id} on {self.channel!r} within {self.seconds:g} s; it may "
            f"have been stored: publish it again with port.keyed({self.message_id!r})"
        )


class _Failure(StructuredError):
    """
    A failure that `ask` and `gather` return in place of an answer.

    Attributes:
        channel: The channel of the port.
    """

    channel: str

    def __str__(self) -> str:
        return f"no answer on {self.channel!r}"

    @property
    def value(self) -> NoReturn:
        """Raise this failure."""
        raise self


class Denied(_Failure, PermissionError):
    """
    The server does not let this user publish on the subject of a port, or subscribe to the subject of a responder.

    A port delivers nothing on a subject that is denied. Ports, consumers and `DeadLetters` also need to subscribe to
    "_INBOX.>", where answers and acknowledgements arrive. Their start raises this error without that permission. If it is
    withdrawn later, calls that wait end with this error, and their messages may have been delivered.

    Attributes:
        channel: The channel of the port or the responder; for `DeadLetters` the stream.
        subject: The subject.
        action: "publish on" or "subscribe to".
    """

    channel: str
    subject: str
    action: str = "publish on"

    def __str__(self) -> str:
        return (
            f"channel {self.channel!r}: the server denies this user to {self.action} the subject {self.subject!r}; "
            "allow it in the permissions of the user"
        )


class Disconnected(_Failure, ConnectionError):
    """
    The link has no connection, or lost it before an answer came; in that case a listener may have been called.

    Attributes:
        channel: The channel of the port.
        was_sent: Whether the message had been handed to the connection.
        reason: The last error of the connection.
    """

    channel: str
    was_sent: bool
    reason: str

    def __str__(self) -> str:
        sent = (
            "the connection was lost before an answer came"
            if self.was_sent
            else "nothing was sent, there is no connection"
        )
        return f"{self.channel!r}: {sent}: {self.reason}"


class NoListener(_Failure, LookupError):
    """
    No process has a listener for the channel. Nothing was delivered.

    Attributes:
        channel: The channel of the port.
    """

    channel: str

    def __str__(self) -> str:
        return f"no process listens to {self.channel!r}: start one with a Responder for the channel"


class RemoteTimeout(_Failure, TimeoutError):
    """
    No answer came in time. A listener may have been called.

    Attributes:
        channel: The channel of the port.
        seconds: How long the port waited.
    """

    channel: str
    seconds: float

    def __str__(self) -> str:
        return f"no answer on {self.channel!r} within {self.seconds:g} s; the listener may have been called"


class RemoteError(_Failure, RuntimeError):
    """
    A listener in another process raised an exception. It arrives as data, not as the exception itself.

    Attributes:
        channel: The channel of the port.
        kind: The name of the class of the exception.
        message: Its text.
        origin: The process that answered.
    """

    channel: str
    kind: str
    message: str
    origin: str

    def __str__(self) -> str:
        return f"the listener of {self.channel!r} in {self.origin} raised {self.kind}: {self.message}"


class Busy(_Failure, RuntimeError):
    """
    The process that received the question has too many questions waiting. No listener was called.

    Attributes:
        channel: The channel of the port.
        origin: The process that refused.
    """

    channel: str
    origin: str

    def __str__(self) -> str:
        return (
            f"{self.origin} has too many questions on {self.channel!r} waiting, and called no listener; ask again later"
        )


class Unreadable(_Failure, ValueError):
    """
    A message of an `ask` or a `gather` cannot be decoded, since the two processes declare the channel differently.

    Attributes:
        channel: The channel of the port.
        part: "question", in which case no listener was called, or "answer".
        problem: The fault, with the path of the value.
        origin: The other process: it could not read the question, or has sent the answer.
    """

    channel: str
    part: str
    problem: str
    origin: str

    def __str__(self) -> str:
        place = f"the question could not be decoded by {self.origin}, which called no listener"
        if self.part != "question":
            place = f"the answer of {self.origin} cannot be decoded"
        return f"channel {self.channel!r}: {place}: {self.problem}; declare the channel in both processes alike"


class TooLarge(StructuredError, ValueError):
    """
    Raised for a message that is larger than the server allows. Nothing was sent.

    Attributes:
        channel: The channel of the port.
        size: How many bytes it has, with its headers.
        limit: How many bytes the server allows.
    """

    channel: str
    size: int
    limit: int

    def __str__(self) -> str:
        return (
            f"a message on {self.channel!r} has {self.size} bytes, and the server allows {self.limit}: pass a reference "
            "to the data in place of the data, or raise max_payload of the server"
        )
