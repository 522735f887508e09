"""The socket beside a daemon's PID file: who may connect to it, and reports that nobody reads."""

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
    """Give a file with a socket beside it, in a folder whose path is too long for the address of a socket."""
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
    """Return a connection, as `typedbus restart` makes one."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(30)
    with short_path(socket_beside(file.path)) as address:
        connection.connect(address)
    return connection


def test_its_owner_alone_may_connect(file: HeldFile) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        file.listen()
    finally:
        os.umask(before)

    found = socket_beside(file.path).lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())


def test_a_report_reaches_each_that_waits(file: HeldFile) -> None:
    """A report is one line, whatever is in it; without a connection there is no reader."""
    assert not report("STATUS=lost")
    with connected(file) as one, connected(file) as other:
        assert report("STATUS=two\nlines")
        assert [each.recv(SIZE) for each in (one, other)] == [b"STATUS=two lines"] * 2
    assert not report("STATUS=again") or not report("STATUS=and again")


def test_reports_that_are_not_read_hold_up_nothing(file: HeldFile) -> None:
    """Those for which there is no room are dropped, and the others are whole."""
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
    """The first failure is the last status; the end of the start ends the connection, also where it fails."""
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


def test_a_bus_that_nobody_waits_for_reports_nothing(file: HeldFile) -> None:
    """It has no listeners more."""
    bus = Bus()
    report_start(bus)

    assert not [bound for bound in (bus[MOVED], bus[FAILED], bus[COMPONENT_STARTING]) if bound.subscriptions]


def test_what_is_no_socket_stays(file: HeldFile) -> None:
    """Only a socket that was left behind is replaced."""
    place = socket_beside(file.path)
    place.unlink()
    place.write_text("mine")

    with pytest.raises(OSError, match="Address already in use"):
        file.listen()

    assert place.read_text() == "mine"


def test_a_socket_that_was_left_behind_is_replaced(file: HeldFile) -> None:
    """A killed daemon cannot remove it."""
    file.listen()
    with connected(file) as connection:
        report("STATUS=new")
        assert connection.recv(SIZE) == b"STATUS=new"


def test_nothing_is_left_of_it(file: HeldFile) -> None:
    """It is removed with the PID file."""
    assert file.remove() is None

    assert list(file.path.parent.iterdir()) == []
    assert file not in held


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_another_user_hears_nothing(file: HeldFile) -> None:
    """Also where the mode of the socket would let that user connect."""
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
