"""The headers of questions and answers. Their values are printable ASCII: the client changes others without an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: What an answer is; see `_answers`.
REPLY_HEADER: Final = "Tb-Reply"
#: Present in a question that wants the results of all listeners.
ALL_HEADER: Final = "Tb-All"

_FIRST_LINE: Final = len("NATS/1.0\r\n\r\n")


def size_of(headers: Mapping[str, str]) -> int:
    """Return how many bytes *headers* add to a message, which count for the limit of the server."""
    return _FIRST_LINE + sum(map(len, headers)) + sum(map(len, headers.values())) + len(": \r\n") * len(headers)
