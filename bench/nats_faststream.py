"""The contender FastStream, with its serializer for msgspec; it has no request with many answers."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from fast_depends.msgspec import MsgSpecSerializer
from faststream.nats import JStream, NatsBroker
from nats.js.api import ConsumerConfig

from nats_order import ORDER, Sent, decode_answer
from nats_raw import PREFETCH, WINDOW
from nats_worker import Tally, in_flight, listen, one_by_one, publish


class Publisher:
    """Publishes through one broker."""

    def __init__(self, broker: NatsBroker) -> None:
        self.broker = broker

    async def one_way(self, count: int) -> None:
        """Publish at most once."""
        for _ in range(count):
            await self.broker.publish(Sent(time.perf_counter_ns(), ORDER), "faststream.signal")

    async def _store(self, stream: str) -> None:
        await self.broker.publish(
            Sent(time.perf_counter_ns(), ORDER),
            f"{stream}.event",
            headers={"Nats-Msg-Id": uuid.uuid4().hex},
            stream=stream,
            timeout=10,
        )

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await in_flight(count, WINDOW, lambda: self._store("FASTSTREAM_STORED"))

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await in_flight(count, WINDOW, lambda: self._store("FASTSTREAM"))

    async def _ask(self) -> int:
        answer = await self.broker.request(Sent(time.perf_counter_ns(), ORDER), "faststream.ask", timeout=10)
        return decode_answer(answer.body)

    async def ask_many(self, count: int) -> None:
        """Request answers, with 64 in flight."""
        await in_flight(count, 64, self._ask)

    async def stored(self, count: int) -> list[int]:
        """Store events, and await each acknowledgement."""
        return await one_by_one(count, lambda: self._store("FASTSTREAM_STORED"))

    async def ask(self, count: int) -> list[int]:
        """Request one answer each."""
        return await one_by_one(count, self._ask)


async def main(role: str, url: str) -> None:
    """Publish or listen."""
    broker = NatsBroker(url, serializer=MsgSpecSerializer(), logger=None)
    if role == "publish":
        async with broker:
            await publish(Publisher(broker))
        return
    tally = Tally()

    @broker.subscriber("faststream.signal")
    async def signalled(message: Sent) -> None:
        tally.take(message.stamp)

    @broker.subscriber("faststream.ask", queue="bench")
    async def answer(message: Sent) -> int:
        return message.stamp

    @broker.subscriber(
        "FASTSTREAM.event",
        stream=JStream("FASTSTREAM", declare=False),
        queue="bench",
        config=ConsumerConfig(max_ack_pending=PREFETCH),
    )
    async def handle(message: Sent) -> None:
        tally.take(message.stamp)

    async with broker:
        await broker.start()
        await listen(tally)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
