"""A server in the test that speaks the protocol of NATS, and answers each event as the test decides."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import attrs

_INFO = {"server_id": "scripted", "version": "2.12.0", "headers": True, "max_payload": 1 << 20, "proto": 1}
_API = "$JS.API.STREAM.INFO."
_NO_STREAM = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
NO_RESPONDERS = b"NATS/1.0 503\r\n\r\n"


@attrs.frozen
class Sent:
    """
    One sending of an event.

    Attributes:
        message_id: The id in its headers.
        number: How often the event was sent, 1 at first.
        at: When it arrived, on the clock of the loop.
        answer: Sends an answer: a body, or `NO_RESPONDERS`; may be called later, and more than once.
    """

    message_id: str
    number: int
    at: float
    answer: Callable[[bytes], None]


@attrs.define(eq=False)
class Scripted:
    """
    The server.

    Args:
        on_event: Called with each event.

    Attributes:
        has_stream: Whether it has the stream ORDERS.
        answers_about_stream: Whether it answers questions about the stream, as it does not during an election.
        sent: Each sending of each event, by its id.
        port: Its port.
    """

    on_event: Callable[[Sent], object]
    has_stream: bool = True
    answers_about_stream: bool = True
    port: int = 0
    sent: dict[str, list[Sent]] = attrs.field(factory=lambda: defaultdict(list))
    _writers: list[asyncio.StreamWriter] = attrs.field(init=False, factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    def disconnect(self) -> None:
        """End all connections."""
        while self._writers:
            self._writers.pop().transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        subscriptions: dict[str, str] = {}
        self._writers.append(writer)
        writer.write(b"INFO " + json.dumps(_INFO).encode() + b"\r\n")

        def answer(reply: str, data: bytes) -> None:
            for number, subject in subscriptions.items():
                if subject == reply or reply.startswith(subject.removesuffix("*")):
                    size = len(data)
                    if data.startswith(b"NATS/1.0"):
                        writer.write(f"HMSG {reply} {number} {size} {size}\r\n".encode() + data + b"\r\n")
                    else:
                        writer.write(f"MSG {reply} {number} {size}\r\n".encode() + data + b"\r\n")

        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                verb, *words = line.decode().split()
                if verb == "PING":
                    writer.write(b"PONG\r\n")
                elif verb == "SUB":
                    subscriptions[words[-1]] = words[0]
                elif verb in ("PUB", "HPUB"):
                    message = await reader.readexactly(int(words[-1]) + 2)
                    subject, reply = words[0], words[1]
                    if subject.startswith(_API):
                        if self.answers_about_stream:
                            answer(reply, json.dumps(self._stream() if self.has_stream else _NO_STREAM).encode())
                    else:
                        head = message[: int(words[2])].decode()
                        message_id = head.partition("Nats-Msg-Id: ")[2].partition("\r\n")[0]
                        self._receive(message_id, functools.partial(answer, reply))
        writer.close()

    def _receive(self, message_id: str, answer: Callable[[bytes], None]) -> None:
        sendings = self.sent[message_id]
        sendings.append(Sent(message_id, len(sendings) + 1, asyncio.get_running_loop().time(), answer))
        self.on_event(sendings[-1])

    def _stream(self) -> dict[str, object]:
        config = {"name": "ORDERS", "subjects": ["ORDERS.>"], "duplicate_window": 120 * 10**9}
        state = {"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0, "consumer_count": 0}
        return {"config": config, "state": state, "created": "2026-01-01T00:00:00Z", "did_create": False}


@contextlib.asynccontextmanager
async def scripted(on_event: Callable[[Sent], object]) -> AsyncIterator[Scripted]:
    """Give a running server."""
    script = Scripted(on_event)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()


def stored_at(sequence: int, *, duplicate: bool = False) -> bytes:
    """Return the answer for an event that is stored."""
    again = {"duplicate": True} if duplicate else {}
    return json.dumps({"stream": "ORDERS", "seq": sequence, **again}).encode()


def refused(code: int, number: int, text: str) -> bytes:
    """Return the answer for an event that is not stored."""
    return json.dumps({"error": {"code": code, "err_code": number, "description": text}}).encode()
