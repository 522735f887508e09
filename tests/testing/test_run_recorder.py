"""`RunRecorder`: the events of runs, in tests of applications."""

from __future__ import annotations

import pickle
import threading

import pytest
from tests.consumer import Consumer
from tests.doubles import ThreadCall

from typedbus import RUNS, Bus, Component, Container, Restart, running
from typedbus.events import RunBegan, RunBroke, RunEnded, RunEvent
from typedbus.testing import FakeClock, NoRunEvent, RunRecorder


def publish(bus: Bus, *events: RunEvent) -> None:
    for event in events:
        bus[RUNS].publish(event)


def test_each_wait_returns_a_later_event_of_the_run() -> None:
    """The event may come before the wait or during it; events of other runs can still be awaited."""
    bus = Bus()
    with RunRecorder(bus) as runs:
        publish(bus, RunBegan("a", 1), RunBegan("b", 1), RunEnded("a", 1.0), RunBegan("a", 2))
        waited = [runs.wait(RunBegan, "a"), runs.wait(RunBegan, "a"), runs.wait(RunBegan)]
        waiting = ThreadCall(lambda: runs.wait(RunEnded))
        publish(bus, RunEnded("b", 2.0))

    assert waited == [RunBegan("a", 1), RunBegan("a", 2), RunBegan("b", 1)]
    assert waiting.finished().result == RunEnded("b", 2.0)
    assert len(runs.events) == 5


def test_a_recorder_records_for_the_length_of_its_block() -> None:
    """Events before and after the block are not recorded."""
    bus = Bus()
    publish(bus, RunBegan("a", 1))
    with RunRecorder(bus) as runs:
        publish(bus, RunBegan("a", 2))
    publish(bus, RunBegan("a", 3))

    assert runs.events == [RunBegan("a", 2)]
    assert bus[RUNS].subscriptions == ()


def test_an_event_that_does_not_come_is_an_error_with_those_that_came() -> None:
    """`wait` does not return an earlier event of the kind again."""
    bus = Bus()
    with RunRecorder(bus) as runs, pytest.raises(NoRunEvent) as late:
        publish(bus, RunBegan("a", 1))
        runs.wait(RunBegan)
        runs.wait(RunBegan, patience=0.01)

    assert str(late.value) == (
        "no new RunBegan came within 0.01 s; the recorded events:\nRunBegan(path='a', attempt=1)"
    )
    assert pickle.loads(pickle.dumps(late.value)).events == ("RunBegan(path='a', attempt=1)",)


def test_a_run_is_followed_with_a_fake_clock() -> None:
    """The pauses of the policy take no real time."""
    clock, begun = FakeClock(), threading.Event()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer, OSError("gone"), lambda stopping: begun.set()).supervised(
            Restart(first=50.0, longest=50.0, within=600.0, jitter=0.0)
        )

    shop = Shop()
    with RunRecorder(shop.attach()) as runs, running(shop):
        broke = runs.wait(RunBroke, "Shop.consumer")
        clock.advance(broke.delay)
        again = runs.wait(RunBegan)
        runs.wait(RunEnded)

    assert (broke.delay, again.attempt, begun.is_set()) == (50.0, 2, True)
