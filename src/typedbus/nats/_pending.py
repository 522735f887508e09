"""An event on its way to a stream, and the answers of the server to it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Final, NamedTuple, TypeAlias

import attrs
import msgspec

from typedbus.nats._headers import size_of

#: Errors with the code of a failing server that a retry does not mend: no memory or disk is left.
_NO_ROOM: Final = (10028, 10047)
#: The error of all failures to store; its text shows whether a limit of the stream is the cause.
_STORE_FAILED: Final = 10077
_SERVER_ERROR: Final = 500
_TOO_MANY_REQUESTS: Final = 429


@attrs.frozen
class Receipt:
    """
    The proof that a stream has an event.

    Attributes:
        stream: The name of the stream.
        sequence: The position of the event in the stream.
        message_id: The id of the event.
        is_duplicate: Whether the stream had an event with this id before, and dropped this one. The port itself may
            have stored that one, if it sent the event again because the first acknowledgement was lost.
    """

    stream: str
    sequence: int
    message_id: str
    is_duplicate: bool


class Encoded(NamedTuple):
    """An event that is not sent yet: its id, its body, and its headers besides the id."""

    message_id: str
    data: bytes
    headers: dict[str, str]


AnyFuture: TypeAlias = asyncio.Future[Receipt] | concurrent.futures.Future[Receipt]


@attrs.define(eq=False)
class Pending:
    """
    An event that has a slot of the window of its port.

    Attributes:
        deadline: When it ends, on the clock of the event loop.
        reply: The subject of the answers to it.
        due: When it is sent again.
        attempts: How many times it was sent.
        unanswered: How many of these were not answered, and may have reached the stream.
        has_no_stream: Whether no stream took it the last time.
        reason: Why it was not stored so far.
    """

    message_id: str
    data: bytes
    headers: dict[str, str]
    deadline: float
    future: AnyFuture
    reply: str = ""
    due: float = 0.0
    attempts: int = 0
    unanswered: int = 0
    has_no_stream: bool = False
    reason: str = "there was no connection"

    @property
    def size(self) -> int:
        """The bytes of the message: the body, and the headers as the protocol writes them."""
        return len(self.data) + size_of(self.headers)


class Refusal(msgspec.Struct):
    """Why the server has not stored an event."""

    code: int = _SERVER_ERROR
    err_code: int = 0
    description: str = ""

    @property
    def is_final(self) -> bool:
        """Whether a retry would be refused as well."""
        if self.err_code == _STORE_FAILED:
            return self.description.startswith("maximum")
        return self.err_code in _NO_ROOM or (self.code < _SERVER_ERROR and self.code != _TOO_MANY_REQUESTS)

    @property
    def text(self) -> str:
        """The reason for messages."""
        return f"{self.description or 'it was refused'} (error {self.err_code} of the server)"


class Answer(msgspec.Struct):
    """The answer of the server to an event: where it is stored, or why it is not."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: Refusal | None = None


decode_answer: Final = msgspec.json.Decoder(Answer).decode
