"""The run of a responder or a receiver: a subscription, and the workers that call the listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeGuard, TypeVar

import attrs

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR
from typedbus._bus.bus import parts_of
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus.nats._errors import Denied
from typedbus.nats._events import SchemaMismatch
from typedbus.nats._headers import SCHEMA_HEADER, origin_in
from typedbus.nats._schema import MessageSchema
from typedbus.nats._session import Session
from typedbus.nats._subscriptions import Subscription
from typedbus.nats._watcher import Message
from typedbus.nats._workers import Tasks, Threads, Work

W = TypeVar("W", bound=Work)

#: Seconds between two signs of life of the run.
_BEAT: Final = 1.0
#: How many processes are remembered by `is_new`.
_MOST_ORIGINS: Final = 1000


@attrs.define(eq=False)
class Serving(Generic[W]):
    """
    One run, from its begin to its end, on the event loop.

    Args:
        session: The connection and its parts.
        channel: The name of the channel.
        subject: The subject of its messages.
        group: The processes with this group share the messages; "" for none.
        workers: Call the listeners.
        receive: Called with each message.
        given_back: Called at the end with each message for which no listener was called.
        finishes: Whether the listeners are called for the messages that wait when the run is asked to end.

    Attributes:
        takes: Whether messages may be given to the workers.
        subscription: The subscription; None before the begin.
    """

    session: Session
    channel: str
    subject: str
    group: str
    workers: Threads[W] | Tasks[W]
    receive: Callable[[Message], None]
    given_back: Callable[[W], object]
    finishes: bool
    takes: bool = attrs.field(init=False, default=True)
    subscription: Subscription | None = attrs.field(init=False, default=None)
    _trouble: asyncio.Future[BaseException] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._trouble = self.session.loop.create_future()

    def fail(self, error: BaseException) -> None:
        """End the run with *error*."""
        if not self._trouble.done():
            self._trouble.set_result(error)

    async def run(self, stopping: Stopping, tick: Callable[[], object] = str) -> None:
        """
        Receive messages until *stopping* is set; call *tick* once a second.

        Raises:
            Denied: The server does not let this user subscribe.
            BaseException: The argument of `fail`.
        """
        connection = self.session.connection
        if isinstance(self.workers, Threads):
            self.workers.start()
        denied = Denied(self.channel, self.subject, "subscribe to")
        stopped = self.session.loop.create_task(stopping.until_set(), name=f"{self.channel} waits")
        ends: set[asyncio.Future[Any]] = {stopped, self._trouble}
        try:
            self.subscription = await connection.subscribe(
                self.subject, self.receive, group=self.group, refused=lambda: self.fail(denied)
            )
            await connection.flush(1.0)
            if not self._trouble.done():  # the server passes messages on
                stopping.ready()
            while not (stopped.done() or self._trouble.done()):
                stopping.beat()
                await asyncio.wait(ends, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED)
                tick()
        finally:
            stopped.cancel()
            await self._end()
        if self._trouble.done():
            raise self._trouble.result()

    async def _end(self) -> None:
        connection = self.session.connection
        try:
            if self.subscription is not None:
                await connection.unsubscribe(self.subscription)
            self.takes = False
            if not self.finishes:
                self._give_back()
            await self.workers.end()
            await connection.flush(1.0)
        except asyncio.CancelledError:  # the patience of the stop is over
            self.takes = False
            self._give_back()
            if stacks := self.workers.cancel():
                self.session.bus.log(f"a listener of {self.channel!r} has not returned:\n{stacks}", ERROR)
            # A thread that does not return leaves the run behind, which the stop reports.
            await self.workers.end()
            raise

    def _give_back(self) -> None:
        for work in self.workers.take_back():
            self.given_back(work)


def ends_process(error: BaseException | None) -> TypeGuard[BaseException]:
    """Return whether a listener has raised `SystemExit` or a similar exception, which ends the run and with it the process."""
    return error is not None and not isinstance(error, Exception | asyncio.CancelledError)


def workers_for(
    bound: object,
    call: Callable[[W], object],
    call_async: Callable[[W], Awaitable[object]],
    ended: Callable[[W], object],
    session: Session,
    *,
    name: str,
    count: int,
) -> Threads[W] | Tasks[W]:
    """Return workers that use *call* in threads for a `BoundChannel`, and *call_async* in tasks for an `AsyncBoundChannel`."""
    if isinstance(bound, AsyncBoundChannel):
        return Tasks(call_async, ended, name, count)
    return Threads(call, ended, session.handover, parts_of(session.bus).machine.runs.get().own, name, count)


def report_mismatch(
    session: Session, schema: MessageSchema[..., Any], headers: Mapping[str, str], known: set[str]
) -> None:
    """Report the first message of a process that is not *known* to declare the channel differently."""
    theirs = headers.get(SCHEMA_HEADER, schema.fingerprint)
    if theirs != schema.fingerprint and is_new(origin := origin_in(headers), known):
        session.report(SchemaMismatch(schema.name, origin, schema.fingerprint, theirs))


def name_of_run(channel: str) -> str:
    """Return the name of the run that calls this, for its threads and tasks."""
    task = asyncio.current_task()
    return channel if task is None else task.get_name()


def is_new(origin: str, known: set[str]) -> bool:
    """Return whether *origin* is not *known* yet, and remember it."""
    if origin in known:
        return False
    if len(known) >= _MOST_ORIGINS:
        known.clear()
    known.add(origin)
    return True
