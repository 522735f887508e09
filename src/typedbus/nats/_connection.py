"""The connection to the servers, which is made again whenever it is lost, with another line to the next server."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import attrs
from nats.errors import ConnectionClosedError, Error
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from typedbus.nats._addresses import Rotation
from typedbus.nats._errors import ServerTooOld
from typedbus.nats._line import Line, text_of_error
from typedbus.nats._security import Options
from typedbus.nats._subscriptions import Subscription, Subscriptions, drain
from typedbus.nats._watcher import Message, Owner

T = TypeVar("T")

#: Seconds between two rounds of attempts, each of which tries all servers.
_PAUSE: Final = 0.2
#: Seconds for a subscription, whose request only has to be written.
_PATIENCE: Final = 1.0
_LIMIT: Final = 65_536
#: The limit of a server for a message by default, in bytes.
_MAX_PAYLOAD: Final = 1 << 20


@attrs.define(eq=False)
class Connection:
    """
    A connection that is made again whenever it is lost. All methods are called in the thread of the event loop.

    Args:
        options: How to connect.
        owner: Notified of changes and errors.

    Attributes:
        last_error: Why the last connection, or the last attempt, has failed.
        last_denied: The last subject of a message that the server has refused, maybe in lower case.
        max_payload: The limit of the server for a message, in bytes; 1 MiB before the first connection.
    """

    options: Options
    owner: Owner
    last_error: str = attrs.field(init=False, default="no server has answered yet")
    last_denied: str = attrs.field(init=False, default="")
    max_payload: int = attrs.field(init=False, default=_MAX_PAYLOAD)
    _loop: asyncio.AbstractEventLoop = attrs.field(init=False, factory=asyncio.get_running_loop)
    #: The line that is open and has all subscriptions.
    _line: Line | None = attrs.field(init=False, default=None)
    _subscriptions: Subscriptions = attrs.field(init=False)
    _keeping: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    #: Also the calls that have missed their deadline, and those in `_closing`.
    _tasks: set[asyncio.Task[Any]] = attrs.field(init=False, factory=set)
    #: The ends of lines, which are not cancelled.
    _closing: set[asyncio.Task[Any]] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._subscriptions = Subscriptions(self.owner.failed)

    @property
    def is_connected(self) -> bool:
        """Whether messages can be sent; may be read in any thread."""
        return self._line is not None

    @property
    def waiting(self) -> int:
        """How many messages wait for the writer."""
        return 0 if self._line is None else len(self._line.outgoing)

    @property
    def streams(self) -> JetStreamContext:
        """
        The API of JetStream; pass each of its coroutines to `bounded`.

        Raises:
            nats.errors.ConnectionClosedError: There is no connection.
        """
        if self._line is None:
            raise ConnectionClosedError
        return self._line.client.jetstream()

    def new_inbox(self) -> str:
        """Return a subject that no other process uses."""
        return f"_INBOX.{uuid.uuid4().hex}"

    async def open(self, within: float) -> bool:
        """
        Connect, and return whether there is a connection after *within* seconds; the attempts continue if not.

        Raises:
            ServerTooOld: The first server that answered is older than 2.10.23.
        """
        first = self._loop.create_future()
        self._keeping = self._start(self._keep(first), "keeps the connection")
        try:
            await asyncio.wait({first}, timeout=within)
            if first.done():
                first.result()
        finally:
            first.cancel()
        return self.is_connected

    def send(
        self,
        subject: str,
        data: bytes,
        reply: str = "",
        headers: dict[str, str] | None = None,
        dropped: Callable[[str], object] | None = None,
    ) -> None:
        """
        Queue a message; without a connection, and when the connection is lost before it is written, it is dropped.

        Args:
            subject: The subject of the message.
            data: Its body, at most `max_payload` bytes with the headers.
            reply: The subject for replies.
            headers: Its headers, of printable ASCII alone.
            dropped: Called with the reason if the message is dropped; without it, an error of the message is logged.
        """
        line = self._line
        if line is not None:
            line.queue((subject, data, reply, headers, dropped))
        elif dropped is not None:
            dropped(self.last_error)

    async def subscribe(
        self,
        subject: str,
        receive: Callable[[Message], None],
        *,
        group: str = "",
        limit: int = _LIMIT,
        refused: Callable[[], object] | None = None,
    ) -> Subscription:
        """
        Call *receive* with each message on *subject*, of each connection to come as well, until `unsubscribe`.

        Args:
            subject: The subject, which may have wildcards.
            receive: Called in the thread of the loop; it must not block. An exception is logged.
            group: The processes with this group share the messages.
            limit: How many messages may wait for *receive*; further messages are lost, and counted.
            refused: Called if the server does not let this user subscribe, on this connection or a later one; without
                it the error is logged.
        """
        subscription = Subscription(subject, receive, group, limit, refused)
        self._subscriptions.all.append(subscription)
        if self._line is not None:
            # A connection that is lost now subscribes again when it is made again.
            with contextlib.suppress(Error, TimeoutError):
                await self.bounded(self._subscriptions.begin(subscription, self._line), _PATIENCE)
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End *subscription*. It receives the messages that were sent until then, if the server answers within 1 second."""
        if subscription in self._subscriptions.all:
            self._subscriptions.all.remove(subscription)
        handle, subscription.handle = subscription.handle, None
        line = self._line
        if handle is not None and line is not None and subscription.line is line:
            with contextlib.suppress(Error, TimeoutError):
                await self.bounded(drain(handle, line), _PATIENCE)
            with contextlib.suppress(Error, TimeoutError):
                await self.bounded(handle.unsubscribe(), _PATIENCE)

    async def flush(self, within: float) -> bool:
        """Wait until the server has received every message that was queued before; return whether it has in time."""
        return self._line is not None and await self._line.flush(within)

    async def bounded(self, call: Coroutine[Any, Any, T], within: float) -> T:
        """
        Await *call* for *within* seconds, or until the connection is lost. Then it is cancelled, and ends by itself.

        Raises:
            TimeoutError: It has not ended in time.
            nats.errors.ConnectionClosedError: The connection was lost; nats-py would wait for its own time limit.
            Exception: Any error of the call.
        """
        task = self._start(call, "calls")
        waited: set[asyncio.Future[Any]] = {task}
        if self._line is not None:
            waited.add(self._line.is_lost)
        try:
            ended, _ = await asyncio.wait(waited, timeout=max(within, 0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        if not ended:
            raise TimeoutError(f"no answer within {within:.3g} s")
        if not task.done():
            raise ConnectionClosedError
        try:
            return task.result()
        except NatsTimeout as error:
            raise TimeoutError(f"no answer within {within:.3g} s") from error

    async def close(self, within: float) -> None:
        """
        Send the queued messages, and close the connection, after *within* seconds at the latest.

        A server that does not read is cut off. Messages that were not written are dropped.
        """
        keeping = self._keeping
        if keeping is None:
            return
        try:
            if within > 0:
                await self.flush(within)
        finally:
            # Also if the stop is called off: everything ends by itself then.
            line, self._line = self._line, None
            if line is not None:
                self._cut(line, "the link has stopped")
            keeping.cancel()
            self._keeping = None
        # A cancellation is ignored by some calls of nats-py; each round ends the next of their waits.
        while rest := {task for task in self._tasks if task is not asyncio.current_task()}:
            for task in rest - self._closing:
                task.cancel()
            await asyncio.wait(rest, timeout=0.02)

    async def _keep(self, first: asyncio.Future[None]) -> None:
        """Connect, and connect again whenever the connection is lost; *first* receives the result of the first time."""
        servers, tried = Rotation(self.options.servers), 0
        while True:
            address = servers.next()
            line = Line(address, self._failed, self._denied, self._subscriptions.refused)
            was_open = False
            try:
                await line.open(self.options)
                while (missing := self._subscriptions.missing(line)) is not None:
                    await self.bounded(self._subscriptions.begin(missing, line), _PATIENCE)
                tried, was_open, self._line, self.max_payload = 0, True, line, line.client.max_payload
                if not first.done():
                    first.set_result(None)
                self.owner.connected(address.url)
                self.last_error = f"{address.url}: {await line.is_lost}"
                servers.discovered((place.netloc for place in line.client.discovered_servers), address)
            except Exception as error:
                self.last_error = f"{address.url}: {text_of_error(error)}"
                if isinstance(error, ServerTooOld) and not first.done():
                    first.set_exception(error)
            finally:
                self._line = None
                self._cut(line, self.last_error)
            if was_open:
                self.owner.disconnected(self.last_error)
            tried += 1
            if tried % servers.count == 0:
                await asyncio.sleep(_PAUSE)

    def _cut(self, line: Line, reason: str) -> None:
        closing = line.cut(reason)
        self._track(closing)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _start(self, call: Coroutine[Any, Any, T], action: str) -> asyncio.Task[T]:
        task = self._loop.create_task(call, name=f"typedbus.nats {action}")
        self._track(task)
        return task

    def _track(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the waiter has it, if there is one; a call that missed its deadline has none

    def _denied(self, subject: str) -> None:
        self.last_denied = subject
        self.owner.denied(subject)

    def _failed(self, error: Exception) -> None:
        if not self._subscriptions.failed(error):
            self.owner.failed(text_of_error(error))
