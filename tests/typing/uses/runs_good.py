"""Runs: their methods, policies and records."""

import threading
from typing import assert_never, assert_type

from typedbus import RUN, RUNS, Bus, Component, Container, Listeners, Restart, RunRecord, RunState, Stopping, on
from typedbus.events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp, RunReady

listeners = Listeners()


class Consumer:
    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        while not stopping.wait(0.5):
            stopping.beat()

    @on(RUN, restart=Restart("always", fatal=(PermissionError, OSError)), awaited=True, limit=10)
    async def follow(self, stopping: Stopping) -> None:
        stopping.ready()
        assert_type(await stopping.until_set(), None)

    @on(RUN, priority=10)
    def wait_for_any_event(self, ending: threading.Event) -> None:
        ending.wait()


@listeners.on(RUN)
def tick(stopping: Stopping) -> None:
    assert_type(stopping.is_ready, bool)


@listeners.on(RUN)
async def tock(stopping: Stopping) -> None:
    await stopping.until_set()


class Shop(Container):
    bus = Component(Bus)
    consumer = Component(Consumer).supervised(Restart(most=3, within=30, takes="dependents", then="unready", silent=5))
    clocks = Component(listeners)


def a_component_keeps_its_type(shop: Shop) -> None:
    assert_type(shop.consumer(), Consumer)


def functions_are_subscribed(bus: Bus) -> None:
    bus[RUN].subscribe(tick)
    bus[RUN].subscribe(tock)
    bus.subscribe(RUN, tick)


def records_of_runs(bus: Bus) -> None:
    for path, record in bus.runs.items():
        assert_type(path, str)
        assert_type(record, RunRecord)
        assert_type(record.state, RunState)
        assert_type(record.next_at, float | None)
        assert_type(record.policy, Restart | None)
        assert_type(record.stack(), str)


def every_event_is_handled(bus: Bus) -> None:
    @bus[RUNS].subscribe
    def record(event: RunEvent) -> None:
        match event:
            case RunBegan(path, attempt):
                assert_type(attempt, int)
            case RunReady(path):
                assert_type(path, str)
            case RunEnded(path, seconds):
                assert_type(seconds, float)
            case RunBroke(path, seconds, error, attempt, delay):
                assert_type(error, Exception)
                assert_type(delay, float)
            case RunGaveUp(path, attempts, cause):
                assert_type((attempts, cause), tuple[int, BaseException])
            case _:
                assert_never(event)
