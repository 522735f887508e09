"""A stream is created if it is missing, and otherwise checked; a stream that cannot be used fails the start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from tests.nats.recorded_link import recorded_link
from tests.nats.servers import NatsServer, cluster, raw

from typedbus.nats import Stream, StreamFault
from typedbus.nats._streams import covers, ensure


def ensured(server: NatsServer, stream: Stream | str, subject: str = "ORDERS.placed", **options: Any) -> StreamInfo:
    """Check or create *stream* with a link, and return what the server says of it."""

    async def check() -> StreamInfo:
        async with recorded_link(server.url) as made:
            connection = made.link.session("x").connection
            return await ensure(connection, stream, subject, **{"within": 5.0, **options})

    return asyncio.run(check())


def create(server: NatsServer, **config: Any) -> None:
    async def check() -> None:
        async with raw(server) as client:
            await client.jetstream().add_stream(StreamConfig(**config))

    asyncio.run(check())


def test_a_missing_stream_is_created_and_loses_no_event_when_it_is_full(server: NatsServer) -> None:
    stream = Stream(
        "ORDERS", max_age=3600.0, max_bytes=1 << 20, max_messages=7, duplicate_window=60.0, storage="memory"
    )
    for _ in range(2):
        config = ensured(server, stream).config
        assert (config.name, config.subjects, config.num_replicas) == ("ORDERS", ["ORDERS.>"], 1)
        assert (config.max_age, config.max_bytes, config.max_msgs, config.duplicate_window) == (
            3600.0,
            1 << 20,
            7,
            60.0,
        )
        assert (config.storage, config.discard) == (StorageType.MEMORY, DiscardPolicy.NEW)


def test_a_stream_that_exists_is_used_as_it_is(server: NatsServer) -> None:
    create(server, name="ORDERS", subjects=["ORDERS.placed", "old"], max_msgs=17)
    for stream in (Stream("ORDERS"), "ORDERS"):
        assert ensured(server, stream).config.max_msgs == 17


def fault(server: NatsServer, stream: Stream | str, **options: Any) -> str:
    with pytest.raises(StreamFault) as raised:
        ensured(server, stream, **options)
    assert raised.value.stream == "ORDERS"
    return str(raised.value)


def test_a_stream_that_cannot_be_used_is_a_fault(server: NatsServer) -> None:
    assert "the server has no such stream: create it, or pass Stream(...)" in fault(server, "ORDERS")
    create(server, name="ORDERS", subjects=["orders.*"], duplicate_window=1)
    assert "it stores orders.*, and not 'ORDERS.placed': add the subject" in fault(server, Stream("ORDERS"))
    text = fault(server, Stream("ORDERS"), subject="orders.placed", horizon=7.5)
    assert "it remembers the ids of events for 1 s, and a port may send an event again for 7.5 s" in text


def test_a_stream_that_cannot_be_created_is_a_fault(server: NatsServer) -> None:
    create(server, name="OTHER", subjects=["ORDERS.old"])
    assert "it cannot be created: subjects overlap with an existing stream" in fault(server, Stream("ORDERS"))
    text = fault(server, Stream("ORDERS", replicas=3), subject="x", within=0.5)
    assert "replicas > 1 not supported in non-clustered mode" in text


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            'authorization { users: [{ user: shop, password: x, permissions: { publish: "x" } }] }',
            r"denies this user to publish on '\$js.api.stream.info.orders': grant it '\$JS.API.>'",
        ),
        (
            "accounts { SHOP { users: [{ user: shop, password: x }] } }",
            "JetStream is not enabled: write",
        ),
    ],
)
def test_a_user_without_jetstream_is_a_fault(tmp_path: Path, config: str, problem: str) -> None:
    async def check(server: NatsServer) -> None:
        async with recorded_link(server.url.replace("//", "//shop:x@")) as made:
            with pytest.raises(StreamFault, match=problem):
                await ensure(made.link.session("x").connection, "ORDERS", "ORDERS.placed", within=0.5)

    with NatsServer(tmp_path, config=config) as server:
        asyncio.run(check(server))


def test_a_fault_is_raised_in_time_without_a_connection(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            server.kill9()
            began = time.monotonic()
            with pytest.raises(StreamFault, match=r"there is no connection: .* \(after 0\.5 s\)"):
                await ensure(made.link.session("x").connection, "ORDERS", "ORDERS.placed", within=0.5)
            assert time.monotonic() - began < 20

    asyncio.run(check())


def test_a_stream_is_found_when_the_connection_is_back(server: NatsServer) -> None:
    async def check() -> None:
        async with recorded_link(server.url) as made:
            server.kill9()
            ensuring = asyncio.create_task(
                ensure(made.link.session("x").connection, Stream("ORDERS"), "ORDERS.placed", within=30)
            )
            await asyncio.sleep(0)
            server.start()
            assert (await ensuring).config.name == "ORDERS"

    asyncio.run(check())


@pytest.mark.exhaustive
def test_a_stream_with_replicas_waits_for_the_servers_of_its_cluster(tmp_path: Path) -> None:
    async def check(servers: list[NatsServer]) -> None:
        async with recorded_link(servers[1].url, servers[2].url) as made:
            servers[0].kill9()
            connection = made.link.session("x").connection
            ensuring = asyncio.create_task(
                ensure(connection, Stream("ORDERS", replicas=3), "ORDERS.placed", within=60.0)
            )
            await asyncio.sleep(0.5)
            servers[0].launch()
            assert (await ensuring).config.num_replicas == 3

    with cluster(tmp_path) as servers:
        asyncio.run(check(servers))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": ""}, "is no name of a stream"),
        ({"name": "a.b"}, "is no name of a stream"),
        ({"name": "a b"}, "is no name of a stream"),
        ({"name": "größe"}, "is no name of a stream"),
        ({"name": 7}, "is no name of a stream"),
        ({"replicas": 0}, "replicas=0 is not"),
        ({"replicas": 1.5}, "replicas=1.5 is not"),
        ({"max_age": -1.0}, "max_age=-1.0 is not"),
        ({"max_age": float("nan")}, "max_age=nan is not"),
        ({"max_bytes": 0}, "max_bytes=0 is not"),
        ({"max_messages": True}, "max_messages=True is not"),
        ({"duplicate_window": None}, "duplicate_window=None is not"),
        ({"duplicate_window": "1"}, "duplicate_window='1' is not"),
        ({"storage": "disk"}, "storage='disk' is neither 'file' nor 'memory'"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(StreamFault, match=problem):
        Stream(**{"name": "ORDERS", **arguments})


@pytest.mark.parametrize(
    ("pattern", "subject", "is_covered"),
    [
        ("ORDERS.>", "ORDERS.placed", True),
        ("ORDERS.>", "ORDERS.eu.placed", True),
        ("ORDERS.>", "ORDERS", False),
        ("ORDERS.*", "ORDERS.placed", True),
        ("ORDERS.*", "ORDERS.eu.placed", False),
        ("ORDERS.*.placed", "ORDERS.eu.placed", True),
        ("ORDERS.placed", "ORDERS.placed", True),
        ("ORDERS.placed", "ORDERS.placed.eu", False),
        (">", "ORDERS.placed", True),
    ],
)
def test_a_pattern_covers_subjects(pattern: str, subject: str, *, is_covered: bool) -> None:
    assert covers(pattern, subject) is is_covered
