"""
The connection to the servers, on nats-py.

nats-py has calls that wait without a limit: `connect` tries forever, `publish` waits forever when the server
does not read, and both may ignore a cancellation. So messages leave through a queue with one
writer, every other call has a deadline, and nothing waits for a call that has missed it.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import re
import ssl
import urllib.parse
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import attrs
from nats.aio.client import Client
from nats.errors import Error, SlowConsumerError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from typedbus._base.failures import error_text
from typedbus.nats._errors import NotConnected, ServerTooOld

T = TypeVar("T")

#: Seconds between pings, and how many may be without an answer: a server that does not answer is left after 6 s.
_PING_INTERVAL: Final = 2
_MOST_PINGS: Final = 2
#: Seconds between two looks for a server that is left and has not read the rest.
_CUT_OFF: Final = 0.5
#: Seconds between two attempts to connect to a server, and for one attempt.
_PAUSE: Final = 0.2
_ATTEMPT: Final = 2
#: The first version that keeps a stream when its process is killed, according to Jepsen's analysis of 2.12.1.
_OLDEST: Final = (2, 10, 23)
_LIMIT: Final = 65_536
_DENIED: Final = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)


class Message(Protocol):
    """A message that has arrived."""

    @property
    def subject(self) -> str: ...
    @property
    def reply(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str] | None: ...


class Outgoing(NamedTuple):
    """A message that waits for the writer; *dropped* is called with the reason if it is never written."""

    subject: str
    data: bytes
    reply: str
    headers: dict[str, str] | None
    dropped: Callable[[str], object] | None


class Watcher(Protocol):
    """An object that is notified of changes of the connection, in the thread of the event loop."""

    def connected(self, server: str) -> None:
        """There is a connection, the first or a new one."""

    def disconnected(self, reason: str) -> None:
        """The connection is lost."""

    def denied(self, subject: str) -> None:
        """The server has refused a message on *subject*, which may be in lower case."""


@attrs.define(eq=False)
class Subscription:
    """
    A subscription that outlives each single connection.

    Attributes:
        dropped: How many messages were lost because more than *limit* waited.
    """

    subject: str
    receive: Callable[[Message], None]
    group: str
    limit: int
    dropped: int = attrs.field(init=False, default=0)
    handle: Any = attrs.field(init=False, default=None)  # nats-py's object for the current connection


@attrs.frozen
class Options:
    """
    How to connect.

    Args:
        servers: The addresses, which may contain a user and a password.
        name: The name of the connection, which the servers show.
        token: Returns the token, if the servers need one; called for each connection.
        nkey_seed: The file with the seed of an nkey.
        credentials: The file with a JWT and the seed of its nkey.
        tls: The context of a connection with TLS.
        tls_hostname: The name that the certificate of the server must have; None for that of the address.
    """

    servers: Sequence[str] = attrs.field(repr=False)
    name: str
    token: Callable[[], str] | None = attrs.field(default=None, repr=False)
    nkey_seed: Path | None = None
    credentials: Path | None = None
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    tls_hostname: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers without users, passwords and tokens."""
        return tuple(map(without_secrets, self.servers))


