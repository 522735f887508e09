"""Answers of a server to events: late, lost, repeated, in any order, or refusals for the moment and for good."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nats.links import LATE, holds, linked, opened, run, within
from tests.nats.scripted import NO_RESPONDERS, Sent, refused, scripted, stored_at
from tests.processes import shortest

from typedbus.nats import NotStored, OutcomeUnknown, Receipt, WindowFull

ELECTION = refused(503, 10008, "JetStream system temporarily unavailable")
FULL = refused(503, 10077, "maximum messages exceeded")


@pytest.mark.parametrize(
    "answer",
    [
        ELECTION,
        NO_RESPONDERS,
        refused(429, 10167, "too many requests"),
        refused(503, 10077, "store is closed"),
        refused(500, 10041, "no quorum"),
    ],
)
def test_an_event_is_sent_again_when_the_server_cannot_store_it_for_the_moment(answer: bytes) -> None:
    def answers(sent: Sent) -> None:
        sent.answer(answer if sent.number < 3 else stored_at(7))

    async def check() -> None:
        async with scripted(answers) as server, linked(server) as link, opened(link) as port:
            assert await port.keyed("a").publish(1) == Receipt("ORDERS", 7, "a", is_duplicate=False)
            assert len(server.sent["a"]) == 3

    run(check())


def test_an_event_that_is_refused_until_the_deadline_is_not_stored() -> None:
    async def check() -> None:
        async with scripted(lambda sent: sent.answer(ELECTION)) as server, linked(server) as link:
            async with opened(link, deadline=2.0) as port:
                with within(2.0 + LATE), pytest.raises(NotStored, match="temporarily unavailable .error 10008"):
                    await port.keyed("a").publish(1)
                assert 3 <= len(server.sent["a"]) < 13

    run(check())


@pytest.mark.parametrize(
    "answer, reason",
    [
        (FULL, "maximum messages exceeded"),
        (refused(400, 10054, "message size exceeds maximum allowed"), "message size exceeds"),
        (refused(400, 10060, "expected stream does not match"), "does not match"),
        (refused(500, 10047, "insufficient storage resources available"), "insufficient storage"),
    ],
)
def test_an_event_that_no_retry_can_store_is_refused_at_once(answer: bytes, reason: str) -> None:
    async def check() -> None:
        async with scripted(lambda sent: sent.answer(answer)) as server, linked(server) as link, opened(link) as port:
            with within(LATE), pytest.raises(NotStored, match=reason):
                await port.keyed("a").publish(1)
            assert len(server.sent["a"]) == 1

    run(check())


def test_an_event_without_an_answer_is_sent_again_after_a_pause() -> None:
    def answers(sent: Sent) -> None:
        if sent.number == 2:
            sent.answer(stored_at(1, duplicate=True))

    async def check() -> None:
        async with scripted(answers) as server, linked(server) as link, opened(link) as port:
            assert (await port.keyed("a").publish(1)).is_duplicate
            first, second = server.sent["a"]
            assert 0.9 < second.at - first.at < 1.0 + LATE

    run(check())


def test_an_event_without_an_answer_is_sent_again_at_once_on_a_new_connection() -> None:
    pauses: list[float] = []

    async def check() -> None:
        def answers(sent: Sent) -> None:
            if sent.number == 1:
                server.disconnect()
            else:
                sent.answer(stored_at(1))

        async with scripted(answers) as server, linked(server) as link, opened(link) as port:
            await port.keyed("a").publish(1)
            first, second = server.sent["a"]
            pauses.append(second.at - first.at)

    def pause() -> float:
        run(check())
        return pauses[-1]

    # Before the pause of 1 s that follows without a new connection.
    assert shortest(pause, 0.9) < 0.9


def test_answers_that_are_none_of_a_stream_end_no_event() -> None:
    def answers(sent: Sent) -> None:
        for data in (b"", b"hello", b"\xff", b"{}", b'{"seq": "one"}', b'{"x":' * 5000):
            sent.answer(data)
        if sent.number == 2:
            sent.answer(stored_at(1))

    async def check() -> None:
        async with scripted(answers) as server, linked(server) as link, opened(link) as port:
            assert (await port.publish(1)).sequence == 1

    run(check())


def test_a_stream_that_is_missing_ends_all_events_that_it_did_not_take() -> None:
    async def check() -> None:
        waiting: list[Sent] = []

        def answers(sent: Sent) -> None:
            if sent.message_id == "taken":
                waiting.append(sent)
            else:
                sent.answer(NO_RESPONDERS)

        async with scripted(answers) as server, linked(server) as link:
            async with opened(link, stream="ORDERS") as port:
                server.has_stream = False
                taken = asyncio.create_task(port.keyed("taken").publish(0))
                with within(LATE):
                    outcomes = await asyncio.gather(*map(port.publish, range(9)), return_exceptions=True)
                assert {type(one) for one in outcomes} == {NotStored}
                waiting[0].answer(stored_at(1))
                assert (await taken).sequence == 1

    run(check())


def test_an_election_ends_no_event_before_its_deadline() -> None:
    async def check() -> None:
        is_over = False

        def answers(sent: Sent) -> None:
            sent.answer(stored_at(1) if is_over else NO_RESPONDERS)

        async with scripted(answers) as server, linked(server) as link, opened(link, deadline=2.0) as port:
            server.answers_about_stream = False
            early = asyncio.create_task(port.publish(1))
            await holds(lambda: server.sent)
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(1.0)
            late = asyncio.create_task(port.publish(2))
            # The check that began with the first event has ended by then.
            with pytest.raises(NotStored, match="no stream takes the subject 'ORDERS.order_placed'"):
                await early
            await asyncio.sleep(start + 2.2 - asyncio.get_running_loop().time())
            is_over = True
            assert (await late).sequence == 1

    run(check())


#: What the server does with each sending of an event; after the last of them it stores the event.
FATES = st.lists(st.sampled_from(["silent", "election", "no stream", "full", "garbage"]), max_size=3)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(fates=st.lists(FATES, min_size=1, max_size=60), seed=st.integers(0, 1000))
def test_every_event_has_the_outcome_that_its_answers_demand(fates: list[list[str]], seed: int) -> None:
    chance = random.Random(seed)
    silent: set[str] = set()
    final: dict[str, str] = defaultdict(str)

    def answers(sent: Sent) -> None:
        fate = fates[int(sent.message_id)]
        action = fate[sent.number - 1] if sent.number <= len(fate) else "stored"
        if action in ("silent", "garbage"):
            silent.add(sent.message_id)
        if action in ("full", "stored") and not final[sent.message_id]:
            final[sent.message_id] = action
        data = {
            "election": ELECTION,
            "no stream": NO_RESPONDERS,
            "full": FULL,
            "garbage": b"?",
            "stored": stored_at(int(sent.message_id) + 1),
        }.get(action)
        if data is not None:
            # In any order: each answer waits for up to 0.2 s.
            asyncio.get_running_loop().call_later(chance.random() / 5, sent.answer, data)

    async def check() -> None:
        async with scripted(answers) as server, linked(server) as link, opened(link, deadline=4.0, window=20) as port:
            with within(4.0 + LATE):
                outcomes = await asyncio.gather(
                    *(port.keyed(str(number)).publish(number) for number in range(len(fates))), return_exceptions=True
                )
        for number, outcome in enumerate(outcomes):
            key = str(number)
            match outcome:
                case Receipt():
                    assert (outcome.sequence, final[key]) == (number + 1, "stored")
                case NotStored():
                    assert final[key] == "full" or key not in silent
                case OutcomeUnknown():
                    assert key in silent
                    assert final[key] in ("", "stored")
                case WindowFull():
                    assert key not in server.sent
                case _:
                    raise AssertionError(outcome)

    run(check())
