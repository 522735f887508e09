"""One call of the run of a consumer: from the beginning to the stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus.nats._consumer_config import Position
from typedbus.nats._delivery import Received, State, received
from typedbus.nats._errors import StreamFault
from typedbus.nats._headers import GROUP_HEADER
from typedbus.nats._listening import Listening
from typedbus.nats._redelivery import Redelivery
from typedbus.nats._schema import MessageSchema
from typedbus.nats._serving import report_mismatch, workers_for
from typedbus.nats._session import Session
from typedbus.nats._settling import Settling
from typedbus.nats._streams import named
from typedbus.nats._subscriptions import Subscription
from typedbus.nats._watcher import Message
from typedbus.nats._workers import Tasks, Threads

P = ParamSpec("P")

_IN_PROGRESS: Final = b"+WPI"
#: Seconds between two looks at listeners, heartbeats and the stream.
_LONGEST_TICK: Final = 1.0
#: Seconds in which the server must receive the last acknowledgements of a stop.
_FLUSH_WITHIN: Final = 1.0
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
    _workers: Threads[Received] | Tasks[Received] = attrs.field(init=False)
    _settling: Settling = attrs.field(init=False)
    _subscription: Subscription | None = attrs.field(init=False, default=None)
    _is_taking: bool = attrs.field(init=False, default=False)
    #: Events that are returned when the subscription has ended.
    _unbegun: list[Received] = attrs.field(init=False, factory=list)
    _wake: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    #: Whether the consumer of the server has existed, and when it is checked again.
    _is_checked: bool = attrs.field(init=False)
    _check_at: float = attrs.field(init=False)
    _checking: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    #: The processes that declare the channel differently, as far as they were reported.
    _strangers: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._is_checked = not self.must_check
        self._check_at = time.monotonic() + self.redelivery.ack_wait
        self._settling = Settling(
            self.session, self.schema.name, self.position, self.redelivery, self.name, self._wake.set
        )
        listening = Listening(self.bound, self.schema, self.session.tracing, self.position.group)
        self._workers = workers_for(
            self.bound,
            listening.call,
            listening.call_async,
            self._settling.ended,
            self.session,
            name=self.name,
            count=self.concurrency,
        )

    @property
    def held(self) -> int:
        """How many events have arrived and are not settled; may be read in any thread."""
        return len(self._settling.held)

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
            while not asked.done() and self._settling.interrupt is None:
                self._wake.clear()
                await self._adjust()
                if self._is_taking:
                    stopping.ready()
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
        if self._settling.interrupt is not None:
            raise self._settling.interrupt

    def connected(self, server: str) -> None:
        """Send the acknowledgements that could not be sent, and check the consumer of the server."""
        self._settling.resend()
        for event in self._settling.held.values():
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

    def replies_refused(self) -> None:
        """Do nothing: the session logs it, and the next start of the consumer raises it."""

    async def _adjust(self) -> None:
        """Check the consumer of the server, and begin or cease to take events, where that is due."""
        is_due = self.must_check or time.monotonic() > self._check_at
        if is_due and self._checking is None and self.session.connection.is_connected:
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
        if sum(event.hangs for event in self._settling.held.values()) >= self.concurrency:
            return f"the listeners of channel {self.schema.name!r} hang"
        return ""

    async def _check(self) -> None:
        try:
            if await self.position.ensure(self.session.connection, self.check_within) and self._is_checked:
                self.session.bus.log(
                    f"{self.name}: its consumer {self.position.name!r} was missing in the server, and was created again; the group receives "
                    "the events of the stream again from the first",
                    WARNING,
                )
            self._is_checked = True
            self._check_at = time.monotonic() + self.redelivery.ack_wait
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
        self._unbegun += self._workers.take_back()
        if subscription is not None:
            # First: the server would deliver the returned events to this process again, and each delivery counts.
            await self.session.connection.unsubscribe(subscription)
        unbegun, self._unbegun = self._unbegun, []
        for event in unbegun:
            self._settling.give_back(event)

    async def _end(self) -> None:
        ending = asyncio.create_task(self._finish(), name=self.name)
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            self._settling.cancel()
            stacks = self._workers.cancel()
            if stacks:
                self.session.bus.log(f"{self.name}: a listener has not returned:\n{stacks}", ERROR)
            await ending
            raise

    async def _finish(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._cease()
        await self._workers.end()
        await self._settling.end()
        await self.session.connection.flush(_FLUSH_WITHIN)

    def _receive(self, message: Message) -> None:
        event = received(self.schema.name, message)
        if event is None:
            return
        if not self._is_taking:
            self._unbegun.append(event)
            return
        held = self._settling.held.get(event.sequence)
        if held is not None and held.published == event.published:
            self._receive_again(held, event)
            return
        report_mismatch(self.session, self.schema, event.headers, self._strangers)
        if event.headers.get(GROUP_HEADER, self.position.group) != self.position.group:
            self._settling.pass_over(event)
            return
        event.beat = time.monotonic() + self.redelivery.ack_wait / 3
        self._settling.held[event.sequence] = event
        if event.attempt > self.redelivery.attempts:
            self._settling.bury(event, "NotAcknowledged", _NOT_ACKNOWLEDGED.format(event.attempt - 1))
        else:
            self._workers.put(event)

    def _receive_again(self, held: Received, event: Received) -> None:
        """Receive an event that this process has not acknowledged yet."""
        if not held.hangs:
            held.message = event.message
            self.session.connection.send(event.message.reply, _IN_PROGRESS)
        elif event.attempt > self.redelivery.attempts:
            self._settling.bury(event, "NotAcknowledged", _NOT_ACKNOWLEDGED.format(event.attempt - 1))
        else:
            self._settling.give_back(event, self.redelivery.ack_wait)

    def _beat(self) -> bool:
        """Ask the server for more time for the events that are held, and return whether not all listeners hang."""
        now = time.monotonic()
        for event in self._settling.held.values():
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
