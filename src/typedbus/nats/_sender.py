"""The calls of event ports: from the loop and from threads to the events that are on their way."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
import uuid
from typing import Final

import attrs

from typedbus._base.errors import LoopError
from typedbus.nats._durable import Durable
from typedbus.nats._errors import LinkClosed, OutcomeUnknown, WindowFull
from typedbus.nats._handover import runs_loop
from typedbus.nats._headers import ID_HEADER, ORIGIN_HEADER, SCHEMA_HEADER
from typedbus.nats._link import Link
from typedbus.nats._pending import AnyFuture, Pending, Receipt
from typedbus.nats._streams import Stream

#: How much later than its deadline the end of an event reaches a waiting thread while the loop is blocked, in seconds.
_LATE: Final = 0.25


@attrs.define(eq=False)
class Sender:
    """
    The state of an event port, which it shares with the ports that `keyed` returns.

    Its methods raise the errors of `EventPort`. Without a *message_id* an event gets a new one.

    Args:
        link: The connection.
        channel: The name of the channel.
        fingerprint: That of the schema of the channel.
        stream: The stream of the events.
        deadline: How long an event may take, in seconds.
        size: How many events may be in flight.
    """

    link: Link
    channel: str
    fingerprint: str
    stream: Stream | str
    deadline: float
    size: int
    _durable: Durable | None = None
    _thread: int = 0
    #: The beginning of the ids of this start, and the numbers at their end.
    _prefix: str = ""
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    async def open(self) -> None:
        """Check the stream, and accept events."""
        session = self.link.session(self.channel)
        durable = Durable(session, self.channel, self.stream, self.deadline, self.size)
        await durable.open(self.link.connect_within)
        self._thread = threading.get_ident()
        self._prefix = f"{uuid.uuid4().hex}-"
        self._durable = durable

    async def close(self) -> None:
        """Refuse events, and wait for those in flight."""
        durable, self._durable = self._durable, None
        if durable is not None:
            await durable.close()

    def submit(self, data: bytes, message_id: str | None) -> tuple[str, concurrent.futures.Future[Receipt]]:
        """Send an event, and return its id and the future of its receipt; may be called in any thread."""
        durable = self._opened()
        deadline = durable.session.loop.time() + self.deadline
        if not durable.window.take() and (runs_loop() or not durable.window.take_in_thread(self.deadline)):
            raise self._no_slot(durable)
        future: concurrent.futures.Future[Receipt] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()  # a cancellation could not take the event back
        message_id = message_id or self._new_id()
        pending = Pending(message_id, data, self._headers(durable, message_id, future), deadline, future)
        if threading.get_ident() == self._thread:
            durable.enter(pending)
        else:
            try:
                durable.session.handover.call(durable.enter, pending)
            except RuntimeError as error:
                raise LinkClosed(self.channel) from error
        return message_id, future

    def publish_from_thread(self, data: bytes, message_id: str | None) -> Receipt:
        """Send an event, and wait in this thread for its receipt."""
        loop = self._opened().session.loop
        if runs_loop():
            raise LoopError(
                f"publish_from_thread() on the event port of {self.channel!r}",
                "an event loop runs in this thread, and must not be blocked; use 'await port.publish(...)' on the loop "
                "of the link, and 'await asyncio.wrap_future(port.submit(...))' on another loop",
            )
        end = loop.time() + self.deadline + _LATE
        message_id, future = self.submit(data, message_id)
        try:
            return future.result(end - loop.time())
        except TimeoutError:
            if future.done():
                return future.result()  # it may have raised this error itself
            raise OutcomeUnknown(self.channel, message_id, self.deadline) from None

    async def publish(self, data: bytes, message_id: str | None, headers: dict[str, str] | None = None) -> Receipt:
        """Send an event, with *headers* besides its own, and wait for its receipt; called on the event loop of the link."""
        durable = self._opened()
        loop = durable.session.loop
        if asyncio.get_running_loop() is not loop:
            raise LoopError(
                f"publish() on the event port of {self.channel!r}",
                "this is not the event loop of the link; use 'await asyncio.wrap_future(port.submit(...))'",
            )
        deadline = loop.time() + self.deadline
        if not durable.window.take() and not await durable.window.take_on_loop(self.deadline):
            raise self._no_slot(durable)
        future: asyncio.Future[Receipt] = loop.create_future()
        message_id = message_id or self._new_id()
        own = self._headers(durable, message_id, future, headers)
        durable.enter(Pending(message_id, data, own, deadline, future))
        return await future

    def _opened(self) -> Durable:
        durable = self._durable
        if durable is None:
            raise LinkClosed(self.channel)
        # First of all: a lock of the window may be held by a thread that exists only in the parent.
        durable.session.check_process(self.channel)
        return durable

    def _no_slot(self, durable: Durable) -> LinkClosed | WindowFull:
        return LinkClosed(self.channel) if durable.window.is_closed else WindowFull(self.channel, self.size)

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._numbers):x}"

    def _headers(
        self, durable: Durable, message_id: str, future: AnyFuture, more: dict[str, str] | None = None
    ) -> dict[str, str]:
        headers = {ID_HEADER: message_id, SCHEMA_HEADER: self.fingerprint, ORIGIN_HEADER: durable.session.origin}
        headers |= more or {}
        if (tracing := durable.session.tracing) is not None:
            tracing.sending("publish", durable.subject, headers, future, message_id)
        return headers
