"""The headers of messages. Their values are printable ASCII: the client changes others without an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The id of an event; the stream drops a second event with the same id.
ID_HEADER: Final = "Nats-Msg-Id"
#: The fingerprint of the schema with which the message was encoded.
SCHEMA_HEADER: Final = "Tb-Schema"
#: The process that has sent the message.
ORIGIN_HEADER: Final = "Tb-Origin"

#: The id of an event that is stored again after it was a dead letter; the stream would drop a second one with its own.
FIRST_ID_HEADER: Final = "Tb-Message-Id"
#: The only group that handles the event.
GROUP_HEADER: Final = "Tb-Group"

#: Present in a question that wants the results of all listeners.
ALL_HEADER: Final = "Tb-All"
#: The kind of an answer; see `_answers`.
REPLY_HEADER: Final = "Tb-Reply"

#: The beginning of the names of headers that only a dead letter has.
DEAD_PREFIX: Final = "Tb-Dead-"
DEAD_CHANNEL_HEADER: Final = "Tb-Dead-Channel"
DEAD_GROUP_HEADER: Final = "Tb-Dead-Group"
DEAD_KIND_HEADER: Final = "Tb-Dead-Kind"
DEAD_REASON_HEADER: Final = "Tb-Dead-Reason"
DEAD_ID_HEADER: Final = "Tb-Dead-Message-Id"
DEAD_SEQUENCE_HEADER: Final = "Tb-Dead-Sequence"
DEAD_ATTEMPTS_HEADER: Final = "Tb-Dead-Attempts"
DEAD_PUBLISHED_HEADER: Final = "Tb-Dead-Published"
DEAD_AT_HEADER: Final = "Tb-Dead-At"
#: Present if the body was left out.
DEAD_BODY_HEADER: Final = "Tb-Dead-Body"

_FIRST_LINE: Final = len("NATS/1.0\r\n\r\n")
_NO_RESPONDERS: Final = "503"


def size_of(headers: Mapping[str, str]) -> int:
    """Return how many bytes *headers* add to a message, which count for the limit of the server."""
    return _FIRST_LINE + sum(map(len, headers)) + sum(map(len, headers.values())) + len(": \r\n") * len(headers)


def origin_in(headers: Mapping[str, str]) -> str:
    """Return the process that has sent a message with these headers."""
    return headers.get(ORIGIN_HEADER, "an unknown process")


def has_no_receiver(headers: Mapping[str, str] | None) -> bool:
    """Return whether the server itself has answered, since there is no subscription and no stream for the subject."""
    return headers is not None and headers.get("Status") == _NO_RESPONDERS
