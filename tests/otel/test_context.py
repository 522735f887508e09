"""The current span in the threads and tasks of a bus."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest
from opentelemetry.trace import INVALID_SPAN, Span, get_current_span
from tests.otel.recorded import Recorded

from typedbus import AsyncChannel, Bus, Channel, in_thread
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.testing import FakeClock

ORDERED = Channel[[int], Span]("ordered")
ORDERED_ASYNC = AsyncChannel[[int], Span]("ordered_async")
CONCURRENT = AsyncChannel[[int], Span]("concurrent", concurrent=True)


@pytest.fixture
def request_span(recorded: Recorded) -> Iterator[Span]:
    """Make a span current for the test."""
    with recorded.tracer.start_as_current_span("request") as span:
        yield span


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus that is started, and exits at the end."""
    bus = Bus()
    bus.start()
    yield bus
    bus.exit()


def current(number: int) -> Span:
    """Return the current span, in a listener."""
    return get_current_span()


async def current_async(number: int) -> Span:
    """Return the current span, in an async listener."""
    await asyncio.sleep(0)
    return get_current_span()


def test_a_listener_sees_the_span_of_the_publisher(bus: Bus, request_span: Span) -> None:
    """A publish is a call in the context of the publisher."""
    bus[ORDERED].subscribe(current)

    assert bus[ORDERED].publish(1) == [request_span]


def test_a_publish_in_a_thread_has_the_span_of_the_publisher(bus: Bus, request_span: Span) -> None:
    """`publish_in_thread` copies the context of the task."""
    bus[ORDERED].subscribe(current)

    assert asyncio.run(bus[ORDERED].publish_in_thread(1)) == [request_span]


def test_a_publish_from_a_thread_has_the_span_of_the_publisher(bus: Bus, request_span: Span) -> None:
    """`publish_from_thread` copies the context of the thread for the task on the event loop of the bus."""
    bus[ORDERED_ASYNC].subscribe(current_async)

    assert bus[ORDERED_ASYNC].publish_from_thread(1) == [request_span]


@pytest.mark.parametrize("channel", [ORDERED_ASYNC, CONCURRENT], ids=lambda channel: channel.name)
def test_async_listeners_see_the_span_of_the_publisher(
    bus: Bus, request_span: Span, channel: AsyncChannel[[int], Span]
) -> None:
    """Listeners run in the task of the publisher, in their own tasks or in threads."""
    bus[channel].subscribe(current_async)
    bus[channel].subscribe(in_thread(current))

    assert asyncio.run(bus[channel].publish(1)) == [request_span, request_span]


def test_a_coroutine_on_the_loop_of_the_bus_has_the_span_of_the_caller(bus: Bus, request_span: Span) -> None:
    """`run_on_loop` copies the context of the thread."""
    assert bus.run_on_loop(current_async(1)).result() is request_span


def task(bus: Bus, call: Callable[[], object]) -> BackgroundTask:
    """Return a task that calls *call*, and waits for its stop."""

    def work(stopping: threading.Event) -> None:
        call()
        stopping.wait()

    return BackgroundTask(bus, work)


def test_the_thread_of_a_background_task_begins_a_new_trace(bus: Bus, request_span: Span) -> None:
    """The thread outlives the span in which it was started."""
    seen: SimpleQueue[Span] = SimpleQueue()
    background = task(bus, lambda: seen.put(get_current_span()))
    background.start()
    try:
        assert seen.get(timeout=10) is INVALID_SPAN
    finally:
        background.stop()


def test_the_calls_of_a_monitor_begin_new_traces(bus: Bus, request_span: Span) -> None:
    """The monitor outlives the span in which it was started."""
    clock, seen = FakeClock(), SimpleQueue[Span]()
    monitor = Monitor(bus, lambda: seen.put(get_current_span()), every=1.0, clock=clock)
    monitor.start()
    try:
        clock.advance(1.0)
        assert seen.get(timeout=10) is INVALID_SPAN
    finally:
        monitor.stop()
