"""A process that is forked after the start of a link: its copies of the ports refuse every call at once."""

from __future__ import annotations

import asyncio
import signal as signals
import sys
from collections.abc import Callable

import pytest
from tests.nats.links import body, linked, opened, placed, run, stored
from tests.nats.servers import NatsServer
from tests.processes import LIMIT, in_child

from typedbus import Channel
from typedbus.nats import DeadLetters, LinkForked, ask, event, gather, signal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")

quotes = Channel[[str], int]("quotes")


def checked_in_child(check: Callable[[], None]) -> None:
    """Call *check* in a child, which is killed if it does not end."""

    def limited() -> None:
        signals.alarm(int(LIMIT))
        check()

    in_child(limited)


@pytest.mark.parametrize("in_thread", [False, True], ids=["of the loop", "another"])
def test_in_a_forked_child_every_port_refuses_its_calls(server: NatsServer, in_thread: bool) -> None:
    async def check() -> None:
        async with linked(server, name="shop") as link, opened(link, window=1) as port:
            asking, gathering, texted = (
                ask(link, quotes, timeout=LIMIT),
                gather(link, quotes, timeout=LIMIT),
                signal(link, placed),
            )
            for one in (asking, gathering, texted):
                await one.start()
            # The slot of the window is taken: a call that is not refused first would wait for it.
            first, origin = port.submit(1), link.origin

            def refused() -> None:
                assert not link.is_connected
                calls: list[Callable[[], object]] = [
                    lambda: port.submit(2),
                    lambda: port.publish_from_thread(2),
                    lambda: asking.ask_from_thread("tea"),
                    lambda: gathering.gather_from_thread("tea"),
                    lambda: texted.publish_from_thread(2),
                    lambda: texted.publish(2),
                    lambda: asyncio.run(port.publish(2)),
                    lambda: asyncio.run(asking.ask("tea")),
                    lambda: asyncio.run(gathering.gather("tea")),
                    lambda: asyncio.run(DeadLetters(link, "ORDERS").read()),
                    lambda: asyncio.run(event(link, placed, stream="ORDERS").start()),
                ]
                for call in calls:
                    with pytest.raises(LinkForked) as raised:
                        call()
                    assert raised.value.origin == origin
                    assert "start the bus in this process, with a link and ports of its own" in str(raised.value)

            if in_thread:
                await asyncio.to_thread(checked_in_child, refused)
            else:
                checked_in_child(refused)

            assert (await asyncio.wrap_future(first)).sequence == 1
            for one in (asking, gathering, texted):
                await one.stop()
        assert await stored(server) == [body(1)]

    run(check())


def test_a_forked_child_uses_a_link_of_its_own(server: NatsServer) -> None:
    async def sent() -> None:
        async with linked(server) as own, opened(own) as port:
            await port.publish(2)

    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            await port.publish(1)
            await asyncio.to_thread(checked_in_child, lambda: asyncio.run(sent()))
            await port.publish(3)
        assert await stored(server) == [body(1), body(2), body(3)]

    run(check())
