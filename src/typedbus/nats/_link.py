"""The component that connects a bus to servers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

from typedbus._base.numbers import is_seconds
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus.nats._addresses import Address, parse, parse_all
from typedbus.nats._codec import Codec
from typedbus.nats._errors import LinkClosed, LinkFault
from typedbus.nats._security import TLS, Options, Secrets
from typedbus.nats._session import Session, process_name
from typedbus.plugins.health import READY, Check

#: How long a stop waits for the server to receive the last messages, in seconds.
_PATIENCE: Final = 2.0
_PREFIX: Final = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)


class Server(Protocol):
    """A server whose address is known when it has started, such as a `LocalServer`."""

    @property
    def url(self) -> str:
        """The address."""
        ...

    @property
    def token_file(self) -> Path:
        """The file with the token that the server demands."""
        ...


def _servers(servers: Sequence[str] | Server) -> tuple[Address, ...] | Server:
    if isinstance(servers, Sequence):
        return parse_all(servers)
    # Reading the attribute itself would run code of a server that has not started.
    if inspect.getattr_static(servers, "url", None) is None:
        kind = type(servers).__name__
        raise LinkFault("servers", f"it is a list of addresses or a LocalServer, not a value of type {kind}")
    return servers


def _seconds(_link: object, field: attrs.Attribute[float], value: object) -> None:
    if not is_seconds(value):
        raise LinkFault(field.name, f"{value!r} is not a number of seconds above 0")


def _token(_link: object, field: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise LinkFault(
            field.name, f"{value!r} is no subject; use letters, digits, '-' and '_', in parts with '.' between them"
        )


@attrs.define(eq=False)
class Link:
    """
    Connects a bus to NATS servers, from its start to its stop, on the event loop of the bus.

    It connects again whenever the connection is lost, also to another server of a cluster. Ports, consumers and
    responders are given the link, so they start after it and stop before it. Its check on `READY` fails while there
    is no connection. A server that does not answer is left after 6 seconds.

    A process that is forked after the start cannot use the link of its parent: nothing runs the event loop there, and
    its ports raise `LinkForked`. It makes a link and ports of its own.

    A secret is read from its file for each connection, and is in no message, repr or log. An address may have a user and
    a password, or a token; they are used for further servers that a server names as well.

    Args:
        bus: The bus of the process, which receives the events of the link on `LINK`.
        servers: The addresses, such as ``["nats://127.0.0.1:4222"]``, or a `LocalServer`.
        name: The name of the process, which the servers and other processes show; host and pid are added.
        token_file: The file with a token.
        nkey_seed: The file with the seed of an nkey; this needs the package nkeys.
        credentials: The file with a JWT and a seed; this needs the package nkeys.
        tls: How the connection is encrypted; a server that does not offer TLS is refused then. With None the server
            determines whether it is encrypted, and its certificate is checked with the authorities of the system.
        connect_within: How many seconds the start waits for a connection.
        require_at_start: Whether the start fails without a connection. Otherwise ports may be used at once: events wait
            in the window of their port, questions return `Disconnected`, and signals are dropped.
        prefix: The first part of the subjects of signals and questions.
        codec: The codec of channels whose types need one, such as `CattrsCodec`; the other process needs the same one.

    Raises:
        LinkFault: An argument cannot be used; at the start, if a file cannot be read or has no such secret.
        NotConnected: At the start, if there is no connection in time.
        ServerTooOld: At the start, if the server is older than 2.10.23.
    """

    bus: Bus = attrs.field(repr=False)
    servers: tuple[Address, ...] | Server = attrs.field(converter=_servers)
    name: str = attrs.field(default="", kw_only=True)
    token_file: Path | str | None = attrs.field(default=None, kw_only=True)
    nkey_seed: Path | str | None = attrs.field(default=None, kw_only=True)
    credentials: Path | str | None = attrs.field(default=None, kw_only=True)
    tls: TLS | None = attrs.field(default=None, kw_only=True)
    connect_within: float = attrs.field(default=5.0, kw_only=True, validator=_seconds)
    require_at_start: bool = attrs.field(default=True, kw_only=True)
    prefix: str = attrs.field(default="typedbus", kw_only=True, validator=_token)
    codec: Codec | None = attrs.field(default=None, kw_only=True)
    _session: Session | None = attrs.field(init=False, repr=False, default=None)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, and no fork since the start; may be read in any thread."""
        session = self._session
        return session is not None and session.connection.is_connected and not session.is_forked

    @property
    def origin(self) -> str:
        """The name of this process in the headers of its messages."""
        return process_name(self.name)

    def session(self, channel: str) -> Session:
        """
        Return the connection and its parts, for a port.

        Raises:
            LinkClosed: The link has not started, or has stopped; it names *channel*.
            LinkForked: This process was forked after the start.
        """
        session = self._session
        if session is None:
            raise LinkClosed(channel)
        session.check_process(channel)
        return session

    async def start(self) -> None:
        """
        Connect; does nothing after a start without a stop.

        Raises:
            LinkFault: A file cannot be read, or has no such secret.
            NotConnected: There is no connection in time.
            ServerTooOld: The server is older than 2.10.23.
        """
        if self._session is not None:
            return
        session = Session(self.bus, self._options(), self.origin)
        await session.open(self.connect_within, required=self.require_at_start)
        self._session = session

    async def stop(self) -> None:
        """Send the queued messages, and close the connection; does nothing before `start`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close(_PATIENCE)

    @on(READY)
    def check(self) -> Check:
        """Fail while there is no connection."""
        session = self._session
        if session is None:
            return Check(is_ok=False, detail="the link has not started")
        if session.connection.is_connected:
            return Check(is_ok=True)
        return Check(is_ok=False, detail=f"no connection: {session.connection.last_error}")

    def _options(self) -> Options:
        if isinstance(self.servers, tuple):
            servers, token_file = self.servers, self.token_file
        else:
            servers, token_file = (parse(self.servers.url),), self.servers.token_file
        if self.nkey_seed is not None and self.credentials is not None:
            raise LinkFault("credentials", "they have a seed as well; give either credentials or nkey_seed")
        secrets = Secrets(token_file, self.nkey_seed, self.credentials)
        secrets.check()
        name = self.name or "typedbus"
        if self.tls is None:
            return Options(servers, name, secrets)
        return Options(
            servers,
            name,
            secrets,
            self.tls.context(),
            self.tls.hostname,
            has_certificate=self.tls.cert_file is not None,
        )
