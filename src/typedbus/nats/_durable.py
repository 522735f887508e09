"""The events of a port that are on their way to a stream: sent, sent again, and ended by their deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Final

import attrs
import msgspec

from typedbus._bus.builtin import ERROR
from typedbus.nats._errors import Denied, LinkClosed, NotStored, OutcomeUnknown, StreamFault, TooLarge
from typedbus.nats._events import Unresolved
from typedbus.nats._headers import has_no_receiver
from typedbus.nats._pending import Answer, Pending, Receipt, decode_answer
from typedbus.nats._session import Session
from typedbus.nats._streams import Stream, ensure, named
from typedbus.nats._watcher import Message
from typedbus.nats._window import Window

#: Seconds between two looks at the deadlines.
_TICK: Final = 0.1
#: Seconds until an event without an answer is sent again, doubled each time: the server that had it may have ended.
_UNANSWERED: Final = 1.0
_LONGEST_UNANSWERED: Final = 2.0
#: Seconds until an event is sent again that the server could not store for the moment, doubled each time.
_REFUSED: Final = 0.1
_LONGEST_REFUSED: Final = 0.5


@attrs.define(eq=False)
class Durable:
    """
    The events of one port from its start to its stop. All methods are called on the event loop.

    An event ends with a receipt or an exception by its deadline, also when the connection blocks: nothing here waits
    for the connection. Without an acknowledgement it is sent again with the same id, after a reconnection and after a
    pause.

    Args:
        session: The connection.
        channel: The name of the channel.
        stream: The stream of the events.
        deadline: How long an event may take, in seconds.
        size: How many events may be in flight.

    Attributes:
        window: The slots of the events; a slot is taken before `enter`.
        subject: The subject of the events.
    """

    session: Session
    channel: str
    stream: Stream | str
    deadline: float
    size: int
    window: Window = attrs.field(init=False)
    subject: str = attrs.field(init=False)
    #: By the subjects of their replies, in the order in which they came.
    _pending: dict[str, Pending] = attrs.field(init=False, factory=dict)
    _timer: asyncio.TimerHandle | None = attrs.field(init=False, default=None)
    _checking: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    _unwatch: Callable[[], None] | None = attrs.field(init=False, default=None)
    #: Set when the last event has ended after `close`.
    _is_idle: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _is_checked: bool = attrs.field(init=False, default=False)
    #: The problem of the stream that was logged last.
    _logged: str = attrs.field(init=False, default="")
    _is_closed: bool = attrs.field(init=False, default=False)
    #: The ids of the events without an outcome since `close`.
    _unresolved: list[str] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.window = Window(self.size)
        self.subject = named(self.stream).subject_of(self.channel)

    async def open(self, within: float) -> None:
        """
        Check the stream, at the next connection if there is none.

        Raises:
            StreamFault: There is a connection, and the stream does not fit or cannot be created.
            Denied: The server does not let this user receive acknowledgements.
        """
        self.session.check_replies(self.channel)
        if self.session.connection.is_connected:
            await self._ensure(within)
            self._is_checked = True
        self._unwatch = self.session.watch(self)

    async def close(self) -> None:
        """
        Grant no more slots, and wait until the events have ended, which their deadlines limit.

        The events without an outcome, also those of a call that is cancelled, are reported with `Unresolved`.
        """
        self.window.close()
        try:
            if not self.window.is_unused:
                # A thread that was interrupted between two steps of a publish never gives its slot back.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.deadline + 3 * _TICK):
                        await self._is_idle.wait()
        finally:
            self._is_closed = True
            for pending in tuple(self._pending.values()):
                self._expire(pending)
            if self._timer is not None:
                self._timer.cancel()
            if self._checking is not None:
                self._checking.cancel()
            if self._unwatch is not None:
                self._unwatch()
            if self._unresolved:
                self.session.report(Unresolved(self.channel, tuple(self._unresolved)))

    def enter(self, pending: Pending) -> None:
        """Send *pending*, which has a slot of the window, now or when there is a connection."""
        if self._is_closed:
            pending.future.set_exception(LinkClosed(self.channel))
            return
        pending.reply = self.session.replies.expect(self._answered)
        self._pending[pending.reply] = pending
        if self._timer is None:
            self._timer = self.session.loop.call_later(_TICK, self._tick)
        if self.session.connection.is_connected:
            self._send(pending)
        else:
            pending.reason = f"there was no connection: {self.session.connection.last_error}"

    def connected(self, server: str) -> None:
        """Send all events again, since their answers are lost."""
        if not self._is_checked:
            self._is_checked = True
            self._check()
        for pending in tuple(self._pending.values()):
            self._send(pending)

    def disconnected(self, reason: str) -> None:
        """Wait for the next connection."""

    def denied(self, subject: str) -> None:
        """End all events if it is their subject."""
        if subject.lower() == self.subject.lower():
            for pending in tuple(self._pending.values()):
                self._end(pending, Denied(self.channel, self.subject))

    def replies_refused(self) -> None:
        """Do nothing: each event ends when it would be sent again."""

    def _send(self, pending: Pending) -> None:
        connection = self.session.connection
        if pending.size > connection.max_payload:
            self._end(pending, TooLarge(self.channel, pending.size, connection.max_payload))
            return
        if (denied := self.session.replies_denied(self.channel)) is not None:
            self._end(pending, denied)
            return
        pending.attempts += 1
        pending.unanswered += 1
        pending.due = self.session.loop.time() + min(_UNANSWERED * 2 ** (pending.attempts - 1), _LONGEST_UNANSWERED)
        connection.send(
            self.subject, pending.data, pending.reply, pending.headers, functools.partial(self._dropped, pending)
        )

    def _dropped(self, pending: Pending, reason: str) -> None:
        pending.unanswered -= 1
        self._postpone(pending, f"there was no connection: {reason}")

    def _postpone(self, pending: Pending, reason: str) -> None:
        pending.reason = reason
        pending.due = self.session.loop.time() + min(_REFUSED * 2**pending.attempts, _LONGEST_REFUSED)

    def _answered(self, message: Message) -> None:
        pending = self._pending[message.subject]
        if has_no_receiver(message.headers):
            pending.unanswered -= 1
            pending.has_no_stream = True
            self._postpone(pending, f"no stream takes the subject {self.subject!r}")
            self._check()
            return
        try:
            answer = decode_answer(message.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # a listener on the subject has answered, and not the server
        if answer.error is None:
            if answer.stream:
                self._end(pending, answer)
            return
        pending.unanswered -= 1
        pending.has_no_stream = False
        if answer.error.is_final:
            self._end(pending, NotStored(self.channel, pending.message_id, answer.error.text))
        else:
            self._postpone(pending, answer.error.text)

    def _end(self, pending: Pending, outcome: Answer | Exception) -> None:
        del self._pending[pending.reply]
        self.session.replies.forget(pending.reply)
        future = pending.future
        # The caller of `publish` may have been cancelled.
        if not future.done():
            if isinstance(outcome, Answer):
                future.set_result(Receipt(outcome.stream, outcome.seq, pending.message_id, outcome.duplicate))
            else:
                future.set_exception(outcome)
        self.window.give()
        if self.window.is_closed and self.window.is_unused:
            self._is_idle.set()

    def _expire(self, pending: Pending) -> None:
        if pending.unanswered:
            if self.window.is_closed:
                self._unresolved.append(pending.message_id)
            self._end(pending, OutcomeUnknown(self.channel, pending.message_id, self.deadline))
        else:
            self._end(pending, NotStored(self.channel, pending.message_id, pending.reason))

    def _tick(self) -> None:
        now = self.session.loop.time()
        connection = self.session.connection
        # While messages wait for a writer that is blocked, more of them are of no use.
        may_send = connection.is_connected and not connection.waiting
        for pending in tuple(self._pending.values()):
            if pending.deadline <= now:
                self._expire(pending)
            elif may_send and pending.due <= now:
                self._send(pending)
        self._timer = self.session.loop.call_later(_TICK, self._tick) if self._pending else None

    def _check(self) -> None:
        """Check the stream in a task, unless one does so already."""
        if self._checking is None:
            self._checking = self.session.loop.create_task(
                self._check_now(), name=f"typedbus.nats checks {self.channel}"
            )

    async def _check_now(self) -> None:
        try:
            await self._ensure(self.deadline)
        except StreamFault as fault:
            # An event that is refused during an election waits for its end, up to its own deadline.
            if not fault.is_temporary:
                for pending in tuple(self._pending.values()):
                    if pending.has_no_stream:
                        self._end(pending, NotStored(self.channel, pending.message_id, str(fault)))
            if fault.problem != self._logged:
                self._logged = fault.problem
                self.session.bus.log(f"events on {self.channel!r} cannot be stored: {fault}", ERROR)
        else:
            self._logged = ""
        finally:
            self._checking = None

    async def _ensure(self, within: float) -> None:
        # An event is sent until its deadline, and may wait as long again in the buffers of a server that does not read.
        await ensure(self.session.connection, self.stream, self.subject, within=within, horizon=2 * self.deadline)
