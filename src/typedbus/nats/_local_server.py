"""A NATS server on this machine, as a component, for development and tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import attrs

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import RUN
from typedbus._channels.marks import on
from typedbus.nats._arguments import is_count
from typedbus.nats._server_process import (
    HOST,
    ServerFault,
    check,
    end_of_log,
    kill,
    locked,
    made,
    port_of,
    program,
    refuse_taken,
    spawned,
    write_token,
)

#: How long the server may take to start, and to end, in seconds.
_START, _END = 10.0, 3.0
#: The pauses between two looks at the process while it starts or ends, and while it runs, in seconds.
_SOON, _NOW_AND_THEN = 0.01, 0.1


def _path(folder: Path | str | None) -> Path | None:
    return None if folder is None else Path(folder)


def _port(_server: object, _field: object, value: object) -> None:
    if not is_count(value, 0) or value >= 1 << 16:
        raise ServerFault(f"cannot listen on port {value!r}: pass an int from 0 to 65535")


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
        ServerFault: *port* is no number of a port; at the start, if the port or the folder is in use, or if the server ends or is not ready within 10
            seconds; from `watch`, if it has ended; and at the stop, if it had to be killed.
    """

    folder: Path | None = attrs.field(default=None, kw_only=True, converter=_path)
    port: int = attrs.field(default=0, kw_only=True, validator=_port)
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
        return f"nats://{HOST}:{self.port}"

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
        path = program()
        try:
            self._home = made(self.folder)
            self._lock = locked(self._home)
            write_token(self._home)
            self._child = await self._launched(path)
        except BaseException:
            self._clean()
            raise

    @on(RUN)
    async def watch(self, stopping: Stopping) -> None:
        """Fail when the server ends; start it again if this is called after such a failure."""
        if self._child is None:
            self._child = await self._launched(program())
        while not stopping.is_set():
            try:
                check(self._child, self._current_home())
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
                f"did not end within {_END:g} s of SIGTERM, and was killed", end_of_log(self._current_home())
            ) from None
        finally:
            self._clean()

    def _current_home(self) -> Path:
        if self._home is None:
            raise ServerFault("has no address and no token: it has not started, or has stopped")
        return self._home

    async def _launched(self, path: str) -> subprocess.Popen[bytes]:
        """Return the process when it accepts clients."""
        home = self._current_home()
        refuse_taken(self.port)
        child = spawned(path, home, self.port, self._lock)
        try:
            async with asyncio.timeout(_START):
                while (port := port_of(home)) is None:
                    check(child, home)
                    await asyncio.sleep(_SOON)
        except BaseException as error:
            kill(child)
            if isinstance(error, TimeoutError):
                raise ServerFault(f"was not ready within {_START:g} s", end_of_log(home)) from None
            raise
        self.port = port
        return child

    def _clean(self) -> None:
        home, descriptor, child = self._home, self._lock, self._child
        self._home = self._lock = self._child = None
        if child is not None:
            kill(child)
        if descriptor is not None:
            os.close(descriptor)
        if home is not None and self.folder is None:
            shutil.rmtree(home)
