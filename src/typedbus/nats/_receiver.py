"""The component that calls the listeners of a channel with the signals of other processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, cast

import attrs
from typing_extensions import ParamSpec

from typedbus._base.failures import traceback_of
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, RUN
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.nats._arguments import is_count, is_word
from typedbus.nats._errors import DecodeFailed, PortFault
from typedbus.nats._headers import origin_in
from typedbus.nats._link import Link
from typedbus.nats._losses import Losses
from typedbus.nats._schema import MessageSchema, event_schema_of
from typedbus.nats._served import channel_of
from typedbus.nats._serving import Serving, ends_process, is_new, name_of_run, report_mismatch, workers_for
from typedbus.nats._session import Session
from typedbus.nats._signal import signal_subject
from typedbus.nats._tracing import EndSpan, handling
from typedbus.nats._watcher import Message

P = ParamSpec("P")


@attrs.define(eq=False)
class Receiver(Generic[P]):
    """
    Calls the listeners of a channel with the signals of its port in this process and in others.

    It is a run: it receives from when the bus has STARTED until the bus, or its component, stops. It calls the
    listeners for one signal at a time, in the order of arrival: listeners of an async channel on the event loop, listeners
    of a `Channel` in a thread of the receiver. A listener that raises is logged with its traceback, and the next
    signal follows.

    Signals are lost while there is no receiver, while there is no connection, and while *most* signals wait here. Signals
    that are lost here, or cannot be decoded, are counted, and published on `LINK` as `SignalsDropped`, at most once a second.
    The first signal of a process with another declaration of the channel is published as `SchemaMismatch`.

    Args:
        link: The connection.
        bound: The channel on the bus of this process.
        group: One process of all with this group receives a signal; with None all of them receive it.
        most: How many signals may wait for the listeners.

    Raises:
        OtherBus: The channel belongs to another bus than the link.
        SchemaFault: The arguments of the channel cannot be sent, or its result is not None.
        PortFault: The group or the number cannot be used.
        Denied: From the run, if the server does not let this user subscribe to the signals.
    """

    link: Link
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    group: str | None = attrs.field(default=None, kw_only=True)
    most: int = attrs.field(default=1024, kw_only=True)
    _schema: MessageSchema[P, None] = attrs.field(init=False, repr=False)
    _losses: Losses = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._schema = event_schema_of(channel_of(self.link, self.bound), self.link.codec)
        name = self._schema.name
        self._losses = Losses(name)
        if self.group is not None and not is_word(self.group):
            raise PortFault(name, "group", self.group, "pass printable ASCII characters without spaces, or None")
        if not is_count(self.most):
            raise PortFault(name, "most", self.most, "pass a whole number from 1 up")

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
            await _Receiving(session, self.bound, self._schema, self._losses, self.most).run(
                stopping, signal_subject(self.link.prefix, self._schema.name), self.group or ""
            )
        finally:
            self._losses.close()


@attrs.define(eq=False)
class _Signal:
    """A signal that has arrived; *error* is the error of its decoding, or of its listeners."""

    data: bytes
    origin: str
    headers: Mapping[str, str]
    is_handled: bool = False
    error: BaseException | None = None

    def begin(self, _stack: Callable[[], str]) -> None:
        """Do nothing: the stack of the thread is read when a stop waits for it."""


@attrs.define(eq=False)
class _Receiving(Generic[P]):
    """One run of a receiver; all methods except `_call` run on the event loop."""

    session: Session
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    schema: MessageSchema[P, None]
    losses: Losses
    most: int
    serving: Serving[_Signal] = attrs.field(init=False)
    waiting: int = attrs.field(init=False, default=0)
    lost: int = attrs.field(init=False, default=0)
    #: The processes that were reported: for another declaration, and for a signal that cannot be decoded.
    strangers: set[str] = attrs.field(init=False, factory=set)
    unreadable: set[str] = attrs.field(init=False, factory=set)

    async def run(self, stopping: Stopping, subject: str, group: str) -> None:
        session, channel = self.session, self.schema.name
        name = name_of_run(channel)
        workers = workers_for(self.bound, self._call, self._call_async, self._called, session, name=name, count=1)
        self.serving = Serving(
            session, channel, subject, group, workers, self._receive, self._given_back, finishes=False
        )
        await self.serving.run(stopping, self._count_lost)

    def _count_lost(self) -> None:
        subscription = self.serving.subscription
        if subscription is not None and subscription.dropped > self.lost:
            self.losses.add(subscription.dropped - self.lost, "the event loop was blocked")
            self.lost = subscription.dropped

    def _given_back(self, _signal: _Signal) -> None:
        self.waiting -= 1
        self.losses.add(1, "the receiver has stopped")

    def _receive(self, message: Message) -> None:
        headers = message.headers or {}  # one signal a second has some
        if headers:
            report_mismatch(self.session, self.schema, headers, self.strangers)
        if not self.serving.takes:
            self.losses.add(1, "the receiver has stopped")
        elif self.waiting > self.most:  # one of them does not wait, but is handled
            self.losses.add(1, f"more than {self.most} signals waited for the listeners")
        else:
            self.waiting += 1
            self.serving.workers.put(_Signal(message.data, origin_in(headers), headers))

    def _called(self, signal: _Signal) -> None:
        self.waiting -= 1
        if isinstance(signal.error, DecodeFailed):
            self.losses.add(1, "it cannot be decoded")
            if is_new(signal.origin, self.unreadable):
                self.session.bus.log(f"a signal of {signal.origin} was dropped: {signal.error}", ERROR)
        elif ends_process(signal.error):
            self.serving.fail(signal.error)

    def _call(self, signal: _Signal) -> None:
        """Call the listeners of a `Channel`, in the thread."""
        bound = cast("BoundChannel[..., None]", self.bound)
        end = self._traced(signal)
        try:
            args, kwargs = self.schema.decode(signal.data)
            bound.publish(*args, **kwargs)
            signal.is_handled = True
        except BaseException as error:
            self._failed(signal, error)
        end(signal.error)

    async def _call_async(self, signal: _Signal) -> None:
        """Call the listeners of an `AsyncChannel`."""
        bound = cast("AsyncBoundChannel[..., None]", self.bound)
        end = self._traced(signal)
        try:
            args, kwargs = self.schema.decode(signal.data)
            await bound.publish(*args, **kwargs)
            signal.is_handled = True
        except BaseException as error:
            self._failed(signal, error)
        end(signal.error)

    def _traced(self, signal: _Signal) -> EndSpan:
        return handling(self.session.tracing, "process", self.serving.subject, signal.headers, self.serving.group)

    def _failed(self, signal: _Signal, error: BaseException) -> None:
        signal.error = error
        if not isinstance(error, DecodeFailed):
            self.session.bus.log(
                f"a listener of {self.schema.name!r} failed on a signal of {signal.origin}\n{traceback_of(error)}",
                ERROR,
            )
