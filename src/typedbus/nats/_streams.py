"""The declaration of a stream, and the check of the stream of a server."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import attrs
from nats.errors import Error, NoRespondersError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from typedbus._base.failures import error_text
from typedbus.nats._connection import Connection
from typedbus.nats._errors import StreamFault

#: Seconds between two calls that may succeed when the servers have elected a leader.
_PAUSE: Final = 0.2
_NAME_IN_USE: Final = 10058
#: The first code of the errors that are not the fault of the request, such as that of an election.
_SERVER_ERROR: Final = 500


def _stream_name(_stream: object, _field: object, value: str) -> None:
    if not isinstance(value, str) or not value or not all("!" <= one <= "~" and one not in '.*>/\\"' for one in value):
        raise StreamFault(
            value, "is no name of a stream: use printable ASCII without spaces, '.', '*', '>', '/', '\\' and '\"'"
        )


@attrs.frozen(kw_only=True)
class Stream:
    """
    A stream of JetStream in which events are stored.

    The start of a port or a consumer creates the stream if the server has none of this name, with the subjects
    ``<name>.>``; a stream that exists is used as it is. A stream that is full refuses events with `NotStored`
    and loses none.

    Args:
        name: Its name.
        replicas: On how many servers each event is stored: 1, or 3 or 5 in a cluster.
        max_age: After how many seconds an event is removed, handled or not; None for never.
        max_bytes: How many bytes the stream may have; None for no limit.
        max_messages: How many events the stream may have; None for no limit.
        duplicate_window: For how many seconds the stream remembers the ids of events, and drops a second one.
        storage: "file", or "memory": then a restart of the server loses the events.

    Raises:
        StreamFault: The name or a number cannot be one of a stream.
    """

    name: str = attrs.field(kw_only=False, validator=_stream_name)
    replicas: int = 1
    max_age: float | None = None
    max_bytes: int | None = None
    max_messages: int | None = None
    duplicate_window: float = 120.0
    storage: Literal["file", "memory"] = "file"

    def subject_of(self, channel: str) -> str:
        """Return the subject of the events of *channel*."""
        return f"{self.name}.{channel}"

    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=self.name,
            subjects=[f"{self.name}.>"],
            num_replicas=self.replicas,
            max_age=self.max_age or 0,
            max_bytes=-1 if self.max_bytes is None else self.max_bytes,
            max_msgs=-1 if self.max_messages is None else self.max_messages,
            duplicate_window=self.duplicate_window,
            storage=StorageType(self.storage),
            # The default removes the oldest event for a new one, handled or not.
            discard=DiscardPolicy.NEW,
        )


def named(stream: Stream | str) -> Stream:
    """Return *stream*, or the `Stream` of this name."""
    return Stream(stream) if isinstance(stream, str) else stream


async def ensure(
    connection: Connection, stream: Stream | str, subject: str, *, within: float, horizon: float = 0.0
) -> StreamInfo:
    """
    Check the stream of the server, and create it if it is missing and *stream* is a `Stream`.

    Calls that fail because a cluster elects a leader are repeated.

    Args:
        connection: The connection to the server.
        stream: The declaration, or the name of a stream that must exist.
        subject: A subject that the stream must store.
        within: How many seconds all calls may take.
        horizon: For how many seconds the stream must remember the ids of events.

    Raises:
        StreamFault: The stream is missing, cannot be created, or does not fit.
    """
    name = stream if isinstance(stream, str) else stream.name
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    problem = "the server has not answered"
    while (left := end - loop.time()) > 0:
        try:
            info = await connection.bounded(connection.streams.stream_info(name), left)
        except NotFoundError:
            if isinstance(stream, str):
                raise StreamFault(name, "the server has no such stream: create it, or pass Stream(...)") from None
            try:
                info = await connection.bounded(connection.streams.add_stream(stream._config()), left)  # noqa: SLF001  # this module's class
            except (Error, TimeoutError, ValueError) as error:
                if (
                    isinstance(error, APIError)
                    and error.err_code != _NAME_IN_USE
                    and (error.code or _SERVER_ERROR) < _SERVER_ERROR
                ):
                    raise StreamFault(name, f"it cannot be created: {error.description}") from error
                problem = f"it cannot be created: {error_text(error)}"
                await asyncio.sleep(_PAUSE)
                continue
        except NoRespondersError:
            problem = "the server has no JetStream: enable it in the configuration of the server, 'jetstream {}'"
            await asyncio.sleep(_PAUSE)
            continue
        except (Error, TimeoutError) as error:
            problem = error_text(error)
            await asyncio.sleep(_PAUSE)
            continue
        return _checked(name, info, subject, horizon)
    raise StreamFault(name, f"{problem} (after {within:g} s)")


def _checked(name: str, info: StreamInfo, subject: str, horizon: float) -> StreamInfo:
    subjects = info.config.subjects or []
    if not any(covers(pattern, subject) for pattern in subjects):
        raise StreamFault(
            name, f"it stores {', '.join(subjects) or 'no subject'}, and not {subject!r}: add the subject to the stream"
        )
    window = info.config.duplicate_window
    if window < horizon:
        raise StreamFault(
            name,
            f"it remembers the ids of events for {window:g} s, and a port may send an event again for {horizon:g} s: "
            "enlarge duplicate_window of the stream, or reduce the deadline of the port",
        )
    return info


def covers(pattern: str, subject: str) -> bool:
    """Return whether *pattern*, with the wildcards ``*`` and ``>``, matches *subject*."""
    patterns, tokens = pattern.split("."), subject.split(".")
    for index, part in enumerate(patterns):
        if part == ">":
            return len(tokens) > index
        if index >= len(tokens) or part not in ("*", tokens[index]):
            return False
    return len(patterns) == len(tokens)
