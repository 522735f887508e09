"""A question to all processes ends with the answers and the failures of the processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.nats.links import EARLY, LATE, holds, linked, within
from tests.nats.questions import SUBJECT, answering, asking, gathering, length, price_wanted, quote_wanted, unanswered
from tests.nats.servers import NatsServer, raw
from tests.processes import programs

from typedbus import Bus, Channel, LoopError
from typedbus.nats import (
    Answer,
    Busy,
    Denied,
    Disconnected,
    Gathered,
    Link,
    LinkClosed,
    NoListener,
    PortFault,
    RemoteError,
    RemoteTimeout,
    TooLarge,
    Unreadable,
    gather,
)


def refuse(name: str) -> int:
    raise KeyError(name)


def double(name: str) -> int:
    return 2 * len(name)


def everywhere(server: NatsServer, *listeners: Any, **options: Any) -> Any:
    """Return a site that answers beside others."""
    return answering(server, quote_wanted, *listeners, **{"group": None, **options})


async def answer_raw(client: Client, body: bytes, kind: str = "all", origin: str = "raw") -> None:
    """Answer every question with *body*."""

    async def answer(message: Msg) -> None:
        await client.publish(message.reply, body, headers={"Tb-Reply": kind, "Tb-Origin": origin})

    await client.subscribe(SUBJECT, cb=answer)
    await client.flush()


def test_the_results_of_all_listeners_in_all_processes_are_replies(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, gathering(link, quote_wanted, expect=2) as port:
            async with (
                everywhere(server, length, refuse, double, name="a") as site,
                everywhere(server, length, name="b"),
            ):
                with within(10):
                    gathered = (await port.gather("mug")).value
                assert gathered.complete
                by_origin: dict[str, list[int]] = {name: [] for name in "ab"}
                for reply in gathered.replies:
                    by_origin[reply.origin[0]].append(reply.value)
                assert by_origin == {"a": [3, 6], "b": [3]}
                failure = gathered.failures[0]
                assert isinstance(failure, RemoteError)
                assert (len(gathered.failures), failure.kind, failure.origin[0]) == (1, "KeyError", "a")
                assert any("in refuse" in line for line in site.log)

    asyncio.run(check())


def test_async_listeners_and_threads_gather(server: NatsServer) -> None:
    async def price(name: str) -> int:
        return len(name)

    async def check() -> None:
        async with linked(server) as link, gathering(link, price_wanted, expect=1) as port:
            async with answering(server, price_wanted, price):
                gathered = await asyncio.to_thread(port.gather_from_thread, "mug")
                assert [reply.value for reply in gathered.value.replies] == [3]
            with pytest.raises(LoopError, match=r"await gather\(...\) instead"):
                port.gather_from_thread("mug")

    asyncio.run(check())


def test_without_an_expected_number_the_time_ends_a_question(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, everywhere(server, length), gathering(link, quote_wanted, 1.5) as port:
            began = time.monotonic()
            with within(1.5 + LATE):
                gathered = (await port.gather("mug")).value
            assert time.monotonic() - began >= 1.5 - EARLY
            assert ([reply.value for reply in gathered.replies], gathered.complete) == ([3], False)

    asyncio.run(check())


def test_a_question_ends_when_no_further_answer_comes(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, raw(server) as client, gathering(link, quote_wanted, stall=1.0) as port:

            async def answer(message: Msg) -> None:
                # The first answer is later than the stall, and so is the end of all.
                for pause in 1.4, 0.2, 0.2, 0.2:
                    await asyncio.sleep(pause)
                    await client.publish(message.reply, b'[{"result":1}]', headers={"Tb-Reply": "all"})

            await client.subscribe(SUBJECT, cb=answer)
            await client.flush()
            began = time.monotonic()
            gathered = (await port.gather("mug")).value
            assert time.monotonic() - began >= 1.4 + 0.6 + 1.0 - EARLY
            assert time.monotonic() - began < 20
            assert ([reply.value for reply in gathered.replies], gathered.complete) == ([1] * 4, False)

    asyncio.run(check())


def test_without_a_responder_there_is_no_listener_at_once(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, gathering(link, quote_wanted, expect=3) as port:
            times = []
            for _ in range(20):
                began = time.monotonic()
                assert isinstance(await port.gather("mug"), NoListener)
                times.append(time.monotonic() - began)
            assert min(times) < 0.05
            assert sum(times) < 5

    asyncio.run(check())


def test_processes_without_a_listener_are_no_failures(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, everywhere(server, name="a"):
            async with gathering(link, quote_wanted, expect=1) as port:
                assert isinstance(await port.gather("mug"), NoListener)
            async with everywhere(server, length, name="b"), gathering(link, quote_wanted, expect=2) as port:
                gathered = (await port.gather("mug")).value
                assert ([reply.value for reply in gathered.replies], gathered.failures) == ([3], ())
                assert gathered.complete

    asyncio.run(check())


def test_processes_that_are_busy_or_declare_the_channel_differently_are_failures(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, raw(server) as client:
            await answer_raw(client, b"", "busy", "a")
            await answer_raw(client, b'{"kind":"DecodeFailed","message":"$.arg0"}', "bad", "b")
            await answer_raw(client, b'[{"result":"three"}]', "all", "c")
            await answer_raw(client, b"[", "all", "d")
            await answer_raw(client, b'[{"result":3}]', "all", "e")
            async with gathering(link, quote_wanted, expect=5) as port:
                gathered = (await port.gather("mug")).value
            assert gathered.replies == (Answer(3, "e"),)
            failures = {failure.origin: failure for failure in gathered.failures}
            assert {origin: type(failure) for origin, failure in failures.items()} == {
                "a": Busy,
                **dict.fromkeys("bcd", Unreadable),
            }
            unreadable = [failure for failure in failures.values() if isinstance(failure, Unreadable)]
            assert {failure.origin: failure.part for failure in unreadable} == {
                "b": "question",
                "c": "answer",
                "d": "answer",
            }
            assert gathered.complete

    asyncio.run(check())


def test_a_question_whose_connection_is_lost_ends_at_once(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, gathering(link, quote_wanted) as port:
            received = await unanswered(client)
            question = asyncio.create_task(port.gather("mug"))
            await received.get()
            with within(5):
                server.kill9()
                failure = await question
            assert isinstance(failure, Disconnected)
            assert failure.was_sent
            failure = await port.gather("mug")
            assert isinstance(failure, Disconnected)
            assert not failure.was_sent

    asyncio.run(check())


def test_a_question_to_a_frozen_server_ends_in_time_without_answers(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, gathering(link, quote_wanted, 0.3, expect=1) as port:
            server.freeze()
            with within(0.3 + LATE):
                assert await port.gather("mug") == Gathered((), (), False)
            server.thaw()

    asyncio.run(check())


def test_a_question_that_the_server_denies_fails_at_once(tmp_path: Path) -> None:
    permissions = '{ publish: "other", subscribe: ">" }'
    config = f"authorization {{ users: [{{ user: front, password: secret, permissions: {permissions} }}] }}"

    async def check(server: NatsServer) -> None:
        async with linked(server, "front:secret") as link, gathering(link, quote_wanted) as port:
            with within(5):
                assert isinstance(await port.gather("mug"), Denied)

    with NatsServer(tmp_path / "nats", config=config) as server:
        asyncio.run(check(server))


def test_a_question_that_cannot_be_sent_raises(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            port = gather(link, quote_wanted, timeout=1.0)
            with pytest.raises(LinkClosed):
                await port.gather("mug")
            async with gathering(link, quote_wanted) as port:
                with pytest.raises(TooLarge):
                    await port.gather("m" * 2_000_000)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("timeout", 0, "give a number of seconds above 0"),
        ("timeout", float("nan"), "give a number of seconds above 0"),
        ("timeout", 10**400, "give a number of seconds above 0"),
        ("timeout", None, "give a number of seconds above 0"),
        ("stall", -1.0, "give a number of seconds above 0"),
        ("expect", 0, "give the number of processes that answer, or None"),
        ("expect", True, "give the number of processes that answer, or None"),
    ],
)
def test_options_that_cannot_be_used_are_refused(option: str, value: Any, remedy: str) -> None:
    options: dict[str, Any] = {"timeout": 1.0, option: value}
    with pytest.raises(PortFault) as fault:
        gather(Link(Bus(), ["nats://127.0.0.1"]), quote_wanted, **options)
    assert str(fault.value) == f"channel 'quote_wanted': {option}={value!r} cannot be used: {remedy}"


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_late_answers_reach_no_other_question(server: NatsServer, count: int) -> None:
    numbered = Channel[[int], int]("numbered")

    async def check() -> None:
        async with raw(server) as client, linked(server) as link:
            late: list[Msg] = []

            async def answer(message: Msg) -> None:
                # Each answer comes twice: at once, and, when its question has ended, before that of the next one.
                for one in *late, message:
                    number = json.loads(one.data)["arg0"]
                    items = b'[{"result":%d}]' % number
                    await client.publish(one.reply, items, headers={"Tb-Reply": "all", "Tb-Origin": "raw"})
                late[:] = [message]

            await client.subscribe("typedbus.ask.numbered", cb=answer)
            await client.flush()
            async with gathering(link, numbered, expect=1) as port:
                for number in range(count):
                    assert await port.gather(number) == Gathered((Answer(number, "raw"),), (), True)
            async with gathering(link, numbered, 1.5, expect=2) as port:
                gathered = (await port.gather(count)).value
                assert [reply.value for reply in gathered.replies] == [count]

    asyncio.run(check())


PROCESS = """
import sys
import threading
from typedbus import Bus, Channel, Component, Container, Listeners, running
from typedbus.nats import Link, Responder