def without_secrets(address: str) -> str:
    """Return *address* without the user, the password or the token in it."""
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@attrs.define(eq=False)
class Connection:
    """
    A connection that is made again whenever it is lost. All methods are called in the thread of the event loop.

    Args:
        options: How to connect.
        watcher: Notified of changes.
    """

    options: Options
    watcher: Watcher
    last_error: str = attrs.field(init=False, default="no server has answered yet")
    _loop: asyncio.AbstractEventLoop = attrs.field(init=False, factory=asyncio.get_running_loop)
    _client: Client = attrs.field(init=False, factory=Client)
    _outgoing: collections.deque[Outgoing] = attrs.field(init=False, factory=collections.deque)
    _has_outgoing: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    #: Whether the client has all messages that were queued.
    _is_written: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _subscriptions: list[Subscription] = attrs.field(init=False, factory=list)
    #: The task that connects, the writer, and the calls that have missed their deadline.
    _tasks: set[asyncio.Task[Any]] = attrs.field(init=False, factory=set)
    _reconnecting: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    _is_open: bool = attrs.field(init=False, default=False)
    _is_closing: bool = attrs.field(init=False, default=False)

    @property
    def is_connected(self) -> bool:
        """Whether messages can be sent."""
        return self._is_open and self._client.is_connected

    @property
    def max_payload(self) -> int:
        """How many bytes a message may have, as the server says; 1 MiB before the first connection."""
        return self._client.max_payload

    @property
    def waiting(self) -> int:
        """How many messages wait for the writer."""
        return len(self._outgoing)

    @property
    def streams(self) -> JetStreamContext:
        """The API of JetStream; pass each of its coroutines to `bounded`."""
        return self._client.jetstream()

    def new_inbox(self) -> str:
        """Return a subject that no other process uses."""
        return self._client.new_inbox()

    async def open(self, within: float) -> bool:
        """
        Connect, and return whether there is a connection after *within* seconds; the attempts continue if not.

        Raises:
            ServerTooOld: The server is older than 2.10.23.
            NotConnected: A file of the options cannot be read, or an address is none.
        """
        self._is_written.set()
        writing = self._start(self._write(), "writes")
        cutting = self._start(self._cut_off(), "cuts off")
        connecting = self._start(self._connect(), "connects")
        await asyncio.wait({connecting}, timeout=within)
        for task in (connecting, writing, cutting):
            if task.done():
                task.result()
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
            dropped: Called with the reason if the message is dropped.
        """
        if not self.is_connected:
            if dropped is not None:
                dropped(self.last_error)
            return
        self._outgoing.append(Outgoing(subject, data, reply, headers, dropped))
        if self._is_written.is_set():
            self._is_written.clear()
            self._has_outgoing.set()

    async def subscribe(
        self, subject: str, receive: Callable[[Message], None], *, group: str = "", limit: int = _LIMIT
    ) -> Subscription:
        """
        Call *receive* with each message on *subject*, of each connection to come as well, until `unsubscribe`.

        Args:
            subject: The subject, which may have wildcards.
            receive: Called in the thread of the loop; it must not block and must not raise.
            group: The processes with this group share the messages.
            limit: How many messages may wait for *receive*; further messages are lost, and counted.
        """
        subscription = Subscription(subject, receive, group, limit)
        self._subscriptions.append(subscription)
        if self.is_connected:
            await self._subscribe(subscription)
        return subscription

    async def unsubscribe(self, subscription: Subscription, within: float = 1.0) -> None:
        """
        End *subscription* when the messages that the server has sent were passed on, at the latest after *within* seconds.

        Messages that a server sends later, because it has not answered in time, are lost.
        """
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        handle, subscription.handle = subscription.handle, None
        client = self._client
        if handle is None or client.is_closed:
            return
        with contextlib.suppress(Error, TimeoutError):
            await self.bounded(handle.drain() if self.is_connected else handle.unsubscribe(), within)
        # A drain that has not ended leaves the subscription in the client, which would renew it with each connection.
        client._remove_sub(handle._id)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        handle._stop_processing()  # noqa: SLF001

    async def flush(self, within: float) -> bool:
        """Wait until the server has received every message that was queued before; return whether it has in time."""
        if not self.is_connected:
            return False
        end = self._loop.time() + within
        try:
            await self.bounded(self._is_written.wait(), within)
            await self.bounded(self._client.flush(timeout=max(1, round(within))), end - self._loop.time())
        except (Error, TimeoutError):
            return False
        return True

    async def bounded(self, call: Coroutine[Any, Any, T], within: float) -> T:
        """
        Await *call* for *within* seconds. A call that misses its deadline is cancelled, and ends in the background.

        Raises:
            TimeoutError: It has not ended in time.
            Exception: What the call raises.
        """
        task = self._start(call, "calls")
        try:
            await asyncio.wait({task}, timeout=max(within, 0))
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise TimeoutError(f"no answer within {within:.3g} s")
        try:
            return task.result()
        except NatsTimeout as error:
            raise TimeoutError(f"no answer within {within:.3g} s") from error

    async def close(self, within: float) -> None:
        """
        Send what is queued, and close the connection, after *within* seconds at the latest.

        A server that does not read is cut off. Messages that were not written are dropped.
        """
        end = self._loop.time() + within
        if self.is_connected:
            await self.flush(within)
        self._is_closing, self._is_open = True, False
        self._has_outgoing.set()
        self._drop("the link has stopped")
        closing = self._start(self._client.close(), "closes")
        await asyncio.wait({closing}, timeout=max(end - self._loop.time(), 0.1))
        if not closing.done():
            self._abort()
        # A cancellation is ignored by some calls of nats-py; each round ends the next of their waits.
        for _ in range(50):
            rest = {task for task in self._tasks if task is not asyncio.current_task()}
            if not rest:
                break
            for task in rest:
                if task is not closing:
                    task.cancel()
            await asyncio.wait(rest, timeout=0.02)
        for task in [task for task in self._tasks if task.done() and not task.cancelled()]:
            task.exception()

    def _start(self, call: Coroutine[Any, Any, T], action: str) -> asyncio.Task[T]:
        task = self._loop.create_task(call, name=f"typedbus.nats {action}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the waiter has it, if there is one; a call that missed its deadline has none

    async def _connect(self) -> None:
        options = self.options
        arguments: dict[str, Any] = {
            "token": options.token,
            "nkeys_seed": options.nkey_seed and str(options.nkey_seed),
            "user_credentials": options.credentials and str(options.credentials),
            "tls": options.tls,
            "tls_hostname": options.tls_hostname,
        }
        try:
            await self._client.connect(
                [*options.servers],
                name=options.name,
                error_cb=self._failed,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
                closed_cb=self._closed,
                max_reconnect_attempts=-1,
                reconnect_time_wait=_PAUSE,  # type: ignore[arg-type]  # it sleeps for a fraction as well
                connect_timeout=_ATTEMPT,
                ping_interval=_PING_INTERVAL,
                max_outstanding_pings=_MOST_PINGS,
                **{name: value for name, value in arguments.items() if value is not None},
            )
        except Exception as error:
            raise NotConnected(options.addresses, 0, error_text(error)) from error
        version = self._client.connected_server_version
        if (version.major, version.minor, version.patch) < _OLDEST:
            raise ServerTooOld(self._address(), f"{version.major}.{version.minor}.{version.patch}")
        await self._reconnected()

    async def _reconnected(self) -> None:
        if self._is_closing:
            return
        for subscription in self._subscriptions:
            if subscription.handle is None:
                await self._subscribe(subscription)
        self._is_open = True
        self._has_outgoing.set()
        self.watcher.connected(self._address())

    async def _subscribe(self, subscription: Subscription) -> None:
        async def receive(message: Any) -> None:
            subscription.receive(message)

        subscription.handle = await self._client.subscribe(
            subscription.subject, queue=subscription.group, cb=receive, pending_msgs_limit=subscription.limit
        )

    async def _disconnected(self) -> None:
        if self._is_closing or not self._is_open:
            return
        self._drop(self.last_error)
        self.watcher.disconnected(self.last_error)

    async def _closed(self) -> None:
        """Connect with a new client: nats-py closes one for good after some errors of the server."""
        if self._is_closing:
            return
        self._is_open = False
        self._client = Client()
        for subscription in self._subscriptions:
            subscription.handle = None
        self._reconnecting = self._start(self._connect_again(), "connects")

    async def _connect_again(self) -> None:
        while not self._is_closing:
            try:
                await self._connect()
            except (NotConnected, ServerTooOld) as error:
                self.last_error = str(error)
                await asyncio.sleep(_PAUSE)
            else:
                break

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            for subscription in self._subscriptions:
                if subscription.handle is error.sub:
                    subscription.dropped += 1
            return
        self.last_error = error_text(error)
        if not self._client.is_connected:
            self._abort()  # nats-py leaves the socket of a failed attempt open
        if denied := _DENIED.search(str(error)):
            self.watcher.denied(denied[1])

    async def _write(self) -> None:
        outgoing = self._outgoing
        while not self._is_closing:
            while outgoing and self._client.is_connected:
                message = outgoing.popleft()
                try:
                    await self._client.publish(message.subject, message.data, message.reply, message.headers)
                except Exception as error:
                    if message.dropped is not None:
                        message.dropped(error_text(error))
            # `send` and `_reconnected` set it again.
            self._has_outgoing.clear()
            self._is_written.set()
            await self._has_outgoing.wait()

    async def _cut_off(self) -> None:
        """Cut off a server that nats-py has left: it waits without a limit until the server has read the rest."""
        while not self._is_closing:
            await asyncio.sleep(_CUT_OFF)
            if self._client.is_reconnecting:
                self._abort(only_closing=True)

    def _drop(self, reason: str) -> None:
        while self._outgoing:
            message = self._outgoing.popleft()
            if message.dropped is not None:
                message.dropped(reason)

    def _address(self) -> str:
        url = self._client.connected_url
        return without_secrets(urllib.parse.urlunparse(url)) if url is not None else ", ".join(self.options.addresses)

    def _abort(self, *, only_closing: bool = False) -> None:
        """Close the socket without sending the rest: nats-py offers only to wait for a server that may never read."""
        writer = getattr(getattr(self._client, "_transport", None), "_io_writer", None)
        if writer is not None and (writer.transport.is_closing() or not only_closing):
            writer.transport.abort()
