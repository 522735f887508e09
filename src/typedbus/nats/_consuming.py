"""One call of the run of a consumer: from the begin to the stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._bus.bus import parts_of
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus.nats._connection import Message, Subscription
from typedbus.nats._consumer_config import Position
from typedbus.nats._dead_letters import dead_headers, failure_text, kind_of, store
from typedbus.nats._delivery import ORIGIN_HEADER, SCHEMA_HEADER, Received, State, received
from typedbus.nats._errors import StreamFault
from typedbus.nats._events import DeadLettered, Retried, SchemaMismatch
from typedbus.nats._listening import Listening
from typedbus.nats._redelivery import Redelivery
from typedbus.nats._schema import MessageSchema
from typedbus.nats._session import Session
from typedbus.nats._streams import named
from typedbus.nats._workers import Tasks, Threads

P = ParamSpec("P")

_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_TERM: Final = b"+TERM"
_IN_PROGRESS: Final = b"+WPI"
#: Seconds between two looks at listeners, heartbeats and the stream.
_LONGEST_TICK: Final = 1.0
#: Seconds in which the server must confirm a dead letter, and the last acknowledgements of a stop.
_STORE_WITHIN: Final = 5.0
_FLUSH_WITHIN: Final = 1.0
#: How many pairs of a process and its schema are remembered.
_MOST_MISMATCHES: Final = 1000
_NOT_ACKNOWLEDGED: Final = "{} deliveries ended without an acknowledgement: the process died, or a listener hangs"


@attrs.define(eq=False)
class Consuming(Generic[P]):
    """
    Receives the events of one consumer, and acknowledges them. All methods run on the event loop.

    Args:
        session: The connection.
        bound: The channel on the bus.
        schema: The form of its messages.
        position: The consumer of the server.
        redelivery: When an event is delivered again.
        concurrency: How many events are handled at a time.
        name: The name of the threads and tasks, and of the consumer in messages.
        check_within: How many seconds a check of the consumer of the server may take.
        must_check: Whether it must be checked first.

    Attributes:
        problem: Why no events are taken; "" while they are.
    """

    session: Session
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    schema: MessageSchema[P, None]
    position: Position
    redelivery: Redelivery
    concurrency: int
    name: str
    check_within: float
    must_check: bool
    problem: str = attrs.field(init=False, default="it has not begun")
    _workers: Threads | Tasks = attrs.field(init=False)
    _held: dict[int, Received] = attrs.field(init=False, factory=dict)
    _subscription: Subscription | None = attrs.field(init=False, default=None)
    _is_taking: bool = attrs.field(init=False, default=False)
    _wake: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _checking: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    #: The dead letters that are being stored.
    _burials: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)
    #: Acknowledgements that were not sent, because the connection was lost, by their subject.
    _unsent: dict[str, bytes] = attrs.field(init=False, factory=dict)
    #: A `SystemExit` or its like, raised by a listener.
    _interrupt: BaseException | None = attrs.field(init=False, default=None)
    #: Whether the stop waits no longer for listeners.
    _is_impatient: bool = attrs.field(init=False, default=False)
    _mismatches: set[tuple[str, str]] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        listening = Listening(self.bound, self.schema)
        if isinstance(self.bound, AsyncBoundChannel):
            self._workers = Tasks(listening.call_async, self._ended, self.name, self.concurrency)
        else:
            own = parts_of(self.session.bus).machine.runs.get().own
            self._workers = Threads(
                listening.call, self._ended, self.session.handover, own, self.name, self.concurrency
            )

    async def run(self, stopping: Stopping) -> None:
        """
        Take events until *stopping* is set; then end as `Consumer` describes.

        Raises:
            BaseException: A listener has raised `SystemExit` or another exception that is not an `Exception`.
        """
        unwatch = self.session.watch(self)
        asked = asyncio.create_task(stopping.until_set(), name=self.name)
        asked.add_done_callback(lambda _: self._wake.set())
        try:
            if isinstance(self._workers, Threads):
                self._workers.start()
            while not asked.done() and self._interrupt is None:
                self._wake.clear()
                await self._adjust()
                if self._beat():
                    stopping.beat()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(self.redelivery.ack_wait / 6, _LONGEST_TICK)):
                        await self._wake.wait()
        finally:
            asked.cancel()
            try:
                await self._end()
            finally:
                unwatch()
        if self._interrupt is not None:
            raise self._interrupt

    def connected(self, server: str) -> None:
        """Send the acknowledgements that could not be sent, and check the consumer of the server."""
        unsent, self._unsent = self._unsent, {}
        for reply, payload in unsent.items():
            self._send(reply, payload)
        for event in self._held.values():
            event.beat = 0.0
        self.must_check = True
        self._wake.set()

    def disconnected(self, reason: str) -> None:
        """Do nothing: the server delivers again after `connected`."""

    def denied(self, subject: str) -> None:
        """Log that the server refuses acknowledgements."""
        if subject.lower().startswith(f"$js.ack.{named(self.position.stream).name}.{self.position.name}.".lower()):
            self.session.bus.log(
                f"{self.name} cannot acknowledge events, and receives them again and again: the server denies this user "
                f"to publish on {subject!r}; allow '$JS.ACK.>'",
                ERROR,
            )

    async def _adjust(self) -> None:
        """Check the consumer of the server, and begin or cease to take events, where that is due."""
        if self.must_check and self._checking is None and self.session.connection.is_connected:
            self.must_check = False
            self._checking = asyncio.create_task(self._check(), name=self.name)
        before, self.problem = self.problem, self._problem()
        if self.problem and self.problem != before:
            self.session.bus.log(f"{self.name} takes no events: {self.problem}", ERROR)
        if self.problem:
            await self._cease()
        elif not self._is_taking:
            self._is_taking = True
            self._subscription = await self.session.connection.subscribe(
                self.position.deliver_subject, self._receive, group=self.position.group
            )

    def _problem(self) -> str:
        if not self.bound.has_listeners:
            return f"channel {self.schema.name!r} has no listener: subscribe one, or remove the consumer"
        if sum(event.hangs for event in self._held.values()) >= self.concurrency:
            return f"the listeners of channel {self.schema.name!r} hang"
        return ""

    async def _check(self) -> None:
        try:
            await self.position.ensure(self.session.connection, self.check_within)
        except StreamFault as error:
            if self.session.connection.is_connected:
                self.session.bus.log(f"{self.name} receives no events: {error}", ERROR)
            await asyncio.sleep(_LONGEST_TICK)
            self.must_check = True
        finally:
            self._checking = None

    async def _cease(self) -> None:
        """End the subscription, and return the events that no listener has begun."""
        subscription, self._subscription, self._is_taking = self._subscription, None, False
        for event in self._workers.take_back():
            self._settle(event, _NAK)
        if subscription is not None:
            await self.session.connection.unsubscribe(subscription)

    async def _end(self) -> None:
        ending = asyncio.create_task(self._finish(), name=self.name)
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            self._is_impatient = True
            stacks = self._workers.cancel()
            for burial in self._burials:
                burial.cancel()
            if stacks:
                self.session.bus.log(f"{self.name}: a listener has not returned:\n{stacks}", ERROR)
            await ending
            raise

    async def _finish(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._cease()
        await self._workers.end()
        if self._burials:
            await asyncio.wait(self._burials)
        await self.session.connection.flush(_FLUSH_WITHIN)

    def _receive(self, message: Message) -> None:
        event = received(self.schema.name, message)
        if event is None:
            return
        if not self._is_taking:
            self._send(message.reply, _NAK)
            return
        held = self._held.get(event.sequence)
        if held is not None and held.published == event.published:
            self._receive_again(held, event)
            return
        theirs = event.headers.get(SCHEMA_HEADER, self.schema.fingerprint)
        if theirs != self.schema.fingerprint:
            self._report_mismatch(event.headers.get(ORIGIN_HEADER, ""), theirs)
        event.beat = time.monotonic() + self.redelivery.ack_wait / 3
        self._held[event.sequence] = event
        if event.attempt > self.redelivery.attempts:
            self._bury(event, "NotAcknowledged", _NOT_ACKNOWLEDGED.format(event.attempt - 1))
        else:
            self._workers.put(event)

    def _receive_again(self, held: Received, event: Received) -> None:
        """Receive an event that this process has not acknowledged yet."""
        if not held.hangs:
            held.message = event.message
            self.session.connection.send(event.message.reply, _IN_PROGRESS)
        elif event.attempt > self.redelivery.attempts:
            self._bury(event, "NotAcknowledged", _NOT_ACKNOWLEDGED.format(event.attempt - 1))
        else:
            self._settle(event, _nak(self.redelivery.ack_wait))

    def _report_mismatch(self, origin: str, theirs: str) -> None:
        pair = (origin, theirs)
        if pair not in self._mismatches:
            if len(self._mismatches) >= _MOST_MISMATCHES:
                self._mismatches.clear()
            self._mismatches.add(pair)
            self.session.report(SchemaMismatch(self.schema.name, origin, self.schema.fingerprint, theirs))

    def _beat(self) -> bool:
        """Ask the server for more time for the events that are held, and return whether not all listeners hang."""
        now = time.monotonic()
        for event in self._held.values():
            if event.hangs:
                continue
            if event.state is State.RUNNING and now - event.began > self.redelivery.patience:
                event.hangs = True
                self._wake.set()
                self.session.bus.log(
                    f"{self.name}: the listeners of {self.schema.name!r} have not returned from the event {event.message_id} "
                    f"for {self.redelivery.patience:g} s; the server will deliver it again:\n{event.stack()}",
                    ERROR,
                )
            elif now >= event.beat:
                event.beat = now + self.redelivery.ack_wait / 3
                self.session.connection.send(event.message.reply, _IN_PROGRESS)
        return not self.problem

    def _ended(self, event: Received) -> None:
        """Acknowledge *event*, whose listeners have ended."""
        if event.hangs:
            self._wake.set()
        if event.state is State.HANDLED:
            self._settle(event, _ACK)
        elif event.state is State.UNREADABLE:
            self._bury(event, "DecodeFailed", str(event.error))
        elif event.state is State.FAILED and event.error is not None:
            self._failed(event, event.error)
        else:
            self._settle(event, _NAK if self._is_impatient else _nak(self.redelivery.first))
            self._wake.set()

    def _failed(self, event: Received, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            if self._is_impatient:
                self._settle(event, _NAK)
                return
        elif not isinstance(error, Exception):
            self._interrupt = self._interrupt or error
            self._wake.set()
        reason = failure_text(error)
        if event.attempt >= self.redelivery.attempts:
            self._bury(event, kind_of(error), reason)
            return
        delay = self.redelivery.delay(event.attempt)
        self._settle(event, _nak(delay))
        self.session.bus.log(
            f"{self.name}: the event {event.message_id} failed (attempt {event.attempt} of {self.redelivery.attempts}), and is "
            f"delivered again in {delay:g} s: {reason}",
            WARNING,
        )
        self.session.report(Retried(self.schema.name, event.message_id, event.attempt, delay, reason))

    def _bury(self, event: Received, kind: str, reason: str) -> None:
        burial = asyncio.create_task(self._store(event, kind, reason), name=self.name)
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    async def _store(self, event: Received, kind: str, reason: str) -> None:
        subject = self.position.dead_subject
        headers = dead_headers(event, self.position.group, kind, reason)
        problem = await store(self.session, subject, event.message.data, headers, _STORE_WITHIN)
        if problem:
            self._settle(event, _nak(self.redelivery.longest))
            self.session.bus.log(
                f"{self.name}: the dead letter of the event {event.message_id} was not stored on {subject!r}, and is tried "
                f"again in {self.redelivery.longest:g} s: {problem}; the reason for it: {reason}",
                ERROR,
            )
            return
        self._settle(event, _TERM)
        self.session.bus.log(
            f"{self.name}: the event {event.message_id} is a dead letter on {subject!r} after {event.attempt} "
            f"deliveries: {reason}",
            ERROR,
        )
        self.session.report(DeadLettered(self.schema.name, event.message_id, event.attempt, subject, reason))

    def _settle(self, event: Received, payload: bytes) -> None:
        """Let go of *event*, and send its acknowledgement."""
        if self._held.get(event.sequence) is event:
            del self._held[event.sequence]
        self._send(event.message.reply, payload)

    def _send(self, reply: str, payload: bytes) -> None:
        def keep(_reason: str) -> None:
            self._unsent[reply] = payload

        self.session.connection.send(reply, payload, dropped=keep)


def _nak(delay: float) -> bytes:
    return b'%s {"delay": %d}' % (_NAK, delay * 1e9)
