"""Listening sockets that a program leaves to its replacement, and the servers that claim them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("this system replaces no process", allow_module_level=True)

from typedbus._os.kept_sockets import keep
from typedbus._os.successor import drop_kept
from typedbus.servers._binding import BindError, Listening, listen


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Close the kept sockets of the test."""
    yield
    drop_kept()


def number(listening: Listening) -> int:
    """Return the number that identifies a socket of the system."""
    return os.fstat(listening.socket.fileno()).st_ino


def leave(bind: str) -> tuple[str, int]:
    """Keep a new socket as a process does that could not bind it again, and return its port or path, and its number."""
    listening = listen(bind)
    file, listening.file = listening.file, None
    keep(listening.socket, None if file is None else file.identity)
    kept = listening.where.rpartition(":")[2], number(listening)
    listening.close()
    return kept


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "", "0.0.0.0", "[::]"])  # noqa: S104  # on purpose
def test_a_server_with_the_same_address_claims_a_kept_socket(host: str) -> None:
    """It is the same socket of the system, and the server closes it at its end."""
    try:
        port, kept = leave(f"{host}:0")
    except BindError:
        pytest.skip("this machine has no such address")

    listening = listen(f"{host}:{port}")
    with contextlib.closing(listening):
        assert number(listening) == kept
        assert listening.socket.gettimeout() == 0.0
        assert not listening.socket.get_inheritable()
    with contextlib.closing(listen(f"{host}:{port}")) as successor:
        assert number(successor) != kept


@pytest.mark.parametrize(
    ("host", "other"),
    [("127.0.0.1", ""), ("0.0.0.0", "127.0.0.1"), ("", "[::]"), ("[::]", "")],  # noqa: S104  # as above
)
def test_a_server_with_another_address_does_not_claim_it(host: str, other: str) -> None:
    """The kept socket occupies the port until it is dropped."""
    if "" in (host, other) and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    port, kept = leave(f"{host}:0")

    with pytest.raises(BindError) as refused:
        listen(f"{other}:{port}")

    assert refused.value.errno == errno.EADDRINUSE
    drop_kept()
    with contextlib.closing(listen(f"{other}:{port}")) as listening:
        assert number(listening) != kept


def test_a_server_at_the_same_path_claims_a_kept_socket(tmp_path: Path) -> None:
    """The file of the socket gets the permissions of the server, and is removed at the end."""
    path = tmp_path / "s"
    _, kept = leave(f"unix:{path}")

    with contextlib.closing(listen(f"unix:{path}", 0o604)) as listening:
        assert number(listening) == kept
        assert path.stat().st_mode & 0o777 == 0o604
    assert not path.exists()


def test_a_socket_whose_file_was_replaced_is_not_claimed(tmp_path: Path) -> None:
    """No client could connect to it."""
    path = tmp_path / "s"
    _, kept = leave(f"unix:{path}")
    path.unlink()

    with contextlib.closing(listen(f"unix:{path}")) as listening:
        assert number(listening) != kept


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix:{}/s"])
def test_a_socket_that_can_be_bound_again_is_not_kept(bind: str, tmp_path: Path) -> None:
    """It serves until it is closed, and then its address is free."""
    try:
        listening = listen(bind.format(tmp_path))
    except BindError:
        pytest.skip("this machine has no such address")
    kept = number(listening)

    assert not listening.keep()

    listening.close()
    with contextlib.closing(listen(listening.where)) as successor:
        assert number(successor) != kept


def test_a_given_socket_is_not_kept() -> None:
    """It belongs to the code that has opened it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening_socket,
        contextlib.closing(listen(listening_socket)) as listening,
    ):
        assert not listening.keep()


@pytest.mark.slow
def test_a_child_process_has_no_kept_socket() -> None:
    """Its descriptor would take clients that no server there accepts."""
    source = """
        import os
        from typedbus._os.kept_sockets import keep
        from typedbus._os.successor import drop_kept
        from typedbus.servers._binding import listen

        listening = listen("127.0.0.1:0")
        keep(listening.socket)
        listening.close()
        runs, ends = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(ends[1])
            os.write(runs[1], b".")
            os.read(ends[0], 1)
            os._exit(0)
        os.read(runs[0], 1)
        drop_kept()
        listen(listening.where).close()
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


REPLACED = """
import os, socket, sys
from typedbus._os.reexec import Image
from typedbus._os.kept_sockets import keep
from typedbus._os.successor import drop_kept
from typedbus.servers._binding import listen

if len(sys.argv) == 1:
    listening = listen("127.0.0.1:0")
    port = listening.socket.getsockname()[1]
    keep(listening.socket)
    print(os.fstat(listening.socket.fileno()).st_ino)
    client = socket.create_connection(("127.0.0.1", port))
    client.set_inheritable(True)
    sys.orig_argv += [str(port), str(client.fileno())]
    Image().replace()
client = socket.socket(fileno=int(sys.argv[2]))
listening = listen(f"127.0.0.1:{sys.argv[1]}")
print(os.fstat(listening.socket.fileno()).st_ino)
print(listening.socket.accept()[1] == client.getsockname(), listening.socket.get_inheritable())
print([name for name in os.environ if name.startswith("TYPEDBUS_")])
"""


@pytest.mark.slow
def test_a_kept_socket_survives_the_replacement_of_the_program(tmp_path: Path) -> None:
    """A client that connected before is accepted after it; children inherit neither the socket nor a variable."""
    program = tmp_path / "program.py"
    program.write_text(REPLACED, encoding="utf-8")

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    before, after, accepted, variables = done.stdout.splitlines()
    assert (after, accepted, variables) == (before, "True False", "[]")


@pytest.mark.slow
def test_a_descriptor_that_does_not_listen_is_not_closed(tmp_path: Path) -> None:
    """A variable with wrong descriptors closes no file of the program, and raises no error."""
    source = """
        import json, os, socket, sys
        file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
        first, second = socket.socketpair()
        entries = [[file, None], [first.fileno(), None], [999, None], ["x", None], [1]]
        os.environ["TYPEDBUS_SOCKETS"] = json.dumps([os.getpid(), entries])
        from typedbus._os.successor import drop_kept
        import typedbus._os.kept_sockets
        drop_kept()
        os.write(file, b"written")
        first.send(b"sent")
        print(second.recv(10), "TYPEDBUS_SOCKETS" in os.environ)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), str(tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "b'sent' False\n", "")
    assert (tmp_path / "file").read_bytes() == b"written"
