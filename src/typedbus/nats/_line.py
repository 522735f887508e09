"""
One connection to one server, on nats-py, which is never made again.

nats-py has calls that wait without a limit: `connect` tries forever, `publish` waits forever when the server does not
read, both may ignore a cancellation, and a reconnection waits until a frozen server reads. So each connection has a
client of its own that does not reconnect, and a line that is lost cuts its socket off.
"""

from __future__ import annotations

import asyncio
import collections
import re
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import attrs
from nats.aio.client import Client, RawCredentials
from nats.errors import StaleConnectionError, UnexpectedEOF

from typedbus._base.structured import StructuredError
from typedbus.nats._addresses import Address
from typedbus.nats._client import new_client
from typedbus.nats._errors import ServerTooOld
from typedbus.nats._security import Options

#: Seconds between two pings, and for an answer: a server that does not answer is left after 6 s.
_PING_INTERVAL: Final = 2.0
_PATIENCE: Final = 4.0
#: How often the state of the client is read between two pings.
_LOOKS: Final = 8
#: Seconds for one attempt to connect to a server.
_ATTEMPT: Final = 2
#: Longer than any connection: nats-py would break a connection on which a ping is answered after its limit.
_FOREVER: Final = 1 << 30
#: The first version that keeps a stream when its process is killed, according to Jepsen's analysis of 2.12.1.
_OLDEST: Final = (2, 10, 23)
_DENIED: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)

#: A message that waits: its subject, data, subject for replies and headers, and the function for a message that is dropped.
Outgoing: TypeAlias = tuple[str, bytes, str, dict[str, str] | None, Callable[[str], object] | None]


