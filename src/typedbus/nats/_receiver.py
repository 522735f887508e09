"""The component that calls the listeners of a channel with the signals of other processes."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, cast

import attrs
from typing_extensions import ParamSpec

from typedbus._base.failures import traceback_of
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, RUN, WARNING
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.nats._connection import Message, Subscription
from typedbus.nats._delivery import ORIGIN_HEADER, SCHEMA_HEADER
from typedbus.nats._errors import DecodeFailed, Denied, PortFault
from typedbus.nats._events import SchemaMismatch
from typedbus.nats._link import Link
from typedbus.nats._losses import Losses
from typedbus.nats._questions import Question, Reply, Tasks, Threads, Workers
from typedbus.nats._schema import MessageSchema, schema_of
from typedbus.nats._session import Session
from typedbus.nats._signal import signal_subject
from typedbus.nats._tracing import EndSpan, handling

P = ParamSpec("P")

#: Seconds between two signs of life of the run.
_BEAT: Final = 1.0
#: How many processes with another declaration of the channel are remembered.
_MOST_ORIGINS: Final = 1000


@attrs.define(eq=False)
class Receiver(Generic[P]):
    """
    Calls the listeners of a channel with the signals of its port in this process and in others.

    It is a run: it receives from when the bus has STARTED until the bus, or its component, stops. It calls the
    listeners for one signal at a time, in the order of arrival: those of an async channel on the event loop, those of a
    `Channel` in a thread of the receiver. A listener that raises is logged with its traceback, and the next
    signal follows.

    Signals are lost while there is no receiver, while there is no connection, and while *most* signals wait here. Those
    that are lost here, or cannot be decoded, are counted, and published on `LINK` as `SignalsDropped`, at most once a second.
    The first signal of a process with another declaration of the channel is published as `SchemaMismatch`.

    Args:
        link: The connection.
        bound: The channel on the bus of this process.
        group: One process of all with this group receives a signal; with None all of them receive it.
        most: How many signals may wait for the listeners.

    Raises:
        SchemaFault: The arguments of the channel cannot be sent.
        PortFault: *most* is no such number.
        Denied: From the run, if the server does not let this user subscribe to the signals.
    """

    link: Link
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    group: str | None = attrs.field(default=None, kw_only=True)
    most: int = attrs.field(default=1024, kw_only=True)
    _schema: MessageSchema[P, None] = attrs.field(init=False, repr=False)
    _losses: Losses = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._schema = schema_of(self.bound.channel)
        self._losses = Losses(self._schema.name)
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise PortFault(self._schema.name, "most", self.most, "give a whole number from 1 up")

    @property
    def dropped(self) -> int:
        """How many signals this receiver has lost, since it was made; may be read in any thread."""
        return self._losses.total

    @on(RUN)
    async def receive(self, stopping: Stopping) -> None:
        """Call the listeners until *stopping* is set."""
        session = self.link.session(self._schema.name)
        self._losses.open(session)
        try:
            receiving = _Receiving(session, self.bound, self._schema, self._losses, self.most, self.group or "")
            await receiving.run(stopping, signal_subject(self.link.prefix, self._schema.name))
        finally:
            self._losses.close()


@attrs.define(eq=False)
class _Receiving(Generic[P]):
    """One run of a receiver; its methods are called on the event loop, but for `_call`."""

    session: Session
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    schema: MessageSchema[P, None]
    losses: Losses
    most: int
    group: str
    workers: Workers = attrs.field(init=False)
    #: Why the run must end before it is asked to.
    trouble: asyncio.Future[BaseException] = attrs.field(init=False)
    #: The processes that declare the channel differently, and those with a signal that cannot be decoded.
    strangers: set[str] = attrs.field(init=False, factory=set)
    unreadable: set[str] = attrs.field(init=False, factory=set)
    is_idle: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    async def run(self, stopping: Stopping, subject: str) -> None:
        session, name = self.session, self.schema.name
        connection, label = session.connection, f"typedbus.nats receiver {name}"
        self.trouble = session.loop.create_future()
        if isinstance(self.bound, AsyncBoundChannel):
            self.workers = Tasks(label, 1, self._call_async, self._called)
        else:
            threads = Threads(label, 1, self._call, self._called, session.handover, session.bus.own)
            threads.start()
            self.workers = threads
        stopped = session.loop.create_task(stopping.until_set(), name=f"{label} waits")
        ends: set[asyncio.Future[Any]] = {stopped, self.trouble}
        subscription: Subscription | None = None
        try:
            subscription = await connection.subscribe(
                subject,
                self._receive,
                group=self.group,
                refused=lambda: self._fail(Denied(name, subject, "subscribe to")),
            )
            await connection.flush(1.0)  # the server has the subscription then
            stopping.ready()
            lost = 0
            while not (stopped.done() or self.trouble.done()):
                stopping.beat()
                await asyncio.wait(ends, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED)
                if subscription.dropped > lost:
                    self.losses.add(subscription.dropped - lost, "the event loop was blocked")
                    lost = subscription.dropped
            await connection.unsubscribe(subscription)
            self._drop_waiting()
            while self.workers.unanswered and not self.trouble.done():
                self.is_idle.clear()
                await self.is_idle.wait()
        finally:
            stopped.cancel()
            if subscription is not None:
                await connection.unsubscribe(subscription)
            self._drop_waiting()
            await self.workers.end()
            if self.workers.unanswered:
                session.bus.log(f"a listener of {name!r} is left: it still handles a signal", WARNING)
        if self.trouble.done():
            raise self.trouble.result()

    def _drop_waiting(self) -> None:
        waiting = self.workers.refuse()
        if waiting:
            self.losses.add(len(waiting), "the receiver has stopped")

    def _fail(self, error: BaseException) -> None:
        if not self.trouble.done():
            self.trouble.set_result(error)

    def _receive(self, message: Message) -> None:
        headers = message.headers or {}
        origin = headers.get(ORIGIN_HEADER, "an unknown process")
        theirs = headers.get(SCHEMA_HEADER, self.schema.fingerprint)
        if theirs != self.schema.fingerprint and _is_new(origin, self.strangers):
            self.session.report(SchemaMismatch(self.schema.name, origin, self.schema.fingerprint, theirs))
        if self.workers.waiting >= self.most:
            self.losses.add(1, f"more than {self.most} signals waited for the listeners")
        else:
            self.workers.put(
                Question("", message.data, wants_all=True, origin=origin, subject=message.subject, headers=headers)
            )

    def _called(self, reply: Reply) -> None:
        signal, kind, problem, fatal = reply
        if fatal is not None:
            self._fail(fatal)
        if kind == "bad":
            self.losses.add(1, "it cannot be decoded")
            if _is_new(signal.origin, self.unreadable):
                self.session.bus.log(f"a signal of {signal.origin} was dropped: {problem.decode()}", ERROR)
        if not self.workers.unanswered:
            self.is_idle.set()

    def _call(self, signal: Question) -> Reply:
        """Call the listeners of a `Channel`, in the thread."""
        bound = cast("BoundChannel[..., None]", self.bound)
        end = handling(self.session.tracing, "process", signal.subject, signal.headers, self.group)
        try:
            args, kwargs = self.schema.decode(signal.data)
            bound.publish(*args, **kwargs)
        except BaseException as error:
            return self._failed(signal, error, end)
        end(None)
        return Reply(signal, "ok", b"")

    async def _call_async(self, signal: Question) -> Reply:
        """Call the listeners of an `AsyncChannel`."""
        bound = cast("AsyncBoundChannel[..., None]", self.bound)
        end = handling(self.session.tracing, "process", signal.subject, signal.headers, self.group)
        try:
            args, kwargs = self.schema.decode(signal.data)
            await bound.publish(*args, **kwargs)
        except BaseException as error:
            return self._failed(signal, error, end)
        end(None)
        return Reply(signal, "ok", b"")

    def _failed(self, signal: Question, error: BaseException, end: EndSpan) -> Reply:
        end(error)
        if isinstance(error, DecodeFailed):
            return Reply(signal, "bad", str(error).encode())
        self.session.bus.log(
            f"a listener of {self.schema.name!r} failed on a signal of {signal.origin}\n{traceback_of(error)}", ERROR
        )
        fatal = None if isinstance(error, Exception | asyncio.CancelledError) else error
        return Reply(signal, "err", b"", fatal)


def _is_new(origin: str, known: set[str]) -> bool:
    """Return whether *origin* is not *known* yet, and remember it."""
    if origin in known:
        return False
    if len(known) >= _MOST_ORIGINS:
        known.clear()
    known.add(origin)
    return True
