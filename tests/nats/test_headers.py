"""The headers of messages as another client receives them."""

from __future__ import annotations

import asyncio

import pytest
from tests.nats.links import linked, run
from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (None, None),
        ({"Tb-Origin": "shop@host:1"}, {"Tb-Origin": "shop@host:1"}),
        ({"Nats-Msg-Id": "1-a", "Tb-Schema": "00ff"}, {"Nats-Msg-Id": "1-a", "Tb-Schema": "00ff"}),
        ({"Tb-Origin": "shop", "traceparent": "00-01"}, {"Tb-Origin": "shop", "traceparent": "00-01"}),
        ({"Nats-Msg-Id": " 1 a "}, {"Nats-Msg-Id": "1 a"}),
        ({"Nats-Msg-Id": "1\r\nTb-Origin:bad"}, {"Nats-Msg-Id": "1  Tb-Origin:bad"}),
        ({"Nats-Msg-Id": "ä"}, {"Nats-Msg-Id": "ä"}),
    ],
)
def test_headers_arrive_as_they_were_sent_and_add_no_line(
    server: NatsServer, sent: dict[str, str] | None, received: dict[str, str] | None
) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link:
            subscription = await client.subscribe("answers")
            await client.flush()
            connection = link.session("test").connection
            for number in range(3):
                connection.send("answers", b"%d" % number, "replies", sent)
            for number in range(3):
                message = await subscription.next_msg(LIMIT)
                assert (message.data, message.reply, message.headers) == (b"%d" % number, "replies", received)

    run(check())


def test_a_name_of_a_header_that_the_protocol_does_not_allow_is_refused(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link:
            subscription = await client.subscribe("answers")
            await client.flush()
            refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            connection = link.session("test").connection
            connection.send("answers", b"bad", headers={"Tb\r\nOrigin": "shop"}, dropped=refused.set_result)
            connection.send("answers", b"good")
            assert "header" in await asyncio.wait_for(refused, LIMIT)
            assert (await subscription.next_msg(LIMIT)).data == b"good"

    run(check())
