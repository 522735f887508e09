"""
The messages from a responder back to a port.

The header ``Tb-Reply`` has the kind of an answer. Its body is JSON:

- ``ok``, or no such header: the result of the listener that has answered;
- ``all``: an array with an object for each listener that was called: ``{"result": ...}``, or ``{"kind": ..., "message": ...}``
  if it has raised an exception;
- ``err``: ``{"kind": ..., "message": ...}``, if a listener has raised an exception or its result cannot be sent;
- ``bad``: the same, if the question cannot be decoded;
- ``busy`` and ``none``: empty; too many questions wait, or no listener is subscribed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from typedbus.nats._errors import Busy, NoListener, RemoteError, Unreadable
from typedbus.nats._headers import has_no_receiver, origin_in
from typedbus.nats._watcher import Message

#: The longest text of an exception that is sent, in characters.
_LONGEST: Final = 2000


class Item(msgspec.Struct, omit_defaults=True):
    """The result of a listener, or the exception that it has raised."""

    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    kind: str = ""
    message: str = ""


encode: Final = msgspec.json.Encoder().encode
_item: Final = msgspec.json.Decoder(Item).decode
items: Final = msgspec.json.Decoder(list[Item]).decode


def raised(error: BaseException, message: str | None = None) -> Item:
    """Return the item of an exception: its class by name, and *message* or its text."""
    try:
        message = str(error) if message is None else message
    except Exception:
        message = "<its text cannot be computed>"
    return Item(kind=type(error).__name__, message=message[:_LONGEST])


def origin_of(message: Message) -> str:
    """Return the process that has sent *message*."""
    return origin_in(message.headers or {})


def is_absent(message: Message) -> bool:
    """Return whether the server itself has answered, since there is no subscription to the subject of the question."""
    return not message.data and has_no_receiver(message.headers)


def failure_of(channel: str, kind: str, message: Message) -> RemoteError | Unreadable | Busy | NoListener:
    """Return the failure that an answer other than ``ok`` and ``all`` reports."""
    origin = origin_of(message)
    if kind == "busy":
        return Busy(channel, origin)
    if kind == "none":
        return NoListener(channel)
    try:
        item = _item(message.data)
    except Exception as error:
        return Unreadable(channel, "answer", str(error), origin)
    if kind == "err":
        return RemoteError(channel, item.kind, item.message, origin)
    if kind == "bad":
        return Unreadable(channel, "question", item.message, origin)
    return Unreadable(channel, "answer", f"its header Tb-Reply is {kind!r}", origin)
