"""The file of a Unix socket: which process gets it, and which files it replaces, tested with real sockets."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from typedbus.servers._binding import BindError, Listening, listen
from typedbus.servers._socket_file import bind_file

if sys.platform == "win32":
    pytest.skip("Python has no Unix sockets on Windows", allow_module_level=True)

import fcntl

ROUNDS = 300


class Hooked(socket.socket):
    """A Unix socket that calls a function before it listens, and others after it was bound and before it is closed."""

    before_listen: Callable[[], None] = staticmethod(lambda: None)
    after_bind: Callable[[], None] = staticmethod(lambda: None)
    before_close: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)

    def bind(self, address: object, /) -> None:
        super().bind(address)  # type: ignore[arg-type]
        self.after_bind()

    def listen(self, backlog: int = 128, /) -> None:
        self.before_listen()
        super().listen(backlog)

    def close(self) -> None:
        self.before_close()
        super().close()


@pytest.fixture
def path() -> Iterator[Path]:
    """Return a path for a socket, short enough for one, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        yield Path(folder).resolve() / "site.sock"


def leave_stale(path: Path) -> None:
    """Leave a file as a killed process does."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in *folder*."""
    return [file.name for file in folder.iterdir()]


def is_served(path: Path) -> bool:
    """Whether a client can connect to *path*."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_a_start_is_refused_while_another_is_between_bind_and_listen(path: Path) -> None:
    """The file of the first refuses connections then, and still is not stale."""
    bound, release = threading.Event(), threading.Event()

    def pause() -> None:
        bound.set()
        assert release.wait(30)

    with Hooked() as first:
        first.before_listen = pause
        starter = threading.Thread(target=bind_file, args=(first, path, None, 5))
        starter.start()
        try:
            assert bound.wait(30)
            with pytest.raises(BindError, match="another process serves on this path"):
                listen(f"unix:{path}")
        finally:
            release.set()
            starter.join(30)

        assert is_served(path)


def contend(path: str, barrier: Barrier, winners: Synchronized[int]) -> None:
    """Bind *path* as often as ROUNDS, each time with the others, and leave a stale file each time."""
    for _ in range(ROUNDS):
        barrier.wait(60)
        won: Listening | None = None
        with contextlib.suppress(BindError):
            won = listen(f"unix:{path}")
            with winners.get_lock():
                winners.value += 1
        barrier.wait(60)
        if won is not None:
            won.socket.close()


@pytest.mark.slow
def test_exactly_one_of_several_processes_replaces_a_stale_file(path: Path) -> None:
    """They start at the same time, many times."""
    leave_stale(path)
    processes = multiprocessing.get_context("spawn")
    barrier, winners = processes.Barrier(3), processes.Value("i", 0)
    contenders = [processes.Process(target=contend, args=(str(path), barrier, winners)) for _ in range(3)]
    try:
        for contender in contenders:
            contender.start()
        for contender in contenders:
            contender.join(120)
        assert [contender.exitcode for contender in contenders] == [0, 0, 0]
    finally:
        for contender in contenders:
            contender.kill()
            contender.join()

    assert winners.value == ROUNDS


def test_nothing_but_the_socket_is_in_the_folder_while_a_server_runs(path: Path) -> None:
    """The lock file is there only while the socket is being bound."""
    listening = listen(f"unix:{path}")
    while_it_serves = names_in(path.parent)
    listening.close()

    assert while_it_serves == ["site.sock"]
    assert names_in(path.parent) == []


def test_a_lock_file_that_a_killed_process_left_is_used_again(path: Path) -> None:
    """No process holds its lock."""
    path.with_name(".site.sock.lock").touch(0o600)

    listening = listen(f"unix:{path}")

    assert names_in(path.parent) == ["site.sock"]
    listening.close()


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "readable file", "file with content", "fifo"])
def test_an_object_in_the_place_of_the_lock_file_blocks_no_start(path: Path, kind: str) -> None:
    """It may not be a lock, so the start neither waits for it nor removes it."""
    squatter, other = path.with_name(".site.sock.lock"), path.with_name("other")
    leave_stale(path)
    if kind == "folder":
        squatter.mkdir()
    elif kind == "fifo":
        os.mkfifo(squatter, 0o644)
    elif kind == "dangling link":
        squatter.symlink_to(other)
    elif kind == "link":
        other.touch(0o600)
        squatter.symlink_to(other)
    else:
        squatter.touch(0o600 if kind == "file with content" else 0o644)
        squatter.write_text("mine" if kind == "file with content" else "")
    with contextlib.ExitStack() as locks:
        if kind in {"link", "readable file"}:
            fcntl.flock(locks.enter_context(squatter.open()), fcntl.LOCK_EX)

        listening = listen(f"unix:{path}")

    assert is_served(path)
    listening.close()
    assert os.path.lexists(squatter)
    assert other.exists() == (kind == "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_lock_that_another_user_holds_blocks_no_start(path: Path) -> None:
    """The lock may be on a lock file of that user or on the folder."""
    leave_stale(path)
    squatter = path.with_name(".site.sock.lock")
    squatter.touch(0o600)
    os.chown(squatter, 65534, 65534)
    folder = os.open(path.parent, os.O_RDONLY)
    with squatter.open() as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        fcntl.flock(folder, fcntl.LOCK_EX)

        listening = listen(f"unix:{path}")

    os.close(folder)
    assert is_served(path)
    listening.close()


@pytest.mark.parametrize("leads_to", ["a stale socket", "nothing", "a file"])
def test_a_symbolic_link_is_never_replaced(path: Path, leads_to: str) -> None:
    """It is not a socket, whatever its target is."""
    target = path.with_name("target")
    if leads_to == "a stale socket":
        leave_stale(target)
    elif leads_to == "a file":
        target.write_text("mine")
    path.symlink_to(target)

    with pytest.raises(BindError, match="the path is a file that is not a socket"):
        listen(f"unix:{path}")

    assert path.is_symlink()
    assert target.exists() == (leads_to != "nothing")


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o000])
def test_the_file_has_its_mode_before_a_client_can_connect(path: Path, mode: int) -> None:
    """This holds for any umask; on Linux the file never has more permissions."""
    modes: list[int] = []

    def look() -> None:
        modes.append(stat.S_IMODE(path.lstat().st_mode))

    previous = os.umask(0)
    try:
        with Hooked() as listening:
            listening.after_bind = listening.before_listen = look
            bind_file(listening, path, mode, 5)
    finally:
        os.umask(previous)

    assert modes[1] == mode
    if sys.platform == "linux":
        assert modes[0] == mode


def test_a_mode_beyond_the_umask_is_set(path: Path) -> None:
    """The umask applies to the process, the mode to this file."""
    previous = os.umask(0o077)
    try:
        listening = listen(f"unix:{path}", 0o660)
    finally:
        os.umask(previous)

    assert stat.S_IMODE(path.lstat().st_mode) == 0o660
    listening.close()


def test_a_start_that_fails_after_bind_leaves_no_file(path: Path) -> None:
    """It leaves neither the socket nor its lock file."""

    def fail() -> None:
        raise OSError("no memory")

    with Hooked() as listening:
        listening.before_listen = fail
        with pytest.raises(OSError, match="no memory"):
            bind_file(listening, path, None, 5)

    assert names_in(path.parent) == []


@pytest.mark.parametrize("ends", [Listening.close, Listening.refuse])
def test_the_file_is_removed_while_the_socket_still_listens(path: Path, ends: Callable[[Listening], None]) -> None:
    """Otherwise another start could take it for stale and replace it just before it is removed."""
    existence: list[bool] = []

    class Watched(Hooked):
        def shutdown(self, how: int, /) -> None:
            existence.append(path.exists())
            super().shutdown(how)

    with Watched() as listening:
        listening.before_close = lambda: existence.append(path.exists())
        ends(Listening(listening, f"unix:{path}", is_own=True, file=bind_file(listening, path, None, 5)))

    assert existence
    assert set(existence) == {False}


def test_a_file_with_the_same_inode_is_not_removed(path: Path) -> None:
    """File systems give the number of a removed inode to the next file, which belongs to another server here."""
    first = listen(f"unix:{path}")
    first.socket.close()
    second = listen(f"unix:{path}")

    first.close()

    assert is_served(path)
    second.close()


def test_the_longest_path_that_the_system_allows_is_served(path: Path) -> None:
    """No longer name is bound in between."""
    longest = path.with_name("x" * (107 - len(str(path.parent)) - 1))

    for _ in range(2):
        listening = listen(f"unix:{longest}")
        assert is_served(longest)
        listening.socket.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_an_abstract_socket_is_named_with_an_at_sign() -> None:
    """Other programs print it so; its name begins with a NUL."""
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0typedbus-{os.getpid()}")
        listening = listen(abstract)

    assert listening.where == f"unix:@typedbus-{os.getpid()}"
    listening.close()
