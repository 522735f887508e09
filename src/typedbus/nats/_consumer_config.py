"""The durable consumer of a server that belongs to a group and a channel."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import attrs
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from typedbus._base.failures import error_text
from typedbus.nats._connection import Connection
from typedbus.nats._errors import ConsumerFault, StreamFault
from typedbus.nats._streams import Stream, covers, ensure

_PAUSE: Final = 0.2
#: Errors from this code on are not caused by the request, but for example by an election.
_SERVER_ERROR: Final = 500
#: The error of settings that cannot be changed; its code is in the range of failing servers.
_CANNOT_CHANGE: Final = 10012
_GROUP: Final = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL: Final = re.compile(r"[^A-Za-z0-9_-]")
#: The settings that are compared with the consumer of the server.
_SETTINGS: Final = (
    "deliver_policy",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "deliver_subject",
    "deliver_group",
)
#: The longest name of a consumer that the server takes.
_LONGEST: Final = 255


def durable_name(group: str, channel: str) -> str:
    """
    Return the name of the consumer of *group* for *channel*.

    Other groups and channels have other names: a dot of the channel becomes a comma, another character that the server
    does not take becomes ``=`` and two hexadecimal digits.

    Raises:
        ConsumerFault: *group* cannot be a part of a name and of a subject.
    """
    if not isinstance(group, str) or not _GROUP.fullmatch(group):
        raise ConsumerFault("group", group, "use letters and digits of ASCII, '_' and '-'")
    name = f"{group}@{_LITERAL.sub(_escaped, channel)}"
    if len(name) > _LONGEST:
        raise ConsumerFault("group", group, f"with the channel it is longer than {_LONGEST} characters")
    return name


def _escaped(character: re.Match[str]) -> str:
    return "," if character[0] == "." else f"={ord(character[0]):02X}"


@attrs.frozen
class Position:
    """
    The durable consumer of a group: the server keeps in it which events of the channel the group has handled.

    Args:
        stream: The stream.
        subject: The subject of the events.
        dead_subject: The subject of dead letters, which the stream must store as well.
        name: The name of the consumer.
        group: The group.
        deliver_subject: The subject on which the server delivers to the processes of the group.
        ack_wait: After how many seconds an event that was not acknowledged is delivered again.
        most_pending: How many events may be delivered and not acknowledged.
    """

    stream: Stream | str
    subject: str
    dead_subject: str
    name: str
    group: str
    deliver_subject: str
    ack_wait: float
    most_pending: int

    async def ensure(self, connection: Connection, within: float) -> bool:
        """
        Check the stream, create the consumer or give it these settings, and return whether it was created.

        Calls that fail because a cluster elects a leader are repeated.

        Raises:
            StreamFault: The stream does not fit, the consumer cannot have these settings, or the server has not answered
                in time.
        """
        stream = self.stream if isinstance(self.stream, str) else self.stream.name
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        info = await ensure(connection, self.stream, self.subject, within=within)
        if not any(covers(pattern, self.dead_subject) for pattern in info.config.subjects or ()):
            raise StreamFault(
                stream, f"it does not store {self.dead_subject!r}, the subject of dead letters: add it to the stream"
            )
        config = ConsumerConfig(
            name=self.name,
            durable_name=self.name,
            description=f"typedbus: {self.group} receives {self.subject}",
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait,
            max_deliver=-1,
            max_ack_pending=self.most_pending,
            filter_subject=self.subject,
            deliver_subject=self.deliver_subject,
            deliver_group=self.group,
        )
        problem = "the server has not answered"
        while (left := end - loop.time()) > 0:
            try:
                return await self._apply(connection, stream, config, left)
            except APIError as error:
                problem = error.description or error_text(error)
                if error.err_code == _CANNOT_CHANGE or (error.code or _SERVER_ERROR) < _SERVER_ERROR:
                    raise StreamFault(stream, self._refused(problem)) from error
            except (Error, TimeoutError) as error:
                problem = error_text(error)
            await asyncio.sleep(min(_PAUSE, max(end - loop.time(), 0)))
        raise StreamFault(stream, f"its consumer {self.name!r} could not be checked: {problem} (after {within:g} s)")

    async def _apply(self, connection: Connection, stream: str, config: ConsumerConfig, within: float) -> bool:
        is_missing = False
        try:
            found = await connection.bounded(connection.streams.consumer_info(stream, self.name), within)
            if all(getattr(found.config, name) == getattr(config, name) for name in _SETTINGS):
                return False
        except NotFoundError:
            is_missing = True
        await connection.bounded(connection.streams.add_consumer(stream, config), within)
        return is_missing

    def _refused(self, problem: str) -> str:
        return (
            f"its consumer {self.name!r} cannot have the settings of this group: {problem}; use another group, or remove "
            "the consumer: then the group receives the events of the stream again from the first"
        )
