"""A responder answers with the listeners of its process, refuses questions that it cannot answer, and ends in order."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.nats.links import holds, linked, within
from tests.nats.questions import SUBJECT, Site, answered, answering, asking, length, price_wanted, quote_wanted
from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT

from typedbus import Bus, Channel, HookTimeout, Limits, RunFailed, TransitionFailures, running
from typedbus.nats import (
    Answer,
    Busy,
    Denied,
    Link,
    NoListener,
    PortFault,
    QuestionRefused,
    RemoteError,
    RemoteTimeout,
    Responder,
    SchemaMismatch,
    Unreadable,
)


class Blocking:
    """A listener that returns when the test allows it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_return = threading.Event()
        self.names: list[str] = []

    def __call__(self, name: str) -> int:
        self.names.append(name)
        self.begun.release()
        assert self.may_return.wait(LIMIT)
        return len(name)

    async def has_begun(self) -> None:
        """Return when one more call has begun."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=LIMIT)


def refuse(name: str) -> int:
    """Raise an exception with a place that a traceback names."""
    raise KeyError(f"no {name}")


async def question(client: Client, data: bytes, **headers: str) -> Msg:
    """Send the body of a question, and return its answer."""
    return await client.request(SUBJECT, data, timeout=30, headers={"Tb-Origin": "raw", **headers})


def test_one_process_of_a_group_answers_a_question(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            async with answering(server, quote_wanted, length), answering(server, quote_wanted, length, name="second"):
                answers = await asyncio.gather(*(port.ask("mug") for _ in range(100)))
                origins = [answer.origin.split("@")[0] for answer in answers if isinstance(answer, Answer)]
                assert {*origins} == {"pricing", "second"}
                assert len(origins) == 100

    asyncio.run(check())


def test_the_first_result_that_is_not_none_is_the_answer(server: NatsServer) -> None:
    found = Channel[[str], int | None]("found")
    called: list[str] = []

    def unknown(name: str) -> None:
        called.append(name)

    async def check() -> None:
        async with linked(server) as link, asking(link, found) as port:
            async with answering(server, found, unknown, length, called.append):
                assert (await port.ask("mug")).value == 3
                assert called == ["mug"]
            async with answering(server, found, unknown):
                assert await answered(port, "mug") == Answer(None, f"pricing@{link.origin.partition('@')[2]}")

    asyncio.run(check())


def test_an_exception_of_a_listener_arrives_as_data(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, raw(server) as client, asking(link, quote_wanted) as port:
            async with answering(server, quote_wanted, refuse, length) as site:
                failure = await port.ask("mug")
                assert isinstance(failure, RemoteError)
                assert (failure.channel, failure.kind, failure.message) == ("quote_wanted", "KeyError", "'no mug'")
                assert failure.origin.startswith("pricing@")
                with pytest.raises(RemoteError, match="the listener of 'quote_wanted' in pricing@.* raised KeyError"):
                    _ = failure.value

                message = await question(client, b'{"arg0":"mug"}')
                assert message.data == b'{"kind":"KeyError","message":"\'no mug\'"}'
                assert message.headers is not None
                assert message.headers["Tb-Reply"] == "err"
                assert "in refuse" in site.log[-1]
                assert "a question of raw on 'quote_wanted' failed" in site.log[-1]

    asyncio.run(check())


def test_the_text_of_an_exception_is_shortened_and_may_fail(server: NatsServer) -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError

    def long(name: str) -> int:
        if name == "silent":
            raise Silent
        raise ValueError("x" * 2_000_000)

    async def check() -> None:
        async with linked(server) as link, answering(server, quote_wanted, long), asking(link, quote_wanted) as port:
            failure = await port.ask("mug")
            assert isinstance(failure, RemoteError)
            assert failure.message == "x" * 2000
            failure = await port.ask("silent")
            assert isinstance(failure, RemoteError)
            assert (failure.kind, failure.message) == ("Silent", "<its text cannot be computed>")

    asyncio.run(check())


def test_a_result_that_cannot_be_sent_is_a_failure(tmp_path: Path) -> None:
    named = Channel[[str], str]("named")

    def other(name: str) -> Any:
        return 3 if name == "number" else "x" * 2000

    async def check(server: NatsServer) -> None:
        async with linked(server) as link, answering(server, named, other) as site, asking(link, named) as port:
            failure = await port.ask("number")
            assert isinstance(failure, RemoteError)
            assert failure.kind == "EncodeFailed"
            failure = await port.ask("mug")
            assert isinstance(failure, RemoteError)
            assert failure.kind == "TooLarge"
            assert "and the server allows 1024" in failure.message
            assert "TooLarge" not in site.log[-1]
            assert "the server allows 1024" in site.log[-1]

    with NatsServer(tmp_path / "nats", config="max_payload: 1024") as server:
        asyncio.run(check(server))


def test_a_process_without_a_listener_answers_that_it_has_none(server: NatsServer) -> None:
    watched: list[str] = []

    async def check() -> None:
        async with linked(server) as link, answering(server, quote_wanted) as site, asking(link, quote_wanted) as port:
            assert isinstance(await port.ask("mug"), NoListener)
            site.bus[quote_wanted].watch(watched.append)
            assert isinstance(await port.ask("mug"), NoListener)
            assert watched == []
            site.bus[quote_wanted].subscribe(length)
            assert (await port.ask("mug")).value == 3

    asyncio.run(check())


@pytest.mark.parametrize("data", [b'{"arg0":3}', b"{}", b"", b'{"arg0":' * 5000, b'{"arg0":"\xff"}'])
def test_a_question_that_cannot_be_decoded_is_refused(server: NatsServer, data: bytes) -> None:
    names: list[str] = []

    async def check() -> None:
        async with linked(server), raw(server) as client, answering(server, quote_wanted, names.append) as site:
            message = await question(client, data)
            assert message.headers is not None
            assert message.headers["Tb-Reply"] == "bad"
            assert names == []
            refused = [event for event in site.events if isinstance(event, QuestionRefused)]
            assert [(event.channel, event.origin) for event in refused] == [("quote_wanted", "raw")]
            assert refused[0].problem
            assert any(
                "a question of raw on 'quote_wanted' failed" in line and refused[0].problem in line for line in site.log
            )

    asyncio.run(check())


def test_processes_that_declare_a_channel_differently_are_reported_once(server: NatsServer) -> None:
    narrower = Channel[[int], int]("quote_wanted")

    async def check() -> None:
        async with linked(server, name="front") as link, asking(link, narrower) as port:
            async with answering(server, quote_wanted, length) as site:
                for _ in range(3):
                    failure = await port.ask(3)
                    assert isinstance(failure, Unreadable)
                    assert failure.part == "question"
                    assert failure.origin.startswith("pricing@")
                    assert "Expected `str`, got `int` - at `$.arg0`" in failure.problem
                mismatches = [event for event in site.events if isinstance(event, SchemaMismatch)]
                assert [(event.channel, event.origin) for event in mismatches] == [("quote_wanted", link.origin)]
                assert mismatches[0].ours != mismatches[0].theirs

    asyncio.run(check())


def test_questions_beyond_the_limit_are_refused_at_once(server: NatsServer) -> None:
    listener = Blocking()

    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            async with answering(server, quote_wanted, listener, concurrency=1, most=1) as site:
                first = asyncio.create_task(port.ask("a"))
                await listener.has_begun()
                second = asyncio.create_task(port.ask("bb"))
                await link.session("test").connection.flush(5)
                with within(20):
                    failures = [await port.ask("mug") for _ in range(3)]
                assert all(isinstance(failure, Busy) for failure in failures)
                assert sum("1 questions on 'quote_wanted' wait" in line for line in site.log) == 1
                listener.may_return.set()
                assert [(await one).value for one in (first, second)] == [1, 2]
                assert (await port.ask("ccc")).value == 3
                assert listener.names == ["a", "bb", "ccc"]

    asyncio.run(check())


def test_listeners_of_a_channel_run_in_threads_of_the_responder(server: NatsServer) -> None:
    threads: list[str] = []
    together = threading.Barrier(3)

    def meet(name: str) -> int:
        threads.append(threading.current_thread().name)
        together.wait(LIMIT)
        return len(name)

    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            async with answering(server, quote_wanted, meet, concurrency=3):
                answers = await asyncio.gather(*(port.ask("mug") for _ in range(3)))
                assert [answer.value for answer in answers] == [3, 3, 3]
                assert sorted(threads) == [f"Pricing.responder {number}" for number in (1, 2, 3)]

    asyncio.run(check())


def test_async_listeners_run_at_the_same_time_up_to_the_limit(server: NatsServer) -> None:
    together: set[str] = set()
    sizes: list[int] = []

    async def price(name: str) -> int:
        together.add(name)
        sizes.append(len(together))
        await asyncio.sleep(0.02)
        together.remove(name)
        return len(name)

    async def check() -> None:
        async with linked(server) as link, asking(link, price_wanted) as port:
            async with answering(server, price_wanted, price, concurrency=3):
                answers = await asyncio.gather(*(port.ask("m" * number) for number in range(12)))
                assert [answer.value for answer in answers] == list(range(12))
                assert max(sizes) == 3

    asyncio.run(check())


def test_a_stop_loses_no_question_while_another_process_answers(server: NatsServer) -> None:
    async def check() -> None:
        ends = asyncio.Event()
        async with linked(server) as link, asking(link, quote_wanted) as port, answering(server, quote_wanted, length):

            async def load() -> list[str]:
                origins = []
                while not ends.is_set():
                    answer = await port.ask("mug")
                    assert isinstance(answer, Answer), answer
                    origins.append(answer.origin.split("@")[0])
                return origins

            loads = [asyncio.create_task(load()) for _ in range(32)]
            for _ in range(3):
                async with answering(server, quote_wanted, length, name="second"):
                    await asyncio.sleep(0.2)
            ends.set()
            origins = [origin for answers in await asyncio.gather(*loads) for origin in answers]
            assert {*origins} == {"pricing", "second"}

    asyncio.run(check())


def test_a_stop_answers_the_questions_that_have_arrived(server: NatsServer) -> None:
    listener = Blocking()

    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            site = Site(server, quote_wanted, listener, concurrency=1)
            async with site.running():
                questions = [asyncio.create_task(port.ask("mug")) for _ in range(5)]
                await listener.has_begun()
                await link.session("test").connection.flush(5)
                stopping = asyncio.create_task(site.bus.stop_async())
                assert isinstance(await until_absent(port), NoListener)
                listener.may_return.set()
                assert [(await one).value for one in questions] == [3] * 5
                await stopping

    async def until_absent(port: Any) -> Any:
        while True:
            question = asyncio.create_task(port.ask("mug"))
            done, _ = await asyncio.wait({question}, timeout=0.05)
            if done:
                return question.result()
            question.cancel()

    asyncio.run(check())


def test_questions_that_have_not_begun_at_the_end_of_the_patience_are_refused(server: NatsServer) -> None:
    listener = Blocking()

    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            site = Site(server, quote_wanted, listener, concurrency=1)
            site.bus.limits = Limits(hook=0.3)
            async with site.running():
                questions = [asyncio.create_task(port.ask("mug")) for _ in range(3)]
                await listener.has_begun()
                await link.session("test").connection.flush(5)
                with within(30), pytest.raises(TransitionFailures) as failed:
                    await site.bus.stop_async()
                assert [type(error) for error in failed.value.exceptions] == [HookTimeout]
                assert [type(await one) for one in questions[1:]] == [Busy, Busy]
                assert any("has not returned" in line and "in __call__" in line for line in site.log)
                questions[0].cancel()
                listener.may_return.set()
                await site.bus.start_async()
                assert (await answered(port, "mug")).value == 3

    asyncio.run(check())


def test_an_async_listener_is_cancelled_at_the_end_of_the_patience(server: NatsServer) -> None:
    async def check() -> None:
        begun = asyncio.Event()

        async def endless(name: str) -> int:
            begun.set()
            await asyncio.sleep(LIMIT)
            return len(name)

        async with linked(server) as link, asking(link, price_wanted) as port:
            site = Site(server, price_wanted, endless, concurrency=1)
            site.bus.limits = Limits(hook=0.3)
            async with site.running():
                questions = [asyncio.create_task(port.ask("mug")) for _ in range(2)]
                await begun.wait()
                await link.session("test").connection.flush(5)
                with within(30):
                    await site.bus.stop_async()
                first, second = [await one for one in questions]
                assert isinstance(first, RemoteError)
                assert first.kind == "CancelledError"
                assert isinstance(second, Busy)

    asyncio.run(check())


def test_a_bus_that_starts_again_answers_again(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            site = Site(server, quote_wanted, length)
            async with site.running():
                for _ in range(3):
                    assert (await answered(port, "mug")).value == 3
                    await site.bus.stop_async()
                    assert isinstance(await port.ask("mug"), NoListener)
                    assert not any(one.name.startswith("Pricing") for one in threading.enumerate())
                    await site.bus.start_async()

    asyncio.run(check())


def test_a_system_exit_of_a_listener_ends_its_process(server: NatsServer) -> None:
    def leave(name: str) -> int:
        raise SystemExit(7)

    async def check() -> None:
        async with linked(server) as link, asking(link, quote_wanted) as port:
            with pytest.raises(SystemExit, match="7"):
                async with answering(server, quote_wanted, leave) as site:
                    failure = await port.ask("mug")
                    assert isinstance(failure, RemoteError)
                    assert (failure.kind, failure.message) == ("SystemExit", "7")
                    await site.bus.block_async()

    asyncio.run(check())


def test_a_responder_that_may_not_subscribe_fails(tmp_path: Path) -> None:
    permissions = '{ publish: ">", subscribe: "_INBOX.>" }'
    config = f"authorization {{ users: [{{ user: front, password: secret, permissions: {permissions} }}] }}"

    async def check(server: NatsServer) -> None:
        site = Site(server, quote_wanted, length, user="front:secret")
        with pytest.raises(RunFailed) as failed:
            async with running(site.container):
                await site.bus.block_async()
        denied = failed.value.__cause__
        assert isinstance(denied, Denied)
        assert str(denied) == (
            f"channel 'quote_wanted': the server denies this user to subscribe to the subject {SUBJECT!r}; allow it in the "
            "permissions of the user"
        )

    with NatsServer(tmp_path / "nats", config=config) as server:
        asyncio.run(check(server))


def test_answers_that_the_server_denies_are_logged_once(tmp_path: Path) -> None:
    permissions = '{ publish: "other", subscribe: ">" }'
    users = (
        f"{{ user: pricing, password: secret, permissions: {permissions} }}",
        "{ user: front, password: secret }",
    )

    async def check(server: NatsServer) -> None:
        async with linked(server, "front:secret") as link, asking(link, quote_wanted, 0.3) as port:
            async with answering(server, quote_wanted, length, user="pricing:secret") as site:
                for _ in range(2):
                    assert isinstance(await port.ask("mug"), RemoteTimeout)
                await holds(lambda: any("add allow_responses" in line for line in site.log))
            assert sum("add allow_responses" in line for line in site.log) == 1

    with NatsServer(tmp_path / "nats", config=f"authorization {{ users: [{', '.join(users)}] }}") as server:
        asyncio.run(check(server))


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("group", "", "pass printable ASCII characters without spaces, or None"),
        ("group", "two words", "pass printable ASCII characters without spaces, or None"),
        ("concurrency", 0, "pass a whole number from 1 up, or None"),
        ("most", -1, "pass a whole number from 0 up"),
        ("most", True, "pass a whole number from 0 up"),
    ],
)
def test_options_that_cannot_be_used_are_refused(option: str, value: Any, remedy: str) -> None:
    bus = Bus()
    options: dict[str, Any] = {"group": "pricing", option: value}
    with pytest.raises(PortFault) as fault:
        Responder(Link(bus, ["nats://127.0.0.1"]), bus[quote_wanted], **options)
    assert str(fault.value) == f"channel 'quote_wanted': {option}={value!r} cannot be used: {remedy}"
