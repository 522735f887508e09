"""The socket beside a daemon's PID file: its permissions, and reports without a reader."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("daemons that restart are Linux's", allow_module_level=True)

from typedbus import START, Bus
from typedbus._os.pidfiles import HeldFile, held, short_path, socket_beside
from typedbus.events import COMPONENT_STARTING, FAILED, MOVED
from typedbus.plugins._restart_report import SIZE, report, report_start


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HeldFile]:
    """Return a PID file with a socket beside it, in a folder whose path is too long for a socket address."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    descriptor = os.open(folder / "site.pid", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"%d\n" % os.getpid())
    made = HeldFile(folder / "site.pid", descriptor)
    held.append(made)
    made.listen()
    yield made
    made.release()


def connected(file: HeldFile) -> socket.socket:
    """Return a connection as `typedbus restart` opens it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(30)
    with short_path(socket_beside(file.path)) as address:
        connection.connect(address)
    return connection


def test_only_the_owner_can_connect(file: HeldFile) -> None:
    """With any umask."""
    before = os.umask(0)
    try:
        file.listen()
    finally:
        os.umask(before)

    found = socket_beside(file.path).lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())


def test_a_report_reaches_every_connection(file: HeldFile) -> None:
    """A report is one line with any content; without a connection it is not sent."""
    assert not report("STATUS=lost")
    with connected(file) as one, connected(file) as other:
        assert report("STATUS=two\nlines")
        assert [each.recv(SIZE) for each in (one, other)] == [b"STATUS=two lines"] * 2
    assert not report("STATUS=again") or not report("STATUS=and again")


def test_unread_reports_do_not_block(file: HeldFile) -> None:
    """Reports that do not fit into the buffer are dropped, and the others are complete."""
    with connected(file) as connection:
        for number in range(5000):
            report(f"STATUS={number}")
        connection.setblocking(False)  # noqa: FBT003  # by position alone
        read = []
        while True:
            try:
                read.append(connection.recv(SIZE))
            except BlockingIOError:
                break

    assert read[:3] == [b"STATUS=0", b"STATUS=1", b"STATUS=2"]
    assert len(read) < 5000


def test_a_start_is_reported_until_it_is_over(file: HeldFile) -> None:
    """The first failure is the last status; the end of the start closes the connection, also if it fails."""
    bus = Bus()

    def fail() -> None:
        raise ValueError("no\nport")

    bus.subscribe(START, fail)
    with connected(file) as connection:
        report_start(bus)
        with pytest.raises(ExceptionGroup):
            bus.start()
        bus.exit()
        lines = list(iter(lambda: connection.recv(SIZE), b""))

    assert lines[0] == b"STATUS=about to start"
    assert lines[-1].startswith(b"STATUS=failed ")
    assert b"ValueError('no\\nport')" in lines[-1]


def test_a_bus_without_a_connection_has_no_report_listeners(file: HeldFile) -> None:
    """No channel has a subscription."""
    bus = Bus()
    report_start(bus)

    assert not [bound for bound in (bus[MOVED], bus[FAILED], bus[COMPONENT_STARTING]) if bound.subscriptions]


def test_a_file_that_is_not_a_socket_stays(file: HeldFile) -> None:
    """Only a stale socket is replaced."""
    place = socket_beside(file.path)
    place.unlink()
    place.write_text("mine")

    with pytest.raises(OSError, match="Address already in use"):
        file.listen()

    assert place.read_text() == "mine"


def test_a_stale_socket_is_replaced(file: HeldFile) -> None:
    """A killed daemon cannot remove its socket."""
    file.listen()
    with connected(file) as connection:
        report("STATUS=new")
        assert connection.recv(SIZE) == b"STATUS=new"


def test_the_socket_is_removed_with_the_pid_file(file: HeldFile) -> None:
    """No file is left in the folder."""
    assert file.remove() is None

    assert list(file.path.parent.iterdir()) == []
    assert file not in held


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_other_users_receive_no_reports(file: HeldFile) -> None:
    """Even if the mode of the socket allows a connection."""
    with short_path(socket_beside(file.path)) as address:
        os.chmod(address, 0o666)  # noqa: PTH101  # the path in short
    command = """
import os, socket
folder = os.open(".", os.O_PATH)
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    connection.connect(f"/proc/self/fd/{folder}/.site.pid.restart")
except PermissionError:
    pass  # the folders above let no other user in
print("connected", flush=True)
print(connection.recv(4096) if connection.getpeername() else b"", flush=True)
"""
    file.path.parent.chmod(0o755)
    other = subprocess.Popen([sys.executable, "-c", command], cwd=file.path.parent, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "connected\n"
        assert not report("STATUS=secret")
        assert other.stdout.readline() == "b''\n"
    finally:
        other.kill()
        other.communicate()
