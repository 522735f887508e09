"""A link connects within its time or fails, connects again by itself, and leaves nothing behind when it stops."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.nats.links import holds
from tests.nats.recorded_link import RecordedLink, recorded_link
from tests.nats.servers import NatsServer, cluster, raw
from tests.processes import free_port, programs

from typedbus import Bus, Component, Container, State, TransitionFailures, running
from typedbus.nats import (
    Connected,
    ConnectionLost,
    Link,
    LinkClosed,
    LinkFault,
    NotConnected,
    ServerTooOld,
)


def site_of(*servers: str, **options: Any) -> tuple[Container, Link, Bus]:
    """Return a container with a link, the link, and the bus."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, servers, **options)

    site = Site()
    return site, site.link(), site.bus()


def test_a_link_is_ready_while_it_has_a_connection(server: NatsServer) -> None:
    site, link, _ = site_of(server.url)
    assert not link.check().is_ok
    with running(site):
        assert link.is_connected
        assert link.check().is_ok
        server.kill9()
        wait_for(lambda: not link.is_connected)
        assert link.check().detail.startswith(f"no connection: {server.url}: ")
        server.start()
        wait_for(lambda: link.check().is_ok)
    assert link.check().detail == "the link has not started"
    assert threading.active_count() == 1


def wait_for(condition: Any) -> None:
    asyncio.run(holds(condition))


def test_without_a_server_the_start_fails_in_time_and_the_bus_is_stopped() -> None:
    address = f"nats://127.0.0.1:{free_port()}"
    site, _, bus = site_of(address, connect_within=0.5)
    began = time.monotonic()
    with pytest.raises(TransitionFailures) as failures, running(site):
        pass
    assert time.monotonic() - began < 20
    [error] = failures.value.exceptions
    assert isinstance(error, NotConnected)
    assert (error.servers, error.seconds) == ((address,), 0.5)
    # The texts of asyncio, and of uvloop, which some versions of uvicorn install for the process.
    assert re.search("Connect call failed|Connection refused", error.reason)
    assert "start the server" in str(error)
    assert bus.state in (State.STOPPED, State.EXITED)
    assert threading.active_count() == 1