quote_wanted = Channel[[str], int]("quote_wanted")
listeners = Listeners()
url, name, group, behaviour = sys.argv[1:]


@listeners.on(quote_wanted)
def quote(name: str) -> int:
    if behaviour == "raises":
        raise KeyError(name)
    if behaviour == "is slow" and name == "rare":
        threading.Event().wait(60)
    return len(name)


class Pricing(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, [url], name=name)
    quotes = Component(listeners)
    responder = Component(Responder, link.provided, bus.provided[quote_wanted], group=group or None)


if __name__ == "__main__":
    with running(Pricing) as pricing:
        print("started", flush=True)
        pricing.bus().block()
"""


@asynccontextmanager
async def processes(server: NatsServer, folder: Path, group: str, *behaviours: str) -> AsyncIterator[list[Any]]:
    """Run a process for each of *behaviours*, named a, b, and so on, until all answer."""
    with programs(folder) as begin:
        started = [begin(PROCESS, server.url, name, group, how) for name, how in zip("abc", behaviours, strict=False)]
        for process in started:
            await asyncio.to_thread(process.reach, "started")
        yield started


@pytest.mark.slow
def test_three_processes_answer_one_slowly_one_with_an_exception_and_one_is_killed(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with linked(server) as link, processes(server, tmp_path, "", "is slow", "raises", "answers") as started:
            async with gathering(link, quote_wanted, 30.0, expect=3) as port:
                gathered = Gathered[int]((), (), False)

                async def all_answer() -> None:
                    nonlocal gathered
                    while not gathered.complete:
                        async with gathering(link, quote_wanted, 2.0, expect=3) as first:
                            outcome = await first.gather("mug")
                            gathered = outcome if isinstance(outcome, Gathered) else gathered

                await asyncio.wait_for(all_answer(), 60)
                assert sorted((reply.value, reply.origin[0]) for reply in gathered.replies) == [(3, "a"), (3, "c")]
                assert [type(failure) for failure in gathered.failures] == [RemoteError]
                assert gathered.failures[0].origin[0] == "b"
                with within(20):
                    assert (await port.gather("mug")).value.complete

            async with gathering(link, quote_wanted, 1.5, expect=3) as port:
                gathered = (await port.gather("rare")).value
                assert [(reply.value, reply.origin[0]) for reply in gathered.replies] == [(4, "c")]
                assert (len(gathered.failures), gathered.complete) == (1, False)

                os.kill(started[2].pid, signal.SIGKILL)
                gathered = (await port.gather("mug")).value
                assert [(reply.value, reply.origin[0]) for reply in gathered.replies] == [(3, "a")]
                assert (len(gathered.failures), gathered.complete) == (1, False)

            os.kill(started[0].pid, signal.SIGKILL)
            os.kill(started[1].pid, signal.SIGKILL)
            async with gathering(link, quote_wanted, 0.3, expect=3) as port:
                outcomes: list[Any] = []

                async def nothing_answers() -> None:
                    while not (outcomes and isinstance(outcomes[-1], NoListener)):
                        outcomes.append(await port.gather("mug"))

                await asyncio.wait_for(nothing_answers(), 60)

    asyncio.run(check())


@pytest.mark.slow
def test_a_process_of_a_group_is_killed_or_ends_in_order(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with linked(server) as link, processes(server, tmp_path, "pricing", *["is slow"] * 3) as started:
            async with asking(link, quote_wanted, 1.0) as port:
                origins: set[str] = set()

                async def ask_until(expected: set[str]) -> None:
                    seen: set[str] = set()
                    while seen != expected:
                        outcome = await port.ask("mug")
                        if isinstance(outcome, Answer):
                            seen.add(outcome.origin[0])
                    origins.update(seen)

                await asyncio.wait_for(ask_until({"a", "b", "c"}), 60)

                # The one that takes the question is killed: nothing answers it, and the others take the next ones.
                question = asyncio.create_task(port.ask("rare"))
                await link.session("test").connection.flush(5)
                for process in started[1:]:
                    os.kill(process.pid, signal.SIGKILL)
                outcome = await question
                assert isinstance(outcome, RemoteTimeout)
                await holds(lambda: all(process.child.poll() is not None for process in started[1:]))
                await asyncio.wait_for(ask_until({"a"}), 60)

    asyncio.run(check())
