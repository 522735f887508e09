"""The end of each event that a consumer holds: acknowledged, delivered again, or a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import attrs

from typedbus._bus.builtin import ERROR, WARNING
from typedbus.nats._consumer_config import Position
from typedbus.nats._dead_letters import dead_headers, failure_text, fitting, kind_of, store
from typedbus.nats._delivery import Received, State
from typedbus.nats._events import DeadLettered, Retried
from typedbus.nats._redelivery import Redelivery
from typedbus.nats._session import Session

_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_TERM: Final = b"+TERM"
#: Seconds in which the server must confirm a dead letter.
_STORE_WITHIN: Final = 5.0


@attrs.define(eq=False)
class Settling:
    """
    Acknowledges the events of one consumer. All methods run on the event loop.

    Args:
        session: The connection.
        channel: The name of the channel.
        position: The consumer of the server.
        redelivery: When an event is delivered again.
        name: The name of the consumer in messages.
        wake: Called when the consumer must look at its state.

    Attributes:
        held: The events that have arrived and are not settled, by their positions in the stream.
        interrupt: The `SystemExit` or similar exception of a listener.
        is_impatient: Whether the stop waits no longer for listeners.
    """

    session: Session
    channel: str
    position: Position
    redelivery: Redelivery
    name: str
    wake: Callable[[], None]
    held: dict[int, Received] = attrs.field(init=False, factory=dict)
    interrupt: BaseException | None = attrs.field(init=False, default=None)
    is_impatient: bool = attrs.field(init=False, default=False)
    _burials: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)
    #: Acknowledgements that were not sent, because the connection was lost, by their subject.
    _unsent: dict[str, bytes] = attrs.field(init=False, factory=dict)

    def give_back(self, event: Received, delay: float = 0.0) -> None:
        """Let the server deliver *event* again, after *delay* seconds, to any process of the group."""
        self._settle(event, b'%s {"delay": %d}' % (_NAK, delay * 1e9) if delay else _NAK)

    def pass_over(self, event: Received) -> None:
        """Acknowledge an event for another group."""
        self._settle(event, _ACK)

    def resend(self) -> None:
        """Send the acknowledgements that could not be sent."""
        unsent, self._unsent = self._unsent, {}
        for reply, payload in unsent.items():
            self._send(reply, payload)

    def cancel(self) -> None:
        """Wait no longer for dead letters: their events are delivered again."""
        self.is_impatient = True
        for burial in self._burials:
            burial.cancel()

    async def end(self) -> None:
        """Return when the dead letters are stored."""
        if self._burials:
            await asyncio.wait(self._burials)

    def ended(self, event: Received) -> None:
        """Settle *event*, whose listeners have ended, as its state demands."""
        if event.hangs:
            self.wake()
        if event.state is State.HANDLED:
            self._settle(event, _ACK)
        elif event.state is State.UNREADABLE:
            self.bury(event, "DecodeFailed", str(event.error))
        elif event.state is State.FAILED and event.error is not None:
            self._failed(event, event.error)
        else:
            self.give_back(event, 0.0 if self.is_impatient else self.redelivery.first)
            self.wake()

    def _failed(self, event: Received, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            if self.is_impatient:
                self.give_back(event)
                return
        elif not isinstance(error, Exception):
            self.interrupt = self.interrupt or error
            self.wake()
        reason = failure_text(error)
        if event.attempt >= self.redelivery.attempts:
            self.bury(event, kind_of(error), reason)
            return
        delay = self.redelivery.delay(event.attempt)
        self.give_back(event, delay)
        self.session.bus.log(
            f"{self.name}: the event {event.message_id} failed (attempt {event.attempt} of {self.redelivery.attempts}), and is "
            f"delivered again in {delay:g} s: {reason}",
            WARNING,
        )
        self.session.report(Retried(self.channel, event.message_id, event.attempt, delay, reason))

    def bury(self, event: Received, kind: str, reason: str) -> None:
        """Store *event* as a dead letter, and let the server forget it; if that fails, it is delivered again."""
        burial = asyncio.create_task(self._store(event, kind, reason), name=self.name)
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    async def _store(self, event: Received, kind: str, reason: str) -> None:
        subject = self.position.dead_subject
        headers = dead_headers(event, self.position.group, kind, reason)
        data, headers = fitting(event.message.data, headers, self.session.connection.max_payload)
        problem = await store(self.session, subject, data, headers, _STORE_WITHIN)
        if problem:
            self.give_back(event, self.redelivery.longest)
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
        self.session.report(DeadLettered(self.channel, event.message_id, event.attempt, subject, reason))

    def _settle(self, event: Received, payload: bytes) -> None:
        """Let go of *event*, and send its acknowledgement."""
        if self.held.get(event.sequence) is event:
            del self.held[event.sequence]
        self._send(event.message.reply, payload)

    def _send(self, reply: str, payload: bytes) -> None:
        def keep(_reason: str) -> None:
            self._unsent[reply] = payload

        self.session.connection.send(reply, payload, dropped=keep)
