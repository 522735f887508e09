"""Events of a stream call the listeners of the channel, in one process of each group."""

from __future__ import annotations

import threading

from tests.nats.consuming import Seen, consumer_site, placed, placed_async
from tests.nats.servers import NatsServer

from typedbus import running


def test_the_listeners_of_a_sync_channel_run_in_a_thread_of_the_consumer(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put((number, threading.current_thread().name))

    with running(consumer_site(server, placed, listener)) as site:
        for number in range(10):
            site.port().publish_from_thread(number)
        assert seen.take(10) == [(number, "Site.consumer") for number in range(10)]


def test_the_listeners_of_an_async_channel_run_in_tasks_on_the_loop_of_the_bus(server: NatsServer) -> None:
    seen = Seen()

    async def listener(number: int) -> None:
        seen.put((number, threading.current_thread().name))

    with running(consumer_site(server, placed_async, listener)) as site:
        for number in range(10):
            site.port().publish_from_thread(number)
        assert seen.take(10) == [(number, "Site event loop") for number in range(10)]
