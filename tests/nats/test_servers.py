"""The servers of the tests end, keep their port and their store, and freeze."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import nats.errors
import pytest
from nats.js.api import StreamConfig
from tests.nats.servers import NatsServer, certificates, cluster, nkey, raw
from tests.processes import LIMIT

T = TypeVar("T")


def test_a_killed_server_keeps_its_port_and_its_streams(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client:
            stream = client.jetstream()
            await stream.add_stream(StreamConfig(name="ORDERS", subjects=["orders"]))
            await stream.publish("orders", b"mugs")
        url = server.url
        server.kill9()
        server.start()
        assert server.url == url
        async with raw(server) as client:
            assert (await client.jetstream().get_msg("ORDERS", 1)).data == b"mugs"

    asyncio.run(check())


def test_a_frozen_server_does_not_answer_until_it_is_thawed(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client:
            server.freeze()
            with pytest.raises(nats.errors.TimeoutError):
                await client.flush(timeout=1)
        server.thaw()
        async with raw(server) as client:
            await client.flush()

    asyncio.run(check())


def test_a_frozen_server_ends_with_its_test(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        pid = server.pid
        server.freeze()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_refuses_its_configuration_shows_its_log(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, config="max_payload: none")
    with pytest.raises(AssertionError, match="server.conf:7"), server:
        pass
    assert server.child is None


def test_a_server_reads_changed_permissions(server: NatsServer) -> None:
    async def check() -> None:
        server.config = "authorization { user: shop, password: secret }"
        server.reload()
        with pytest.raises(nats.errors.Error, match="Authorization"):
            async with raw(server, allow_reconnect=False, max_reconnect_attempts=0):
                pass
        async with raw(server, user="shop", password="secret") as client:
            await client.flush()

    asyncio.run(check())


def test_a_server_takes_keys_and_certificates(tmp_path: Path) -> None:
    files = certificates(tmp_path / "certificates")
    key = nkey(tmp_path)
    config = f"{files.mutual}\nauthorization {{ users: [{{ nkey: {key.public} }}] }}"

    async def check(server: NatsServer) -> None:
        context = ssl.create_default_context(cafile=files.authority)
        context.load_cert_chain(files.client, files.client_key)
        async with raw(server, tls=context, nkeys_seed=str(key.seed)) as client:
            await client.flush()

    with NatsServer(tmp_path / "nats", config=config) as server:
        asyncio.run(check(server))


async def repeated(call: Callable[[], Awaitable[T]]) -> T:
    """Return the first result of *call*: the servers of a cluster learn of a new stream one after the other."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await call()
            except nats.errors.Error:
                await asyncio.sleep(0.05)


@pytest.mark.slow
def test_a_cluster_has_streams_with_replicas(tmp_path: Path) -> None:
    async def check(first: NatsServer, second: NatsServer) -> None:
        async with raw(first) as client:
            stream = client.jetstream()
            await stream.add_stream(StreamConfig(name="ORDERS", subjects=["orders"], num_replicas=3))
            await repeated(lambda: stream.publish("orders", b"mugs", headers={"Nats-Msg-Id": "1"}))
        async with raw(second) as client:
            info = await repeated(lambda: client.jetstream().stream_info("ORDERS"))
            assert info.state.messages == 1

    with cluster(tmp_path) as servers:
        asyncio.run(check(servers[0], servers[1]))
