"""nats-py's client, with faster functions for the headers of messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

from nats.aio.client import Client

from typedbus.nats._headers import ALL_HEADER, ID_HEADER, ORIGIN_HEADER, REPLY_HEADER, SCHEMA_HEADER

_Send: TypeAlias = Callable[[str, str, bytes, int, dict[str, str] | None], Awaitable[None]]

#: The headers whose names need no check.
_OWN: Final = frozenset({ALL_HEADER, ID_HEADER, ORIGIN_HEADER, REPLY_HEADER, SCHEMA_HEADER})
#: The attributes of nats-py's client that `_sender_of` uses; all but the last are private.
_USED: Final = ("_send_publish", "_send_command", "_flush_queue", "_flush_pending", "stats")


def new_client() -> Client:
    """Return a client that is not connected."""
    client: Any = Client()
    # The functions of nats-py look at each character of each header. A version without them ignores these.
    client._parse_header_lines = headers_of  # noqa: SLF001  # as above
    if all(hasattr(client, name) for name in _USED):
        client._send_publish = _sender_of(client, client._send_publish)  # noqa: SLF001  # as above
    return cast("Client", client)


def headers_of(lines: bytes) -> dict[str, str]:
    """Return the headers in *lines*."""
    headers = {}
    for line in lines.decode("utf-8", "replace").split("\r\n"):
        name, separator, value = line.partition(":")
        if separator:
            headers[name.strip()] = value.strip()
    return headers


def lines_of(headers: dict[str, str]) -> bytes | None:
    """Return *headers* as the protocol writes them, or None if a name or a value of them needs a check."""
    values = "".join(headers.values())
    if " " in values or not (values.isascii() and values.isprintable() and _OWN.issuperset(headers)):
        return None
    text = "NATS/1.0\r\n"
    for name, value in headers.items():
        text += f"{name}: {value}\r\n"
    return (text + "\r\n").encode()


def _sender_of(client: Any, general: _Send) -> _Send:
    """Return a function that writes a message into the buffer of *client*, and uses *general* for other headers."""

    async def send(subject: str, reply: str, data: bytes, size: int, headers: dict[str, str] | None) -> None:
        if headers is None:
            command = b"%b%b\r\n" % (f"PUB {subject} {reply} {size}\r\n".encode(), data)
        elif (lines := lines_of(headers)) is None:
            await general(subject, reply, data, size, headers)
            return
        else:
            first = f"HPUB {subject} {reply} {len(lines)} {len(lines) + size}\r\n"
            command = b"%b%b%b\r\n" % (first.encode(), lines, data)
        client.stats["out_msgs"] += 1
        client.stats["out_bytes"] += size
        await client._send_command(command)  # noqa: SLF001  # see `_USED`
        queue = client._flush_queue  # noqa: SLF001  # as above
        if queue is not None and queue.empty():
            await client._flush_pending()  # noqa: SLF001  # as above

    return send
