"""Calls that send a question and wait for answers, on the event loop or in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, Literal, NoReturn, Protocol, TypeVar

import attrs

from typedbus._base.errors import LoopError
from typedbus._base.numbers import is_seconds
from typedbus._base.sync import new_lock
from typedbus.nats._errors import Denied, Disconnected, LinkClosed, PortFault, TooLarge
from typedbus.nats._handover import runs_loop
from typedbus.nats._headers import ALL_HEADER, ORIGIN_HEADER, SCHEMA_HEADER, size_of

if TYPE_CHECKING:
    from typedbus.nats._link import Link
    from typedbus.nats._replies import Replies
    from typedbus.nats._session import Session
    from typedbus.nats._tracing import AnyFuture
    from typedbus.nats._watcher import Message

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Seconds between two questions with the fingerprint: each header costs time in both processes.
_FIRST_EVERY: Final = 1.0
#: How many seconds a thread waits for a blocked event loop longer than for an answer.
_LATE: Final = 0.2


class Collector(Protocol[T_co]):
    """Makes the outcome of one call, or of all calls, from the answers; its methods are called on the event loop."""

    def received(self, message: Message) -> T_co | None:
        """Return the outcome, or None if the call goes on."""
        ...

    def expired(self) -> T_co:
        """Return the outcome at the end of the time."""
        ...


@attrs.define(eq=False)
class _Call(Generic[T]):
    """One call; its methods are called on the event loop."""

    calls: Calls[T]
    collector: Collector[T]
    data: bytes
    headers: dict[str, str]
    deliver: Callable[[T | Disconnected | Denied], object]
    reply: str = attrs.field(init=False, default="")
    replies: Replies | None = attrs.field(init=False, default=None)
    due: float = attrs.field(init=False, default=0.0)
    #: The end of the wait for another answer.
    stalled: asyncio.TimerHandle | None = attrs.field(init=False, default=None)

    def receive(self, message: Message) -> None:
        """Receive an answer."""
        outcome = self.collector.received(message)
        if outcome is not None:
            self.settle(outcome)
        elif self.calls.stall is not None:
            if self.stalled is not None:
                self.stalled.cancel()
            self.stalled = asyncio.get_running_loop().call_later(self.calls.stall, self.expire)

    def expire(self) -> None:
        """End at the end of the time."""
        self.settle(self.collector.expired())

    def dropped(self, reason: str) -> None:
        """End, since the question was not sent."""
        self.settle(Disconnected(self.calls.name, was_sent=False, reason=reason))

    def settle(self, outcome: T | Disconnected | Denied) -> None:
        """End with *outcome*, unless it has ended."""
        if self.forget():
            self.deliver(outcome)

    def forget(self, _: object = None) -> bool:
        """Ignore all further answers, and return whether it had not ended."""
        if self.replies is None:
            return False
        if self.stalled is not None:
            self.stalled.cancel()
        self.replies.forget(self.reply)
        self.replies = None
        del self.calls.waiting[self]
        return True


@attrs.define(eq=False)
class Calls(Generic[T]):
    """
    The calls of one port.

    Args:
        link: The link of the port.
        name: The name of its channel.
        fingerprint: The fingerprint of the arguments.
        timeout: How many seconds a call takes at the most.
        stall: A call ends this many seconds after an answer, if no other one comes; None for no such end.
        wants_all: Whether the results of all listeners are wanted.

    Raises:
        PortFault: *timeout* or *stall* is no number of seconds.
    """

    link: Link
    name: str
    fingerprint: str
    timeout: float
    stall: float | None = None
    wants_all: bool = False
    #: In the order of their deadlines, which are equally long.
    waiting: dict[_Call[T], None] = attrs.field(init=False, repr=False, factory=dict)
    #: For the first deadline; a timer for each call would cost more than the hand-over to the connection.
    _timer: asyncio.TimerHandle | None = attrs.field(init=False, repr=False, default=None)
    _subject: str = attrs.field(init=False, repr=False, default="")
    _headers: dict[str, str] = attrs.field(init=False, repr=False, factory=dict)
    #: The headers of one question a second: a responder needs the fingerprint only to report another declaration.
    _first_headers: dict[str, str] = attrs.field(init=False, repr=False, factory=dict)
    _next_first: float = attrs.field(init=False, repr=False, default=0.0)
    _header_size: int = attrs.field(init=False, repr=False, default=0)
    _session: Session | None = attrs.field(init=False, repr=False, default=None)
    _unwatch: Callable[[], None] | None = attrs.field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        for option, seconds in ("timeout", self.timeout), ("stall", self.stall):
            if not is_seconds(seconds) and (option == "timeout" or seconds is not None):
                raise PortFault(self.name, option, seconds, "give a number of seconds above 0")

    async def start(self) -> None:
        """
        Begin to use the connection of the link.

        Raises:
            LinkClosed: The link has not started.
            Denied: The server does not let this user receive answers.
        """
        session = self.link.session(self.name)
        session.check_replies(self.name)
        self._subject = question_subject(self.link.prefix, self.name)
        self._headers = {ORIGIN_HEADER: session.origin, **({ALL_HEADER: "1"} if self.wants_all else {})}
        self._first_headers = {**self._headers, SCHEMA_HEADER: self.fingerprint}
        self._header_size = size_of(self._first_headers)
        self._unwatch = session.watch(self)
        self._session = session

    async def stop(self) -> None:
        """End the calls that wait, with `Disconnected`; further calls raise `LinkClosed`."""
        self._session = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self.disconnected("the port has stopped")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def awaited(
        self, action: Literal["ask", "gather"], collector: Collector[T], data: bytes
    ) -> T | Disconnected | Denied:
        """
        Send *data*, and return the outcome.

        Raises:
            LinkClosed: The link has not started, or has stopped.
            LoopError: The caller runs on another event loop than the loop of the link; *action* names the call.
            TooLarge: The server does not allow a message of this size.
        """
        session = self._checked(data)
        loop = session.loop
        if asyncio.get_running_loop() is not loop:
            self._refuse(
                action, f"this is not the event loop of its link; call {action}_from_thread in a thread instead"
            )
        future: asyncio.Future[T | Disconnected | Denied] = loop.create_future()

        def deliver(outcome: T | Disconnected | Denied) -> None:
            if not future.done():
                future.set_result(outcome)

        call = _Call(self, collector, data, self._traced(session, action, data, future), deliver)
        self._begin(call)
        try:
            return await future
        finally:
            call.forget()

    def blocked(
        self, action: Literal["ask", "gather"], collector: Collector[T], data: bytes
    ) -> T | Disconnected | Denied:
        """Send *data*, and wait in this thread for the outcome; the errors are as for `awaited`."""
        session = self._checked(data)
        if runs_loop():
            self._refuse(f"{action}_from_thread", f"an event loop runs in this thread; await {action}(...) instead")
        # A future costs a thread twice as much as a lock and a list, whose first item is the outcome.
        outcomes: list[T | Disconnected | Denied] = []
        woken = new_lock()
        woken.acquire()

        def deliver(outcome: T | Disconnected | Denied) -> None:
            outcomes.append(outcome)
            woken.release()

        span: AnyFuture | None = None if session.tracing is None else concurrent.futures.Future()
        try:
            call = _Call(self, collector, data, self._traced(session, action, data, span), deliver)
            try:
                session.handover.call(self._begin, call)
            except RuntimeError as error:  # the loop is closed
                raise LinkClosed(self.name) from error
            if not woken.acquire(timeout=self.timeout + _LATE):
                outcomes.append(collector.expired())
                with contextlib.suppress(RuntimeError):
                    session.handover.call(call.forget, None)
            return outcomes[0]
        finally:
            if span is not None and not span.done():  # it is done if the headers are too large
                span.set_result(outcomes[0]) if outcomes else span.cancel()

    def connected(self, server: str) -> None:
        """There is a connection again."""

    def disconnected(self, reason: str) -> None:
        """End the calls that wait: no answer arrives on the next connection."""
        self._end(Disconnected(self.name, was_sent=True, reason=reason))

    def denied(self, subject: str) -> None:
        """End the calls that wait, if *subject* is the subject of the port."""
        if subject.lower() == self._subject.lower():
            self._end(Denied(self.name, self._subject))

    def replies_refused(self) -> None:
        """End the calls that wait."""
        if self._session is not None and (failure := self._session.replies_denied(self.name)) is not None:
            self._end(failure)

    def _end(self, failure: Disconnected | Denied) -> None:
        for call in tuple(self.waiting):
            call.settle(failure)

    def _checked(self, data: bytes) -> Session:
        session = self._session
        if session is None:
            raise LinkClosed(self.name)
        session.check_process(self.name)
        size, limit = len(data) + self._header_size, session.connection.max_payload
        if size > limit:
            raise TooLarge(self.name, size, limit)
        return session

    def _traced(
        self, session: Session, action: Literal["ask", "gather"], data: bytes, future: AnyFuture | None
    ) -> dict[str, str]:
        """Return the headers of a call, with the context of its span if there is one."""
        headers = self._headers
        if (now := session.loop.time()) >= self._next_first:
            headers, self._next_first = self._first_headers, now + _FIRST_EVERY
        if session.tracing is None:
            return headers
        headers = headers.copy()
        session.tracing.sending(action, self._subject, headers, future)
        size, limit = len(data) + size_of(headers), session.connection.max_payload
        if size > limit:
            error = TooLarge(self.name, size, limit)
            if future is not None:
                future.set_exception(error)
            raise error
        return headers

    def _begin(self, call: _Call[T]) -> None:
        session = self._session
        if session is None:  # the port has stopped since the thread has called it
            call.deliver(Disconnected(self.name, was_sent=False, reason="the port has stopped"))
            return
        if (denied := session.replies_denied(self.name)) is not None:
            call.deliver(denied)
            return
        call.replies = session.replies
        call.reply = session.replies.expect(call.receive)
        call.due = session.loop.time() + self.timeout
        self.waiting[call] = None
        if self._timer is None:
            self._timer = session.loop.call_at(call.due, self._expire)
        session.connection.send(self._subject, call.data, call.reply, call.headers, call.dropped)

    def _expire(self) -> None:
        """End the calls that are due, and set the timer for the next one."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call in tuple(self.waiting):
            if call.due > now:
                self._timer = loop.call_at(call.due, self._expire)
                return
            loop.call_soon(call.expire)  # an error of one call must not keep the others

    def _refuse(self, action: str, reason: str) -> NoReturn:
        raise LoopError(f"{action}(...) on {self.name!r}", reason)


def question_subject(prefix: str, channel: str) -> str:
    """Return the subject of the questions on *channel*; signals of the same channel have another one."""
    return f"{prefix}.ask.{channel}"
