"""
Channels across processes and machines, on NATS with JetStream.

Ports send: `event` stores the arguments of a publish in a stream, `signal` sends them at most once, `ask` returns one
answer and `gather` many. A `Consumer`, a `Receiver` and a `Responder` call the ordinary listeners of the channel in
another process.
"""

from __future__ import annotations

try:
    from typedbus.nats._ask import Answer, Asked, AskPort, ask
    from typedbus.nats._codec import CattrsCodec, Codec, Forms
    from typedbus.nats._consumer import Consumer
    from typedbus.nats._databases import AsyncConnection, SyncConnection
    from typedbus.nats._delivery import Delivery, delivery
    from typedbus.nats._errors import (
        Busy,
        ConsumerFault,
        DecodeFailed,
        Denied,
        Disconnected,
        EncodeFailed,
        LinkClosed,
        LinkFault,
        LinkForked,
        NoDelivery,
        NoListener,
        NotConnected,
        NotStored,
        OtherBus,
        OutcomeUnknown,
        PortFault,
        RemoteError,
        RemoteTimeout,
        SchemaFault,
        ServerTooOld,
        StreamFault,
        TooLarge,
        Unreadable,
        WindowFull,
    )
    from typedbus.nats._event import EventPort, event
    from typedbus.nats._events import (
        LINK,
        Connected,
        ConnectionLost,
        DeadLettered,
        EventRefused,
        LinkEvent,
        QuestionRefused,
        Retried,
        SchemaMismatch,
        SignalsDropped,
        Unresolved,
    )
    from typedbus.nats._gather import Gathered, Gathering, GatherPort, gather
    from typedbus.nats._inbox import Inbox
    from typedbus.nats._link import Link, Server
    from typedbus.nats._local_server import LocalServer
    from typedbus.nats._outbox import FailedEvent, Outbox
    from typedbus.nats._pending import Receipt
    from typedbus.nats._receiver import Receiver
    from typedbus.nats._redelivery import Redelivery
    from typedbus.nats._relay_connection import Connect
    from typedbus.nats._replay import DeadLetter, DeadLetters
    from typedbus.nats._responder import Responder
    from typedbus.nats._security import TLS
    from typedbus.nats._server_process import ServerFault, ServerMissing
    from typedbus.nats._signal import SignalPort, signal
    from typedbus.nats._streams import Stream
    from typedbus.nats._table_errors import (
        InboxFault,
        OutboxFault,
        OutsideTransaction,
        TableNameError,
        UnsupportedConnection,
    )
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] not in ("nats", "msgspec"):
        raise
    raise ImportError(
        f'typedbus.nats needs nats-py and msgspec: pip install "typedbus[nats]" ({_missing.name} is missing)',
        name=_missing.name,
    ) from _missing

from typedbus._base.exports import export

__all__ = (
    "LINK",
    "TLS",
    "Answer",
    "AskPort",
    "Asked",
    "AsyncConnection",
    "Busy",
    "CattrsCodec",
    "Codec",
    "Connect",
    "Connected",
    "ConnectionLost",
    "Consumer",
    "ConsumerFault",
    "DeadLetter",
    "DeadLettered",
    "DeadLetters",
    "DecodeFailed",
    "Delivery",
    "Denied",
    "Disconnected",
    "EncodeFailed",
    "EventPort",
    "EventRefused",
    "FailedEvent",
    "Forms",
    "GatherPort",
    "Gathered",
    "Gathering",
    "Inbox",
    "InboxFault",
    "Link",
    "LinkClosed",
    "LinkEvent",
    "LinkFault",
    "LinkForked",
    "LocalServer",
    "NoDelivery",
    "NoListener",
    "NotConnected",
    "NotStored",
    "OtherBus",
    "Outbox",
    "OutboxFault",
    "OutcomeUnknown",
    "OutsideTransaction",
    "PortFault",
    "QuestionRefused",
    "Receipt",
    "Receiver",
    "Redelivery",
    "RemoteError",
    "RemoteTimeout",
    "Responder",
    "Retried",
    "SchemaFault",
    "SchemaMismatch",
    "Server",
    "ServerFault",
    "ServerMissing",
    "ServerTooOld",
    "SignalPort",
    "SignalsDropped",
    "Stream",
    "StreamFault",
    "SyncConnection",
    "TableNameError",
    "TooLarge",
    "Unreadable",
    "Unresolved",
    "UnsupportedConnection",
    "WindowFull",
    "ask",
    "delivery",
    "event",
    "gather",
    "signal",
)

export(globals())
