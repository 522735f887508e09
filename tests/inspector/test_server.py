"""The inspector's own server: idle clients, many clients, the end, and forks."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.inspector.clients import TOKEN, Client
from tests.processes import fork, until

from typedbus import LOG, Bus, Channel
from typedbus.inspector import Inspector
from typedbus.servers.serving import BindError


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    inspector = Inspector(Bus(), token=TOKEN)
    inspector.start()
    yield inspector
    inspector.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_idle_clients_delay_no_other(inspector: Inspector) -> None:
    """A browser connects before it has a request; the oldest connections are closed for new ones."""
    client = Client.of(inspector)
    idle = [connected(client.port) for _ in range(50)]

    assert client.get("health")
    assert idle[0].recv(1) == b""
    for connection in idle:
        connection.close()


def test_the_end_does_not_wait_for_idle_clients(inspector: Inspector) -> None:
    """They would keep it for ten seconds."""
    client = Client.of(inspector)
    idle = [connected(client.port) for _ in range(5)]
    half = connected(client.port)
    half.sendall(b"GET /api/v1/heal")
    until(lambda: sum(thread.name == "inspector request" for thread in threading.enumerate()) == 6)
    began = time.monotonic()

    inspector.close()

    assert time.monotonic() - began < 5
    assert not any(thread.name.startswith("inspector") for thread in threading.enumerate())
    for connection in [*idle, half]:
        assert connection.recv(1) == b""
        connection.close()


def test_a_client_that_goes_away_is_no_error(inspector: Inspector) -> None:
    """With a reset in the middle of its answer, or of its request."""
    client = Client.of(inspector)
    lines: list[str] = []
    inspector.bus.subscribe(LOG, lambda text, level: lines.append(text))
    for request in (b"GET / HTTP/1.1\r\n", f"GET / HTTP/1.1\r\nHost: localhost:{client.port}\r\n\r\n".encode()):
        connection = connected(client.port)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(request)
        connection.close()

    assert client.get("health")
    until(lambda: not any(thread.name == "inspector request" for thread in threading.enumerate()))
    assert lines == []


def test_many_clients_at_once_get_their_answers(inspector: Inspector) -> None:
    """Each in a thread of its own."""
    client = Client.of(inspector)
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(client.snapshot())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 20
    assert all(answers)


def test_a_second_start_keeps_the_server(inspector: Inspector) -> None:
    """A bus that was stopped starts its components again."""
    url = inspector.url

    inspector.start()

    assert inspector.url == url


def test_a_port_in_use_is_an_error_of_the_start(inspector: Inspector) -> None:
    """As for servers."""
    other = Inspector(Bus(), bind=f"127.0.0.1:{Client.of(inspector).port}")

    with pytest.raises(BindError, match="another process uses this port"):
        other.start()
    assert other.url is None


def test_the_same_port_can_be_used_again_at_once(inspector: Inspector) -> None:
    """After a restart the page finds the process again."""
    port = Client.of(inspector).port
    assert Client(port).get("health")
    inspector.close()

    again = Inspector(Bus(), bind=f"127.0.0.1:{port}", token=TOKEN)
    again.start()
    assert Client(port).get("health")
    again.close()


def test_it_serves_on_ipv6() -> None:
    """If this machine has it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    inspector = Inspector(Bus(), bind="[::1]:0", token=TOKEN)
    inspector.start()
    port = Client.of(inspector).port
    with socket.create_connection(("::1", port), timeout=30) as connection:
        request = f"GET /api/v1/health HTTP/1.1\r\nHost: [::1]:{port}\r\nX-Typedbus-Token: {TOKEN}\r\n\r\n"
        connection.sendall(request.encode())
        answer = connection.makefile("rb").read()
    inspector.close()

    assert inspector.url is None
    assert answer.startswith(b"HTTP/1.0 200 ")


def test_a_child_that_is_forked_while_threads_record_can_publish(inspector: Inspector) -> None:
    """It may have been forked while another thread held a lock of the inspector."""
    bus = inspector.bus
    channel = Channel[[], None]("channel")
    ends = threading.Event()

    def log() -> None:
        while not ends.is_set():
            bus.log("x")

    thread = threading.Thread(target=log)
    thread.start()
    children = []
    for _ in range(10):
        child = fork()
        if not child:
            bus.log("in the child")
            bus[channel].publish()
            os._exit(7)
        children.append(child)
    ends.set()
    thread.join()

    deadline = time.monotonic() + 30
    statuses = []
    for child in children:
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended[0] == 0:
            os.kill(child, 9)
            ended = os.waitpid(child, 0)
        statuses.append(os.waitstatus_to_exitcode(ended[1]))
    assert statuses == [7] * 10
