"""Dead letters: events that a group could not handle, stored in the stream with the reason."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from typedbus._base.failures import ChannelFailures, error_text
from typedbus.nats import _headers as names
from typedbus.nats._delivery import Received
from typedbus.nats._pending import decode_answer
from typedbus.nats._session import Session
from typedbus.nats._watcher import Message

#: The longest text of a failure in a header, in characters.
_LONGEST: Final = 1000
#: The bytes that the longest headers of a dead letter add to an event.
_ADDED: Final = 4096


def dead_subject(stream: str, group: str, channel: str) -> str:
    """Return the subject of the dead letters of *group*. The name of a channel does not begin with ``$``."""
    return f"{stream}.$dead.{group}.{channel}"


def failure_text(error: BaseException) -> str:
    """Return *error* in one line; of several listeners, the failure of each with the name of the listener."""
    if isinstance(error, ChannelFailures):
        return "; ".join(f"{failure.name}: {error_text(failure.error)}" for failure in error.failures)
    return error_text(error)


def kind_of(error: BaseException) -> str:
    """Return the name of the class of *error*; of several listeners, the names for all failures."""
    errors = error.exceptions if isinstance(error, ChannelFailures) else (error,)
    return ", ".join(dict.fromkeys(type(one).__name__ for one in errors))


def dead_headers(event: Received, group: str, kind: str, reason: str) -> dict[str, str]:
    """Return the headers of the dead letter of *event*: its own without the headers of the server, and the failure."""
    kept = {name: value for name, value in event.headers.items() if not name.startswith("Nats-")}
    now = time.time_ns()
    return kept | {
        # The same id at each attempt to store it, so that it is stored once.
        names.ID_HEADER: f"{group}/{event.channel}/{event.stream}/{event.sequence}",
        names.DEAD_CHANNEL_HEADER: event.channel,
        names.DEAD_GROUP_HEADER: group,
        names.DEAD_KIND_HEADER: _ascii(kind),
        names.DEAD_REASON_HEADER: _ascii(reason)[:_LONGEST],
        names.DEAD_ID_HEADER: event.message_id,
        names.DEAD_SEQUENCE_HEADER: str(event.sequence),
        names.DEAD_ATTEMPTS_HEADER: str(event.attempt),
        names.DEAD_PUBLISHED_HEADER: _time(event.published),
        names.DEAD_AT_HEADER: _time(now),
    }


def fitting(data: bytes, headers: dict[str, str], largest: int) -> tuple[bytes, dict[str, str]]:
    """
    Return the body and the headers of a dead letter, in a message of *largest* bytes.

    A body that does not fit is left out; the event itself stays in the stream.
    """
    if len(data) + _ADDED <= largest:
        return data, headers
    return b"", headers | {names.DEAD_BODY_HEADER: f"{len(data)} bytes left out"}


async def store(session: Session, subject: str, data: bytes, headers: dict[str, str], within: float) -> str:
    """Store a message, and return "" when the stream has it, or the reason why it may not have it."""
    answer: asyncio.Future[str] = session.loop.create_future()

    def settle(problem: str) -> None:
        if not answer.done():
            answer.set_result(problem)

    reply = session.replies.expect(lambda message: settle(_problem_in(message)))
    try:
        session.connection.send(subject, data, reply, headers, settle)
        async with asyncio.timeout(within):
            return await answer
    except TimeoutError:
        return f"the server has not acknowledged it within {within:g} s"
    finally:
        session.replies.forget(reply)


def _problem_in(message: Message) -> str:
    try:
        answer = decode_answer(message.data)
    except msgspec.DecodeError:  # without a body: no stream has answered
        return "no stream stores its subject"
    return "" if answer.error is None else answer.error.text


def _ascii(text: str) -> str:
    return "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in text)


def _time(nanoseconds: int) -> str:
    seconds = time.gmtime(nanoseconds // 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{nanoseconds // 1000 % 1_000_000:06}Z"
