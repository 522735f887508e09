"""How a TCP port refuses new clients while it drains, in processes that are allowed more or less."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from typedbus.servers._refusal import ListeningSocket

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="on other systems a port takes clients until it is closed")
]

#: Denies calls of setsockopt(2) by their level and option, as a sandbox does; any user may do so to their own process.
PRELUDE = """
import ctypes
import os
import socket
import struct
import sys

from typedbus import Bus
from typedbus.servers._binding import listen
from typedbus._bus.builtin import LOG, START, STOP

FILTER = (socket.SOL_SOCKET, 26)
HOPS = (socket.IPPROTO_IP, 21)
SETSOCKOPT = {"x86_64": 54, "aarch64": 208}[os.uname().machine]


def deny(*options):
    load, equal, answer = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 0), (equal, 1, 0, SETSOCKOPT), (answer, 0, 0, 0x7FFF0000)]
    for level, option in options:
        code += [(load, 0, 0, 24), (equal, 0, 3, level), (load, 0, 0, 32), (equal, 0, 1, option), (answer, 0, 0, 0x50001)]
    code += [(answer, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(program)))
    if libc.prctl(22, 2, fprog, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        print("no seccomp")
        sys.exit()


def can_connect(listening):
    host, port = listening.socket.getsockname()[:2]
    for each in ("::1", "127.0.0.1") if host == "::" else (host,):
        try:
            socket.create_connection((each, port), timeout=0.3).close()
        except OSError:
            continue
        return True
    return False


"""


def output(source: str) -> str:
    """Run *source* after the prelude in a new process, and return its output."""
    program = PRELUDE + textwrap.dedent(source)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    if done.stdout == "no seccomp\n":
        pytest.skip("this system has no seccomp")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", ":0"])
@pytest.mark.parametrize("denied", ["FILTER", "HOPS"])
def test_a_port_refuses_in_either_way(bind: str, denied: str) -> None:
    """A client that connected before is served; a process that may not attach a filter limits the hops."""
    if denied == "HOPS" and os.geteuid() != 0:
        pytest.skip("some kernels let only root attach a filter")
    printed = output(f"""
        deny({denied})
        try:
            listening = listen({bind!r})
        except OSError:
            print("no IPv6")
            raise SystemExit
        early = socket.create_connection(listening.socket.getsockname()[:2])
        print(listening.refuse(), can_connect(listening))
        early.sendall(b"hello")
        accepted, _ = listening.socket.accept()
        print(accepted.recv(10))
    """)

    if printed == "no IPv6\n":
        pytest.skip("there is no IPv6")
    assert printed == "None False\nb'hello'\n"


@pytest.mark.slow
def test_a_plain_user_refuses_new_clients() -> None:
    """No privilege is needed."""
    printed = output("""
        import encodings.idna  # which other users may not be allowed to read

        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        listening = listen("127.0.0.1:0")
        print(can_connect(listening), listening.refuse(), can_connect(listening))
    """)

    assert printed == "True None False\n"


@pytest.mark.slow
def test_a_client_whose_handshake_ends_after_the_refusal_is_served() -> None:
    """It inherits the limit of hops, which `accept` removes."""
    printed = output("""
        deny(FILTER)
        listening = listen("127.0.0.1:0")
        assert listening.refuse() is None
        client = socket.socket()
        client.settimeout(20)
        # The packets of this handshake get past the limit; those that are sent with 64 hops do not.
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        client.connect(listening.socket.getsockname())
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        accepted, _ = listening.socket.accept()
        accepted.settimeout(20)
        client.sendall(b"hello")
        print(accepted.recv(10))
    """)

    assert printed == "b'hello'\n"


@pytest.mark.slow
def test_a_system_that_allows_no_refusal_is_reported_once_at_the_stop() -> None:
    """The stop continues; a client that connects at its end may be reset, and the log has the reason."""
    printed = output("""
        from typedbus.servers.wsgi import WSGIServer

        bus = Bus()
        server = WSGIServer(bus, lambda environ, start_response: [], bind="127.0.0.1:0")
        bus.subscribe(LOG, lambda message, level: print(level, message.replace(address, "ADDRESS")) if address else None)
        bus.subscribe(START, server.start, priority=75)
        bus.subscribe(STOP, server.stop, priority=75)
        address = ""
        bus.start()
        address = server.address
        deny(FILTER, HOPS)
        bus.exit()
    """)

    assert printed == (
        "30 the system lets new clients connect to ADDRESS during the drain, and the last of them may be reset: "
        "[Errno 1] Operation not permitted\n"
    )


def test_a_closed_socket_needs_no_refusal() -> None:
    """A server that failed has closed it before the stop."""
    listening = ListeningSocket()
    listening.close()

    assert listening.refuse() is None
