"""The contender without a framework: nats-py, with msgspec for the messages."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from nats_order import ORDER, Sent, decode, decode_answer, encode
from nats_worker import Tally, in_flight, listen, one_by_one, publish

WINDOW = 1000
PREFETCH = 256


class Publisher:
    """Publishes through one connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stream = client.jetstream(publish_async_max_pending=WINDOW)
        self.inbox = client.new_inbox()
        self.waiting: dict[str, tuple[list[int], asyncio.Future[list[int]]]] = {}
        self.calls = 0

    async def start(self) -> None:
        """Subscribe to the inbox of `gather`."""
        await self.client.subscribe(f"{self.inbox}.*", cb=self._answered)

    async def one_way(self, count: int) -> None:
        """Publish at most once."""
        for _ in range(count):
            await self.client.publish("raw.signal", encode(Sent(time.perf_counter_ns(), ORDER)))
        await self.client.flush()

    async def _store(self, subject: str, count: int) -> None:
        for _ in range(count):
            message = encode(Sent(time.perf_counter_ns(), ORDER))
            await self.stream.publish_async(subject, message, headers={"Nats-Msg-Id": uuid.uuid4().hex})
        await self.stream.publish_async_completed()

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await self._store("RAW_STORED.event", count)

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await self._store("RAW.event", count)

    async def _ask(self) -> int:
        answer = await self.client.request("raw.ask", encode(Sent(time.perf_counter_ns(), ORDER)), timeout=10)
        return decode_answer(answer.data)

    async def ask_many(self, count: int) -> None:
        """Request answers, with 64 in flight."""
        await in_flight(count, 64, self._ask)

    async def stored(self, count: int) -> list[int]:
        """Store events, and await each acknowledgement."""

        async def call() -> None:
            message = encode(Sent(time.perf_counter_ns(), ORDER))
            await self.stream.publish("RAW_STORED.event", message, headers={"Nats-Msg-Id": uuid.uuid4().hex})

        return await one_by_one(count, call)

    async def ask(self, count: int) -> list[int]:
        """Request one answer each."""
        return await one_by_one(count, self._ask)

    async def _answered(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if token in self.waiting:
            answers, complete = self.waiting[token]
            answers.append(decode_answer(message.data))
            if len(answers) == 3:
                del self.waiting[token]
                complete.set_result(answers)

    async def _gather(self) -> list[int]:
        self.calls += 1
        token = str(self.calls)
        complete: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self.waiting[token] = [], complete
        message = encode(Sent(time.perf_counter_ns(), ORDER))
        await self.client.publish("raw.gather", message, reply=f"{self.inbox}.{token}")
        return await asyncio.wait_for(complete, 10)

    async def gather(self, count: int) -> list[int]:
        """Request the answers of three processes each."""
        return await one_by_one(count, self._gather)


async def _answer(message: Msg) -> None:
    await message.respond(encode(decode(message.data).stamp))


async def main(role: str, url: str) -> None:
    """Publish, or listen; ``answer`` is the role of the processes that only answer `gather`."""
    client = Client()
    await client.connect(url)
    if role == "publish":
        publisher = Publisher(client)
        await publisher.start()
        await client.flush()
        await publish(publisher)
        return
    tally = Tally()

    async def signalled(message: Msg) -> None:
        tally.take(decode(message.data).stamp)

    async def handle(message: Msg) -> None:
        tally.take(decode(message.data).stamp)
        await message.ack()

    await client.subscribe("raw.gather", cb=_answer)
    if role == "listen":
        await client.subscribe("raw.signal", cb=signalled)
        await client.subscribe("raw.ask", queue="bench", cb=_answer)
        await client.jetstream().subscribe(
            "RAW.event", queue="bench", cb=handle, manual_ack=True, config=ConsumerConfig(max_ack_pending=PREFETCH)
        )
    await client.flush()
    await listen(tally)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
