"""The component that connects a bus to servers."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

from typedbus._base.failures import error_text
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus.nats._connection import Options, without_secrets
from typedbus.nats._errors import LinkClosed, NotConnected
from typedbus.nats._session import Session, process_name
from typedbus.plugins.health import READY, Check

#: How long a stop waits for the server to receive the last messages, in seconds.
_PATIENCE: Final = 2.0


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


@attrs.frozen
class TLS:
    """
    How a connection is encrypted, and the certificate of this process.

    Args:
        ca_file: The certificates of the authorities that may sign that of the server; None for those of the system.
        cert_file: The certificate of this process, if the server demands one.
        key_file: Its key; None if *cert_file* has it as well.
        hostname: The name that the certificate of the server must have; None for that of the address.
    """

    ca_file: Path | str | None = None
    cert_file: Path | str | None = None
    key_file: Path | str | None = None
    hostname: str | None = None

    def context(self) -> ssl.SSLContext:
        """
        Return a context with these files.

        Raises:
            OSError: A file is missing, or is no certificate or key.
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


def _addresses(servers: Sequence[str] | Server) -> Sequence[str] | Server:
    if isinstance(servers, str):
        raise TypeError(f"servers is a list of addresses, as in Link(bus, [{without_secrets(servers)!r}])")
    return servers


def _shown(servers: Sequence[str] | Server) -> str:
    return repr([*map(without_secrets, servers)]) if isinstance(servers, Sequence) else repr(servers)


@attrs.define(eq=False)
class Link:
    """
    Connects a bus to NATS servers, from its start to its stop, on the event loop of the bus.

    It connects again whenever the connection is lost, also to another server of a cluster. Ports, consumers and
    responders are given the link, so they start after it and stop before it. Its check on `READY` fails while there
    is no connection. A server that does not answer is left after 6 seconds.

    A secret is read from its file at each start, and is in no message, repr or log.

    Args:
        bus: The bus of the process, which receives the events of the link on `LINK`.
        servers: The addresses, such as ``["nats://127.0.0.1:4222"]``, or a `LocalServer`.
        name: The name of the process, which the servers and other processes show; host and pid are added.
        token_file: The file with a token.
        nkey_seed: The file with the seed of an nkey; this needs the package nkeys.
        credentials: The file with a JWT and a seed; this needs the package nkeys.
        tls: How the connection is encrypted; None if the server does not demand it.
        connect_within: How many seconds the start waits for a connection.
        require_at_start: Whether the start fails without a connection. Otherwise ports may be used at once: events wait
            in the window of their port, all else fails with `Disconnected` until there is a connection.
        prefix: The first part of the subjects of signals and questions.

    Raises:
        NotConnected: At the start, if there is no connection in time, or a file cannot be read.
        ServerTooOld: At the start, if the server is older than 2.10.23.
    """

    bus: Bus = attrs.field(repr=False)
    servers: Sequence[str] | Server = attrs.field(converter=_addresses, repr=_shown)
    name: str = attrs.field(default="", kw_only=True)
    token_file: Path | str | None = attrs.field(default=None, kw_only=True)
    nkey_seed: Path | str | None = attrs.field(default=None, kw_only=True)
    credentials: Path | str | None = attrs.field(default=None, kw_only=True)
    tls: TLS | None = attrs.field(default=None, kw_only=True)
    connect_within: float = attrs.field(default=5.0, kw_only=True)
    require_at_start: bool = attrs.field(default=True, kw_only=True)
    prefix: str = attrs.field(default="typedbus", kw_only=True)
    _session: Session | None = attrs.field(init=False, repr=False, default=None)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection; may be read in any thread."""
        return self._session is not None and self._session.connection.is_connected

    @property
    def origin(self) -> str:
        """The name of this process in the headers of its messages."""
        return process_name(self.name)

    def session(self, channel: str) -> Session:
        """
        Return the connection and its parts, for a port.

        Raises:
            LinkClosed: The link has not started, or has stopped; it names *channel*.
        """
        if self._session is None:
            raise LinkClosed(channel)
        return self._session

    async def start(self) -> None:
        """
        Connect.

        Raises:
            NotConnected: There is no connection in time, or a file cannot be read.
            ServerTooOld: The server is older than 2.10.23.
        """
        if isinstance(self.servers, Sequence):
            options = self._options(self.servers, self.token_file)
        else:
            options = self._options([self.servers.url], self.servers.token_file)
        session = Session(self.bus, options, self.origin)
        await session.open(self.connect_within, required=self.require_at_start)
        self._session = session

    async def stop(self) -> None:
        """Send what is queued, and close the connection; does nothing before `start`."""
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

    def _options(self, servers: Sequence[str], token_file: Path | str | None) -> Options:
        token = None if token_file is None else lambda: Path(token_file).read_text(encoding="utf-8").strip()
        seed = None if self.nkey_seed is None else Path(self.nkey_seed)
        credentials = None if self.credentials is None else Path(self.credentials)
        try:
            for file in (seed, credentials):
                if file is not None:
                    file.read_bytes()
            if token is not None:
                token()
            context = None if self.tls is None else self.tls.context()
        except OSError as error:
            raise NotConnected(tuple(map(without_secrets, servers)), 0, error_text(error)) from error
        return Options(
            servers,
            self.name or "typedbus",
            token=token,
            nkey_seed=seed,
            credentials=credentials,
            tls=context,
            tls_hostname=None if self.tls is None else self.tls.hostname,
        )