def test_a_link_starts_before_a_late_server(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def check() -> None:
        async with recorded_link(server.url, require_at_start=False, connect_within=0.1) as made:
            assert not made.link.is_connected
            session = made.link.session("x")
            received: list[bytes] = []
            await session.connection.subscribe("greetings", lambda message: received.append(message.data))
            dropped: list[str] = []
            session.connection.send("greetings", b"early", dropped=dropped.append)
            assert dropped == [session.connection.last_error]
            await asyncio.sleep(1.0)
            server.launch()
            await holds(lambda: made.link.is_connected)
            assert made.events == [Connected(server.url)]
            session.connection.send("greetings", b"late")
            await holds(lambda: received == [b"late"])

    with contextmanager(killed)(server):
        asyncio.run(check())


def killed(server: NatsServer) -> Iterator[None]:
    try:
        yield
    finally:
        server.__exit__()


def test_a_frozen_server_fails_the_start(server: NatsServer) -> None:
    async def check() -> None:
        server.freeze()
        made = RecordedLink(server.url, connect_within=0.5)
        began = time.monotonic()
        with pytest.raises(NotConnected, match="no server has answered yet"):
            await made.link.start()
        assert time.monotonic() - began < 20
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(check())


@pytest.mark.slow
def test_a_frozen_server_is_left_and_does_not_delay_the_stop(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            connection = made.link.session("x").connection
            server.freeze()
            for _ in range(100):
                connection.send("flood", bytes(100_000))
            await holds(lambda: not made.link.is_connected, limit=20)
            assert made.events[1:] == [ConnectionLost(f"{server.url}: the server has not answered a ping within 4 s")]
            server.thaw()
            await holds(lambda: made.link.is_connected)
            server.freeze()
            for _ in range(100):
                connection.send("flood", bytes(100_000))
            began = time.monotonic()
        # A stop takes 2 s at most; nothing else would end it.
        assert time.monotonic() - began < 20
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(check())


@pytest.mark.exhaustive
def test_a_loop_that_was_blocked_reads_the_answer_before_it_leaves_the_server(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            server.freeze()
            await asyncio.sleep(2.5)  # a ping is sent, and not answered
            thaws = threading.Timer(1.0, server.thaw)
            thaws.start()
            threading.Event().wait(4.5)  # noqa: ASYNC251  # it blocks the loop until the answer is late
            thaws.join()
            await asyncio.sleep(1.0)
            assert made.events == [Connected(server.url)]

    asyncio.run(check())


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_each_reconnection_resumes_at_once_and_nothing_grows(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            session = made.link.session("x")
            received: list[bytes] = []
            await session.connection.subscribe("numbers", lambda message: received.append(message.data))
            inbox = session.replies.expect(lambda message: received.append(b"reply " + message.data))
            counts = set[tuple[int, int, int]]()
            times: list[float] = []
            for number in range(5):
                server.kill9()
                await holds(lambda: not made.link.is_connected)
                server.start()
                began = time.monotonic()
                await holds(lambda: made.link.is_connected)
                times.append(time.monotonic() - began)
                session.connection.send("numbers", b"%d" % number)
                session.connection.send(inbox, b"%d" % number)
                await holds(lambda: len(received) == 2)
                assert received == [b"%d" % number, b"reply %d" % number]
                received.clear()
                # Each subscription of nats-py has a task.
                counts.add((threading.active_count(), len(asyncio.all_tasks()), open_files()))
            # A busy machine may delay some of them.
            assert sorted(times)[2] < 1.5
            assert len(counts) == 1
            assert [type(event) for event in made.events] == [Connected, *[ConnectionLost, Connected] * 5]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(check())


def test_a_link_that_the_server_has_closed_for_good_connects_again(server: NatsServer) -> None:
    async def check() -> None:
        server.config = "authorization { users: [{ user: shop, password: first }] }"
        server.reload()
        async with recorded_link(server.url.replace("//", "//shop:first@")) as made:
            session = made.link.session("x")
            received: list[bytes] = []
            inbox = session.replies.expect(lambda message: received.append(message.data))
            server.config = "authorization { users: [{ user: shop, password: second }] }"
            server.reload()
            await holds(lambda: "authorization violation" in session.connection.last_error)
            assert not made.link.is_connected
            server.config = "authorization { users: [{ user: shop, password: first }] }"
            server.reload()
            await holds(lambda: made.link.is_connected)
            session.connection.send(inbox, b"again")
            await holds(lambda: received == [b"again"])
            assert [type(event) for event in made.events] == [Connected, ConnectionLost, Connected]

    asyncio.run(check())


@pytest.mark.slow
def test_a_link_moves_to_a_server_that_the_first_has_named(tmp_path: Path) -> None:
    async def check(servers: list[NatsServer]) -> None:
        async with recorded_link(servers[0].url) as made:
            servers[0].kill9()
            await holds(lambda: len(made.events) == 3)
            lost, connected = made.events[1:]
            assert isinstance(lost, ConnectionLost)
            assert isinstance(connected, Connected)
            assert connected.server in {servers[1].url, servers[2].url}
            # A server in lame duck mode closes the connections, and accepts no new ones.
            leaving = next(one for one in servers if one.url == connected.server)
            os.kill(leaving.pid, signal.SIGUSR2)
            await holds(lambda: len(made.events) == 5)
            assert made.events[4] == Connected(next(one.url for one in servers[1:] if one is not leaving))

    with cluster(tmp_path, config="lame_duck_duration: 30s\nlame_duck_grace_period: 1s") as servers:
        asyncio.run(check(servers))


@asynccontextmanager
async def answering(lines: list[bytes]) -> AsyncIterator[tuple[str, bytearray]]:
    """Give the address of a server that sends *lines*, one before each line that it reads, and the bytes it has read."""
    read = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            read.extend(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", read


def test_a_server_that_is_too_old_fails_the_start() -> None:
    async def check() -> None:
        greeting = b'INFO {"version":"2.9.10","headers":true,"max_payload":1048576}\r\n'
        async with answering([greeting, b"", b"PONG\r\n", b""]) as (address, _):
            made = RecordedLink(address)
            with pytest.raises(ServerTooOld) as raised:
                await made.link.start()
            assert (raised.value.server, raised.value.version) == (address, "2.9.10")
            assert "2.10.23" in str(raised.value)
            assert made.events == []

    asyncio.run(check())


def test_a_server_of_another_protocol_fails_the_start() -> None:
    async def check() -> None:
        async with answering([b"SSH-2.0-OpenSSH_9.2\r\n"] * 2) as (address, _):
            with pytest.raises(NotConnected, match="expecting INFO"):
                await RecordedLink(address, connect_within=0.5).link.start()

    asyncio.run(check())


def test_a_server_that_must_offer_tls_learns_no_secret(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")

    async def check() -> None:
        greeting = b'INFO {"version":"2.12.0","auth_required":true,"nonce":"abc"}\r\n'
        async with answering([greeting, b"", b""]) as (address, read):
            made = RecordedLink(address.replace("nats", "tls"), token_file=token, connect_within=0.5)
            with pytest.raises(NotConnected, match="does not offer TLS"):
                await made.link.start()
            assert read == b""

    asyncio.run(check())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"servers": []}, "the list is empty"),
        ({"servers": "nats://127.0.0.1:4222"}, "write Link(bus, [...])"),
        ({"servers": None}, "not a value of type NoneType"),
        ({"servers": 4222}, "not a value of type int"),
        ({"servers": [4222]}, "not a value of type int"),
        ({"servers": [b"nats://h"]}, "not a value of type bytes"),
        ({"servers": ["foo bar"]}, "'foo bar' has no valid host and port"),
        ({"servers": ["http://x"]}, "the scheme of 'http://x' must be nats or tls"),
        ({"servers": ["ws://user:secret@x:80"]}, "the scheme of 'ws://x:80' must be nats or tls"),
        ({"servers": ["wss://x"]}, "the scheme of 'wss://x' must be nats or tls"),
        ({"servers": ["nats://"]}, "'nats://' has no valid host and port"),
        ({"servers": ["h:99999"]}, "'h:99999' has no valid host and port"),
        ({"servers": ["nats://a:1,nats://b:2"]}, "has no valid host and port"),
        ({"connect_within": 0}, "0 is not a number of seconds above 0"),
        ({"connect_within": -1.0}, "-1.0 is not"),
        ({"connect_within": float("nan")}, "nan is not"),
        ({"connect_within": float("inf")}, "inf is not"),
        ({"connect_within": "5"}, "'5' is not"),
        ({"connect_within": True}, "True is not"),
        ({"prefix": ""}, "'' is no subject"),
        ({"prefix": "a b"}, "'a b' is no subject"),
        ({"prefix": "a.>"}, "'a.>' is no subject"),
        ({"prefix": "a..b"}, "'a..b' is no subject"),
        ({"prefix": "$SYS"}, "'$SYS' is no subject"),
        ({"prefix": "größe"}, "'größe' is no subject"),
        ({"prefix": 7}, "7 is no subject"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LinkFault) as raised:
        Link(Bus(), **{"servers": ["nats://127.0.0.1:4222"], **options})
    assert raised.value.argument == next(iter(options))
    assert problem in raised.value.problem
    assert str(raised.value) == f"{raised.value.argument} of Link(...): {raised.value.problem}"


@pytest.mark.parametrize("address", ["127.0.0.1", "h:1", "nats://h", "tls://[::1]:4222", "u:p@h", "nats://t@h:1/"])
def test_an_address_may_be_short(address: str) -> None:
    Link(Bus(), [address])


def test_starts_and_stops_may_be_repeated(server: NatsServer) -> None:
    async def check() -> None:
        made = RecordedLink(server.url)
        await made.link.stop()
        with pytest.raises(LinkClosed, match="'quotes'"):
            made.link.session("quotes")
        for _ in range(2):
            await made.link.start()
            session = made.link.session("x")
            await made.link.start()
            assert made.link.session("x") is session
            await made.link.stop()
            await made.link.stop()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert made.events == [Connected(server.url)] * 2

    asyncio.run(check())


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_start_that_is_called_off_leaves_nothing(server: NatsServer, *, is_frozen: bool) -> None:
    async def check() -> None:
        if is_frozen:
            server.freeze()
        else:
            server.kill9()
        made = RecordedLink(server.url)
        starting = asyncio.create_task(made.link.start())
        await asyncio.sleep(0.3)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not made.link.is_connected

    asyncio.run(check())


def test_a_stop_that_is_called_off_leaves_nothing(server: NatsServer) -> None:
    async def check() -> None:
        made = RecordedLink(server.url)
        await made.link.start()
        connection = made.link.session("x").connection
        server.freeze()
        dropped: list[str] = []
        for _ in range(100):
            connection.send("flood", bytes(100_000), dropped=dropped.append)
        stopping = asyncio.create_task(made.link.stop())
        await asyncio.sleep(0.3)
        assert not stopping.done()
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert dropped
        assert {*dropped} == {"the link has stopped"}
        await holds(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    asyncio.run(check())


def test_a_link_runs_on_the_loop_of_the_caller(server: NatsServer) -> None:
    async def check() -> None:
        site, link, _ = site_of(server.url)
        async with running(site):
            assert link.session("x").loop is asyncio.get_running_loop()
            assert link.is_connected
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(check())


def test_a_link_runs_on_uvloop(server: NatsServer) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def check() -> None:
        async with recorded_link(server.url) as made:
            connection = made.link.session("x").connection
            received: list[bytes] = []
            await connection.subscribe("greetings", lambda message: received.append(message.data))
            connection.send("greetings", b"hello")
            assert await connection.flush(5)
            server.kill9()
            server.start()
            await holds(lambda: len(made.events) == 3)
            connection.send("greetings", b"again")
            await holds(lambda: received == [b"hello", b"again"])

    uvloop.run(check())


def test_a_flush_waits_for_all_messages_before_it(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made, raw(server) as client:
            received = await client.subscribe("numbers")
            await client.flush()
            connection = made.link.session("x").connection
            for _ in range(10_000):
                connection.send("numbers", bytes(100))
            assert await connection.flush(30)
            await client.flush()
            assert received.pending_msgs == 10_000

    asyncio.run(check())


def test_a_call_that_misses_its_deadline_ends(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            ended = asyncio.Event()

            async def slow() -> None:
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.set()

            with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
                await made.link.session("x").connection.bounded(slow(), 0.1)
            await asyncio.wait_for(ended.wait(), 10)

            async def fails() -> None:
                raise LookupError("no such")

            with pytest.raises(LookupError, match="no such"):
                await made.link.session("x").connection.bounded(fails(), 10)

    asyncio.run(check())


def test_messages_beyond_the_limit_are_counted_and_failures_are_logged(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            connection = made.link.session("x").connection
            few = await connection.subscribe("numbers", lambda _message: None, limit=1)

            def fail(message: object) -> None:
                raise LookupError("no such order")

            await connection.subscribe("orders", fail)
            for number in range(100):
                connection.send("numbers", b"%d" % number)
            connection.send("orders", b"17")
            await holds(lambda: few.dropped > 0 and any("no such order" in line for line in made.lines))
            assert made.link.is_connected

    asyncio.run(check())


def test_a_program_with_a_link_has_no_warnings(server: NatsServer, tmp_path: Path) -> None:
    with programs(tmp_path) as begin:
        program = begin(
            f"""
            import asyncio, gc, sys
            from typedbus import Bus, Component, Container, running
            from typedbus.nats import Link

            class Site(Container):
                bus = Component(Bus)
                link = Component(Link, bus.provided, ["{server.url}"])

            async def main():
                async with running(Site) as site:
                    connection = site.link().session("x").connection
                    await connection.subscribe("x", lambda message: None)
                    print("connected", flush=True)
                    while connection.is_connected:
                        connection.send("x", bytes(100_000))
                        await asyncio.sleep(0)
                    print("lost", flush=True)
                    while not connection.is_connected:
                        await asyncio.sleep(0.01)
                    connection.send("x", bytes(100_000))

            asyncio.run(main(), debug=True)
            gc.collect()
            print("end")
            """,
            flags=["-X", "dev", "-W", "error"],
        )
        program.reach_line("connected")
        server.kill9()
        program.reach_line("lost")
        server.start()
        assert program.end() == 0
        assert program.lines == ["connected", "lost", "end"]