@attrs.define(eq=False)
class Line:
    """
    A connection to one server. All methods are called in the thread of the event loop.

    Args:
        address: The server.
        failed: Called with each error that does not end the connection.
        denied: Called with the subject of a message that the server has refused, which may be in lower case.
        refused: Called with the subject of a subscription that the server has refused, in the same way.

    Attributes:
        client: nats-py's client.
        outgoing: The messages that wait for the writer.
        is_lost: Done with the reason when the connection is lost.
    """

    address: Address
    failed: Callable[[Exception], None]
    denied: Callable[[str], None]
    refused: Callable[[str], None]
    client: Client = attrs.field(init=False, factory=new_client)
    outgoing: collections.deque[Outgoing] = attrs.field(init=False, factory=collections.deque)
    is_lost: asyncio.Future[str] = attrs.field(init=False, factory=lambda: asyncio.get_running_loop().create_future())
    _wakes: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    #: Set while the client has all messages that were queued.
    _is_written: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)

    async def open(self, options: Options) -> None:
        """
        Connect, within 2 seconds; after an error `cut` must be called.

        Raises:
            ServerTooOld: The server is older than 2.10.23.
            LinkFault: A file of the options cannot be read.
            ConnectionError: There is no connection.
            Exception: Another error of nats-py or of the network.
        """
        connecting = self._start(self._connect(options))
        await self._ended_or_lost(connecting, _ATTEMPT)
        if connecting.done():
            connecting.result()
        elif self.is_lost.done():
            raise ConnectionError(self.is_lost.result())
        else:
            raise ConnectionError(f"no answer within {_ATTEMPT} s")
        version = self.client.connected_server_version
        if (version.major, version.minor, version.patch) < _OLDEST:
            raise ServerTooOld(self.address.url, f"{version.major}.{version.minor}.{version.patch}")
        self._is_written.set()
        for work in (self._write(), self._ping()):
            self._keep(asyncio.get_running_loop().create_task(work, name="typedbus.nats connection"))

    async def _connect(self, options: Options) -> None:
        address, secrets = self.address, options.secrets
        needs_tls = options.tls is not None or address.needs_tls
        token, credentials = secrets.token(), secrets.jwt_and_seed()

        def check_greeting() -> None:
            greeting = getattr(self.client, "_server_info", {})
            # Without this check a forged greeting would make the client send in plain text.
            if needs_tls and not greeting.get("tls_required"):
                raise ConnectionError("the server does not offer TLS; enable it there, or connect without TLS")
            if greeting.get("tls_verify") and not options.has_certificate:
                raise ConnectionError("the server demands a certificate of this process; name it in TLS(cert_file=...)")

        def after_greeting(secret: str | None) -> Callable[[], str | None]:
            def read() -> str | None:
                check_greeting()
                return secret

            return read

        if token is None and address.password is None:
            token = address.user
        arguments: dict[str, Any] = {
            "user": None if address.password is None else after_greeting(address.user),
            "password": None if address.password is None else after_greeting(address.password),
            # It is called before the signature of an nkey is sent as well.
            "token": after_greeting(token) if needs_tls or token is not None else None,
            "nkeys_seed_str": secrets.seed(),
            "user_credentials": None if credentials is None else RawCredentials(credentials),
            "tls": options.tls,
            "tls_hostname": options.tls_hostname or address.host,
        }
        await self.client.connect(
            [address.url],
            name=options.name,
            error_cb=self._failed,
            closed_cb=self._closed,
            allow_reconnect=False,
            reconnect_time_wait=_FOREVER,
            connect_timeout=_ATTEMPT,
            ping_interval=_FOREVER,
            # The names of channels, streams, groups and the prefix are checked where they are declared.
            skip_subject_validation=True,
            **{name: value for name, value in arguments.items() if value is not None},
        )
        check_greeting()

    def queue(self, message: Outgoing) -> None:
        """Let the writer send *message*."""
        self.outgoing.append(message)
        if self._is_written.is_set():
            self._is_written.clear()
            self._wakes.set()

    async def flush(self, within: float) -> bool:
        """Return whether the server has received every message that was queued before, after *within* seconds at most."""
        # Never cancelled: nats-py breaks a connection when the answer to a cancelled ping arrives.
        flushing = self._start(self._flushed())
        await self._ended_or_lost(flushing, within)
        return flushing.done() and not flushing.cancelled() and flushing.exception() is None

    async def _flushed(self) -> None:
        await self._is_written.wait()
        # nats-py writes a ping at once, before messages that its own task has not written yet.
        while self.client.pending_data_size and not self.is_lost.done():  # noqa: ASYNC110  # it has no event for this
            await asyncio.sleep(0.001)
        await self.client.flush(timeout=_FOREVER)

    def lose(self, reason: str) -> None:
        """Take the connection as lost."""
        if not self.is_lost.done():
            self.is_lost.set_result(reason)

    def cut(self, reason: str) -> asyncio.Task[None]:
        """
        End the connection at once: drop the messages that wait, and close the socket without sending the rest.

        Returns:
            A task that ends when nothing is left of the client.
        """
        self.lose(reason)
        while self.outgoing:
            self._dropped(self.outgoing.popleft()[4], reason)
        for task in self._tasks:
            task.cancel()
        # nats-py offers only to wait for a server that may never read.
        writer = getattr(getattr(self.client, "_transport", None), "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        return asyncio.get_running_loop().create_task(self._clear(), name="typedbus.nats closes")

    async def _clear(self) -> None:
        # nats-py leaves its tasks, and their exceptions, if the socket fails while it closes.
        client: Any = self.client
        names = ("_reading_task", "_flusher_task", "_ping_interval_task")
        left = [getattr(client, name, None) for name in names]
        left += [getattr(one, "_wait_for_msgs_task", None) for one in getattr(client, "_subs", {}).values()]
        closing = self._start(self.client.close())
        await asyncio.wait({closing}, timeout=1.0)
        for task in left:
            if task is not None:
                self._keep(task)
        # A cancellation is ignored by some calls of nats-py; each round ends the next of their waits.
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=0.02)

    async def _ended_or_lost(self, task: asyncio.Task[None], within: float) -> None:
        futures: set[asyncio.Future[Any]] = {task, self.is_lost}
        await asyncio.wait(futures, timeout=max(within, 0), return_when=asyncio.FIRST_COMPLETED)

    def _start(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(call, name="typedbus.nats connection")
        self._keep(task)
        return task

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # raised where it is awaited; a call on a lost connection has no other result

    async def _write(self) -> None:
        outgoing, publish = self.outgoing, self.client.publish
        while not self.is_lost.done():
            while outgoing:
                subject, data, reply, headers, dropped = outgoing.popleft()
                try:
                    await publish(subject, data, reply, headers)
                except Exception as error:
                    if dropped is None and self.client.is_connected:
                        self.failed(error)
                    self._dropped(dropped, text_of_error(error))
            # `queue` sets it again.
            self._wakes.clear()
            self._is_written.set()
            await self._wakes.wait()

    def _dropped(self, dropped: Callable[[str], object] | None, reason: str) -> None:
        if dropped is None:
            return
        try:
            dropped(reason)
        except Exception as error:
            self.failed(error)

    async def _ping(self) -> None:
        while True:
            for _ in range(_LOOKS):
                await asyncio.sleep(_PING_INTERVAL / _LOOKS)
                # nats-py calls nothing if the socket fails while it closes.
                if not self.client.is_connected:
                    self.lose("the connection has failed")
                    return
            pong = self._start(self.client.flush(timeout=_FOREVER))
            await self._ended_or_lost(pong, _PATIENCE)
            if not pong.done():
                # The answer may have come while the loop was blocked, and is then read by now.
                await self._ended_or_lost(pong, _PATIENCE / 10)
            if not pong.done():
                self.lose(f"the server has not answered a ping within {_PATIENCE:g} s")
                return

    async def _failed(self, error: Exception) -> None:
        if denied := _DENIED.search(str(error)):
            (self.denied if denied[1].lower() == "publish" else self.refused)(denied[2])
        elif self.client.is_connected and not isinstance(error, (OSError, StaleConnectionError)):
            self.failed(error)
        else:
            self.lose(text_of_error(error))

    async def _closed(self) -> None:
        error = self.client.last_error
        self.lose("the server has closed the connection" if error is None else text_of_error(error))


def text_of_error(error: Exception) -> str:
    """Return the text of an error of nats-py or of the network."""
    if isinstance(error, StructuredError):
        return str(error)
    text = str(error).removeprefix("nats: ").strip("'")
    if isinstance(error, UnexpectedEOF):
        return "the server has closed the connection"
    if isinstance(error, TimeoutError):
        return f"no answer within {_ATTEMPT} s"
    if "authorization violation" in text.lower():
        return "the server refuses the user, the token or the key of this process (authorization violation)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the server is not trusted; name its authority in TLS(ca_file=...): {text}"
    return text or type(error).__name__
