"""The declaration of a stream, and the check of the stream of a server."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import attrs
from nats.errors import Error, NoRespondersError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from typedbus._base.failures import error_text
from typedbus._base.numbers import is_seconds
from typedbus.nats._arguments import is_count, is_word
from typedbus.nats._connection import Connection
from typedbus.nats._errors import StreamFault

#: Seconds between two calls that may succeed when the servers have elected a leader.
_PAUSE: Final = 0.2
#: Another process has created it meanwhile, and too few servers of the cluster run.
_NAME_IN_USE, _NO_PEERS = 10058, 10005
#: The codes of a server, and of an account, without JetStream.
_NO_JETSTREAM: Final = (10076, 10039)
_ENABLE: Final = "JetStream is not enabled: write 'jetstream {}' in the configuration of the server, or of the account"
#: Errors from this code on are not caused by the request, but for example by an election.
_SERVER_ERROR: Final = 500
#: The characters that have a meaning in a subject, or in the name of a file.
_FORBIDDEN: Final = frozenset('.*>/\\"')


def _stream_name(_stream: object, _field: object, value: str) -> None:
    if not is_word(value) or not _FORBIDDEN.isdisjoint(value):
        raise StreamFault(
            value, "is no name of a stream: use printable ASCII without spaces, '.', '*', '>', '/', '\\' and '\"'"
        )


def _amount(stream: Stream, field: attrs.Attribute[Any], value: object) -> None:
    if value is None and field.default is None:
        return
    if not (is_seconds(value) if "float" in str(field.type) else is_count(value)):
        raise StreamFault(stream.name, f"{field.name}={value!r} is not a number above 0")


def _storage(stream: Stream, _field: object, value: object) -> None:
    if value not in ("file", "memory"):
        raise StreamFault(stream.name, f"storage={value!r} is neither 'file' nor 'memory'")


@attrs.frozen
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

    name: str = attrs.field(validator=_stream_name)
    replicas: int = attrs.field(kw_only=True, default=1, validator=_amount)
    max_age: float | None = attrs.field(kw_only=True, default=None, validator=_amount)
    max_bytes: int | None = attrs.field(kw_only=True, default=None, validator=_amount)
    max_messages: int | None = attrs.field(kw_only=True, default=None, validator=_amount)
    duplicate_window: float = attrs.field(kw_only=True, default=120.0, validator=_amount)
    storage: Literal["file", "memory"] = attrs.field(kw_only=True, default="file", validator=_storage)

    def subject_of(self, channel: str) -> str:
        """Return the subject of the events of *channel*."""
        return f"{self.name}.{channel}"

    def config(self) -> StreamConfig:
        """Return the stream for nats-py."""
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
    """
    Return *stream*, or the `Stream` of this name.

    Raises:
        StreamFault: It is neither a stream nor its name.
    """
    return stream if isinstance(stream, Stream) else Stream(stream)


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
            info = await _found_or_created(connection, stream, name, left)
        except NoRespondersError:
            problem = _ENABLE
        except APIError as error:
            problem = _ENABLE if error.err_code in _NO_JETSTREAM else f"the server answers: {error.description}"
        except (Error, TimeoutError) as error:
            problem = _problem(connection, error)
        else:
            return _checked(name, info, subject, horizon)
        await asyncio.sleep(min(_PAUSE, left))
    raise StreamFault(name, f"{problem} (after {within:g} s)", is_temporary=True)


async def _found_or_created(connection: Connection, stream: Stream | str, name: str, within: float) -> StreamInfo:
    try:
        return await connection.bounded(connection.streams.stream_info(name), within)
    except NotFoundError:
        if isinstance(stream, str):
            raise StreamFault(name, "the server has no such stream: create it, or pass Stream(...)") from None
    try:
        return await connection.bounded(connection.streams.add_stream(stream.config()), within)
    except APIError as error:
        if error.err_code in (_NAME_IN_USE, _NO_PEERS) or (error.code or _SERVER_ERROR) >= _SERVER_ERROR:
            raise
        raise StreamFault(name, f"it cannot be created: {error.description}") from error


def _problem(connection: Connection, error: Exception) -> str:
    if not connection.is_connected:
        return f"there is no connection: {connection.last_error}"
    if isinstance(error, TimeoutError) and connection.last_denied.lower().startswith("$js.api."):
        return f"the server denies this user to publish on {connection.last_denied!r}: grant it '$JS.API.>'"
    return error_text(error)


def _checked(name: str, info: StreamInfo, subject: str, horizon: float) -> StreamInfo:
    subjects = info.config.subjects or []
    if not any(covers(pattern, subject) for pattern in subjects):
        raise StreamFault(
            name, f"it stores {', '.join(subjects) or 'no subject'}, and not {subject!r}: add the subject to the stream"
        )
    window = info.config.duplicate_window or 0.0
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
