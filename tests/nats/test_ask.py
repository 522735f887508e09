"""A question gets the answer of one listener in another process, or a failure that names what happened."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from tests.nats.links import EARLY, LATE, linked, within
from tests.nats.questions import SUBJECT, answered, answering, asking, length, price_wanted, quote_wanted, unanswered
from tests.nats.servers import NatsServer, raw

from typedbus import Bus, Channel, LoopError
from typedbus.nats import (
    Answer,
    Denied,
    Disconnected,
    Link,
    LinkClosed,
    NoListener,
    RemoteTimeout,
    SchemaFault,
    TooLarge,
    Unreadable,
    ask,
)


def test_a_question_gets_the_result_of_the_listener(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, answering(server, quote_wanted, length), asking(link, quote_wanted) as port:
            answer = await port.ask("mug")
            assert isinstance(answer, Answer)
            assert (answer.value, answer.origin.split("@")[0]) == (3, "pricing")
            assert (await port.ask("mugs")).value == 4

    asyncio.run(check())


def test_listeners_of_async_channels_answer(server: NatsServer) -> None:
    async def price(name: str) -> int:
        await asyncio.sleep(0)
        return len(name)

    async def check() -> None:
        async with linked(server) as link, answering(server, price_wanted, price), asking(link, price_wanted) as port:
            assert (await port.ask("mug")).value == 3

    asyncio.run(check())


def test_a_result_of_none_is_an_answer(server: NatsServer) -> None:
    noted = Channel[[str], None]("noted")
    names: list[str] = []

    async def check() -> None:
        async with linked(server) as link, answering(server, noted, names.append), asking(link, noted) as port:
            answer = await port.ask("mug")
            assert isinstance(answer, Answer)
            assert (answer.value, names) == (None, ["mug"])

    asyncio.run(check())


def test_without_a_responder_there_is_no_listener_at_once(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            with within(LATE):
                failures = [await port.ask("mug") for _ in range(10)]
            assert {type(failure) for failure in failures} == {NoListener}
            with pytest.raises(NoListener, match="no process listens to 'quote_wanted'"):
                _ = failures[0].value

    asyncio.run(check())


def test_questions_in_flight_get_their_own_answers(server: NatsServer) -> None:
    async def check() -> None:
        doubled = Channel[[int], int]("doubled")
        async with linked(server) as link, answering(server, doubled, lambda number: 2 * number):
            async with asking(link, doubled) as port:
                answers = await asyncio.gather(*map(port.ask, range(640)))
                assert [answer.value for answer in answers] == [2 * number for number in range(640)]
                assert link.session("doubled").replies.handlers == {}

    asyncio.run(check())


def test_threads_ask(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, answering(server, quote_wanted, length), asking(link, quote_wanted) as port:
            answers = await asyncio.gather(
                *(asyncio.to_thread(port.ask_from_thread, "m" * number) for number in range(20))
            )
            assert [answer.value for answer in answers] == list(range(20))
        with pytest.raises(LinkClosed):
            await asyncio.to_thread(port.ask_from_thread, "mug")

    asyncio.run(check())


def test_each_question_has_its_own_deadline(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted, 1.6) as port:
            await unanswered(client)
            first = asyncio.create_task(port.ask("first"))
            await asyncio.wait({first}, timeout=0.8)
            began = time.monotonic()
            second = asyncio.create_task(port.ask("second"))
            assert isinstance(await first, RemoteTimeout)
            assert not second.done()
            assert isinstance(await asyncio.wait_for(second, 1.6 + LATE), RemoteTimeout)
            assert time.monotonic() - began >= 1.6 - EARLY

    asyncio.run(check())


def test_a_question_ends_by_its_timeout_also_if_the_server_is_frozen(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted, 0.3) as port:
            await unanswered(client)
            for disturb in str, server.freeze:
                disturb()
                began = time.monotonic()
                with within(0.3 + LATE):
                    failures = await asyncio.gather(port.ask("mug"), asyncio.to_thread(port.ask_from_thread, "mug"))
                assert time.monotonic() - began >= 0.3 - EARLY
                assert [type(failure) for failure in failures] == [RemoteTimeout, RemoteTimeout]
                assert str(failures[0]) == "no answer on 'quote_wanted' within 0.3 s; the listener may have been called"
            server.thaw()

    asyncio.run(check())


def test_a_question_whose_connection_is_lost_ends_at_once(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted) as port:
            received = await unanswered(client)
            questions = [asyncio.create_task(port.ask("mug")) for _ in range(3)]
            thread = asyncio.create_task(asyncio.to_thread(port.ask_from_thread, "mug"))
            for _ in range(4):
                await received.get()
            with within(5):
                server.kill9()
                failures = await asyncio.gather(*questions, thread)
            assert all(isinstance(failure, Disconnected) and failure.was_sent for failure in failures)

            failure = await port.ask("mug")
            assert isinstance(failure, Disconnected)
            assert not failure.was_sent
            assert "nothing was sent, there is no connection" in str(failure)

    asyncio.run(check())


def test_a_question_is_answered_after_a_restart_of_the_server(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, answering(server, quote_wanted, length), asking(link, quote_wanted) as port:
            for _ in range(2):
                server.kill9()
                server.start()
                assert (await answered(port, "mug")).value == 3

    asyncio.run(check())


def test_a_question_that_the_server_denies_fails_at_once(tmp_path: Path) -> None:
    permissions = '{ publish: "other", subscribe: ">" }'
    config = f"authorization {{ users: [{{ user: front, password: secret, permissions: {permissions} }}] }}"

    async def check(server: NatsServer) -> None:
        async with linked(server, "front:secret") as link, asking(link, quote_wanted) as port:
            with within(5):
                failure = await port.ask("mug")
            assert isinstance(failure, Denied)
            assert str(failure) == (
                f"channel 'quote_wanted': the server denies this user to publish on the subject {SUBJECT!r}; allow it in "
                "the permissions of the user"
            )

    with NatsServer(tmp_path / "nats", config=config) as server:
        asyncio.run(check(server))


def test_a_late_answer_reaches_no_other_question(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted, 1.0) as port:
            late: list[Msg] = []

            async def answer(message: Msg) -> None:
                headers = {"Tb-Reply": "ok", "Tb-Origin": "raw"}
                for earlier in late:
                    await client.publish(earlier.reply, b"1", headers=headers)
                late.append(message)
                if message.data == b'{"arg0":"second"}':
                    await client.publish(message.reply, b"2", headers=headers)

            await client.subscribe(SUBJECT, cb=answer)
            await client.flush()
            assert isinstance(await port.ask("first"), RemoteTimeout)
            assert await port.ask("second") == Answer(2, "raw")

    asyncio.run(check())


def test_a_cancelled_question_is_forgotten(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted) as port:
            received = await unanswered(client)
            question = asyncio.create_task(port.ask("mug"))
            message = await received.get()
            question.cancel()
            # The answer may arrive before the task of the question runs again.
            await client.publish(message.reply, b"1", headers={"Tb-Reply": "ok"})
            await asyncio.wait({question})
            assert question.cancelled()
            assert link.session("quote_wanted").replies.handlers == {}

    asyncio.run(check())


def test_a_port_that_stops_ends_its_questions(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link:
            port = ask(link, quote_wanted, timeout=30.0)
            with pytest.raises(LinkClosed, match="its port or link has not started"):
                await port.ask("mug")
            await port.start()
            received = await unanswered(client)
            question = asyncio.create_task(port.ask("mug"))
            await received.get()
            await port.stop()
            failure = await question
            assert isinstance(failure, Disconnected)
            assert (failure.was_sent, failure.reason) == (True, "the port has stopped")
            with pytest.raises(LinkClosed):
                await port.ask("mug")
            await port.start()
            question = asyncio.create_task(port.ask("mug"))
            message = await received.get()
            await client.publish(message.reply, b"3", headers={"Tb-Reply": "ok", "Tb-Origin": "raw"})
            assert await question == Answer(3, "raw")
            await port.stop()

    asyncio.run(check())


def test_a_question_on_a_wrong_loop_is_refused(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            with pytest.raises(LoopError, match=r"ask_from_thread.* on 'quote_wanted': .*await ask\(...\) instead"):
                port.ask_from_thread("mug")
            with pytest.raises(LoopError, match=r"call ask_from_thread in a thread instead"):
                await asyncio.to_thread(lambda: asyncio.run(port.ask("mug")))

    asyncio.run(check())


def test_a_thread_does_not_wait_for_a_blocked_loop(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted, 0.2) as port:
            outcomes: list[Any] = []
            ended = threading.Event()

            def question() -> None:
                outcomes.append(port.ask_from_thread("mug"))
                ended.set()

            thread = threading.Thread(target=question)
            thread.start()
            assert ended.wait(10)  # blocks the loop
            thread.join()
            assert isinstance(outcomes[0], RemoteTimeout)
            await port.ask("mug")  # after the question of the thread
            assert link.session("quote_wanted").replies.handlers == {}

    asyncio.run(check())


def test_a_question_larger_than_the_server_allows_is_refused(tmp_path: Path) -> None:
    async def check(server: NatsServer) -> None:
        async with linked(server) as link, answering(server, quote_wanted, length), asking(link, quote_wanted) as port:
            room = 1024 - len('{"arg0":""}')
            with pytest.raises(TooLarge, match=r"has \d+ bytes, and the server allows 1024"):
                await port.ask("m" * room)  # its headers do not fit
            with pytest.raises(TooLarge) as refused:
                await asyncio.to_thread(port.ask_from_thread, "m" * room)
            room -= refused.value.size - 1024
            assert (await port.ask("m" * room)).value == room
            with pytest.raises(TooLarge):
                await port.ask("m" * (room + 1))

    with NatsServer(tmp_path / "nats", config="max_payload: 1024") as server:
        asyncio.run(check(server))


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        ({"Tb-Reply": "ok", "Tb-Origin": "raw"}, b'"three"', "the result: Expected `int`, got `str`"),
        ({"Tb-Reply": "ok", "Tb-Origin": "raw"}, b"[" * 5000, "the result: "),
        ({"Tb-Reply": "err", "Tb-Origin": "raw"}, b"\xff", "JSON is malformed"),
        ({"Tb-Reply": "maybe", "Tb-Origin": "raw"}, b"{}", "its header Tb-Reply is 'maybe'"),
        ({"Tb-Origin": "raw"}, b"{}", "the result: Expected `int`, got `object`"),
    ],
)
def test_an_answer_that_cannot_be_decoded_is_a_failure(
    server: NatsServer, headers: dict[str, str], body: bytes, problem: str
) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, asking(link, quote_wanted) as port:

            async def answer(message: Msg) -> None:
                await client.publish(message.reply, body, headers=headers)

            await client.subscribe(SUBJECT, cb=answer)
            await client.flush()
            failure = await port.ask("mug")
            assert isinstance(failure, Unreadable)
            assert (failure.part, failure.origin) == ("answer", "raw")
            assert problem in failure.problem
            with pytest.raises(Unreadable, match="declare the channel in both processes alike"):
                _ = failure.value

    asyncio.run(check())


def test_a_channel_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(SchemaFault, match="the result"):
        ask(Link(Bus(), ["nats://127.0.0.1"]), Channel[[str], object]("found"), timeout=1.0)
