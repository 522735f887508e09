"""The events of a link, which it publishes on the bus of its process."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from typedbus._base.record import Record
from typedbus._channels.channel import Channel


@attrs.frozen(eq=False, repr=False)
class Connected(Record):
    """The link has a connection, to the server at the address *server*."""

    server: str


@attrs.frozen(eq=False, repr=False)
class ConnectionLost(Record):
    """The link has lost its connection, and connects again by itself; *reason* is the last error."""

    reason: str


@attrs.frozen(eq=False, repr=False)
class SignalsDropped(Record):
    """*count* signals on *channel* were lost since the last such event, because of *reason*."""

    channel: str
    count: int
    reason: str


@attrs.frozen(eq=False, repr=False)
class Unresolved(Record):
    """A port stopped before the events *message_ids* on *channel* were acknowledged; they may be in the stream."""

    channel: str
    message_ids: tuple[str, ...]


@attrs.frozen(eq=False, repr=False)
class Retried(Record):
    """The *attempt*-th delivery of an event failed with *reason*; it is delivered again in *delay* seconds."""

    channel: str
    message_id: str
    attempt: int
    delay: float
    reason: str


@attrs.frozen(eq=False, repr=False)
class DeadLettered(Record):
    """An event was stored on *subject* after *attempts* deliveries, because of *reason*, and is not delivered again."""

    channel: str
    message_id: str
    attempts: int
    subject: str
    reason: str


@attrs.frozen(eq=False, repr=False)
class EventRefused(Record):
    """A stream refused an event of an outbox for the *attempts*-th time because of *reason*; it stays in the table."""

    channel: str
    message_id: str
    attempts: int
    reason: str


@attrs.frozen(eq=False, repr=False)
class SchemaMismatch(Record):
    """The first message of *origin* with another schema of *channel* than this process has; *theirs* is its fingerprint."""

    channel: str
    origin: str
    ours: str
    theirs: str


@attrs.frozen(eq=False, repr=False)
class QuestionRefused(Record):
    """A question of *origin* on *channel* could not be decoded, because of *problem*; it has got this as its answer."""

    channel: str
    origin: str
    problem: str


LinkEvent: TypeAlias = (
    Connected
    | ConnectionLost
    | SignalsDropped
    | Unresolved
    | Retried
    | DeadLettered
    | EventRefused
    | SchemaMismatch
    | QuestionRefused
)
"""Every event that a link publishes on `LINK`; `match` can be checked for exhaustiveness."""

LINK = Channel[[LinkEvent], None]("link")
"""Published by links, ports and consumers, in the thread of the event loop: a listener must not block."""
