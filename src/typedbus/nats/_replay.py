"""Reading dead letters, and delivering them to their group again."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

import attrs
from nats.errors import Error
from nats.js.errors import APIError, NotFoundError

from typedbus._base.failures import error_text
from typedbus._base.record import Record
from typedbus.nats import _headers as names
from typedbus.nats._arguments import is_word
from typedbus.nats._connection import Connection
from typedbus.nats._dead_letters import store
from typedbus.nats._errors import NotStored, StreamFault
from typedbus.nats._link import Link
from typedbus.nats._streams import Stream, named

#: The errors of a message that is not there.
_NO_MESSAGE: Final = 10037
#: Seconds in which the server must answer.
_WITHIN: Final = 5.0


@attrs.frozen(eq=False, repr=False)
class DeadLetter(Record):
    """
    An event that a group could not handle.

    Attributes:
        sequence: The position of the dead letter in the stream.
        group: The group.
        channel: The channel.
        message_id: The id of the event.
        kind: The classes of the failures.
        reason: Their texts.
        attempts: How often the event was delivered.
        event_sequence: The position of the event in the stream.
        stored_at: When the dead letter was stored, in UTC.
        data: The body of the event; empty if it was left out.
        headers: The headers of the dead letter.
    """

    sequence: int
    group: str
    channel: str
    message_id: str
    kind: str
    reason: str
    attempts: int
    event_sequence: int
    stored_at: dt.datetime | None
    data: bytes
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.define(eq=False)
class DeadLetters:
    """
    The dead letters of a stream. All methods are called on the event loop of the link.

    Args:
        link: The connection, which must have started.
        stream: The stream, or its name.

    Raises:
        StreamFault: *stream* is no name of a stream.
    """

    link: Link
    stream: Stream | str

    def __attrs_post_init__(self) -> None:
        named(self.stream)

    async def read(self, group: str = "*", *, after: int = 0, most: int = 100) -> list[DeadLetter]:
        """
        Return the oldest dead letters.

        Args:
            group: The group; "*" for all groups.
            after: Only those behind this position of the stream, as the `DeadLetter.sequence` of the last one.
            most: How many are returned at most.

        Raises:
            LinkClosed: The link has not started.
            Denied: The server does not let this user receive its answers.
            StreamFault: The server has no such stream, or does not answer.
        """
        stream = named(self.stream).name
        connection = self._connection()
        letters: list[DeadLetter] = []
        while len(letters) < most:
            try:
                message = await connection.bounded(
                    connection.streams.get_msg(stream, after + 1, subject=f"{stream}.$dead.{group}.>", next=True),
                    _WITHIN,
                )
            except NotFoundError as error:
                if error.err_code == _NO_MESSAGE:
                    break
                raise StreamFault(stream, f"its dead letters cannot be read: {_text(error)}") from error
            except (Error, TimeoutError) as error:
                raise StreamFault(stream, f"its dead letters cannot be read: {_text(error)}") from error
            after = message.seq or after + 1
            headers = message.headers or {}
            letters.append(
                DeadLetter(
                    after,
                    headers.get(names.DEAD_GROUP_HEADER, ""),
                    headers.get(names.DEAD_CHANNEL_HEADER, ""),
                    headers.get(names.DEAD_ID_HEADER, ""),
                    headers.get(names.DEAD_KIND_HEADER, ""),
                    headers.get(names.DEAD_REASON_HEADER, ""),
                    _count(headers, names.DEAD_ATTEMPTS_HEADER),
                    _count(headers, names.DEAD_SEQUENCE_HEADER),
                    message.time,
                    message.data or b"",
                    headers,
                )
            )
        return letters

    async def replay(self, letter: DeadLetter) -> None:
        """
        Deliver the event of *letter* to its group again, with the same id, and remove the dead letter.

        The consumers of other groups pass over it. If this raises, the dead letter is still there.

        Raises:
            LinkClosed: The link has not started.
            Denied: The server does not let this user receive its answers.
            NotStored: The stream has refused the event, or has not answered; or no consumer has stored the letter.
        """
        stream = named(self.stream).name
        connection = self._connection()
        if not (is_word(letter.channel) and is_word(letter.group)):
            # The channel becomes a part of a subject; any program may store a message on the subject of dead letters.
            reason = "its headers name no channel and no group: no consumer has stored it; remove it"
            raise NotStored(letter.channel, letter.message_id, reason)
        data = letter.data
        if names.DEAD_BODY_HEADER in letter.headers:
            try:
                event = await connection.bounded(connection.streams.get_msg(stream, letter.event_sequence), _WITHIN)
            except (Error, TimeoutError) as error:
                raise NotStored(letter.channel, letter.message_id, f"its body is gone: {_text(error)}") from error
            data = event.data or b""
        kept = {
            name: value for name, value in letter.headers.items() if not name.startswith(("Nats-", names.DEAD_PREFIX))
        }
        headers = kept | {
            names.ID_HEADER: f"again/{stream}/{letter.sequence}",
            names.FIRST_ID_HEADER: letter.message_id,
            names.GROUP_HEADER: letter.group,
        }
        subject = named(self.stream).subject_of(letter.channel)
        problem = await store(self.link.session(letter.channel), subject, data, headers, _WITHIN)
        if problem:
            raise NotStored(letter.channel, letter.message_id, problem)
        await self.remove(letter)

    async def remove(self, letter: DeadLetter) -> None:
        """
        Remove *letter* from the stream; nothing happens if it has been removed.

        Raises:
            LinkClosed: The link has not started.
            Denied: The server does not let this user receive its answers.
            StreamFault: The server has no such stream, or does not answer.
        """
        stream = named(self.stream).name
        connection = self._connection()
        try:
            await connection.bounded(connection.streams.delete_msg(stream, letter.sequence), _WITHIN)
        except (Error, TimeoutError) as error:
            # The errors of a removal do not show reliably whether there was a message.
            if not await self._is_gone(letter):
                raise StreamFault(stream, f"a dead letter cannot be removed: {_text(error)}") from error

    async def _is_gone(self, letter: DeadLetter) -> bool:
        connection = self._connection()
        try:
            await connection.bounded(connection.streams.get_msg(named(self.stream).name, letter.sequence), _WITHIN)
        except NotFoundError as error:
            return error.err_code == _NO_MESSAGE
        except (Error, TimeoutError):
            return False
        return False

    def _connection(self) -> Connection:
        name = named(self.stream).name
        session = self.link.session(name)
        session.check_replies(name)
        return session.connection


def _count(headers: Mapping[str, str], name: str) -> int:
    # Any program may store a message on the subject of dead letters.
    text = headers.get(name, "")
    return int(text) if re.fullmatch("[0-9]{1,19}", text) else 0


def _text(error: Exception) -> str:
    return (isinstance(error, APIError) and error.description) or error_text(error)
