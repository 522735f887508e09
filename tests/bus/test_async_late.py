"""Late starts with async hooks: a component whose start or stop is async, and the event loop that calls its stop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.bus.test_async_hooks import PATIENCE, failures, listen
from tests.doubles import ThreadCall

from typedbus import EXIT, LOG, START, STOP, Bus, Limits, StartPending, State, TransitionFailures
from typedbus._bus.bus import parts_of
from typedbus.testing import FakeClock

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


class Late:
    """Ignores the cancellation of its first start, which overruns a limit of a second; it returns when the gate is open."""

    def __init__(self, bus: Bus, clock: FakeClock) -> None:
        self.bus, self.clock = bus, clock
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)
        self.notes: list[str] = []
        self.lines: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.threads: list[threading.Thread] = []
        self.contexts: list[str] = []
        bus[LOG].subscribe(lambda text, level: self.lines.append(text))

    def note(self, what: str) -> None:
        self.notes.append(what)
        self.loops.append(asyncio.get_running_loop())
        self.threads.append(threading.current_thread())

    async def start(self) -> None:
        self.note("start")
        self.contexts.append(VARIABLE.get("no context"))
        self.began.release()
        while not self.gate.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self.notes.append("cancelled")
                self.began.release()

    def block(self) -> None:
        self.notes.append("start")
        self.began.release()
        assert self.gate.wait(PATIENCE)

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.note("stop")

    async def exit(self) -> None:
        self.note("exit")

    def overrun(self, start: Callable[[], object]) -> TransitionFailures:
        """Start the bus with *start*, let the start hook overrun its limit, and its cancellation a second."""
        call = ThreadCall(start)
        assert self.began.acquire(timeout=PATIENCE)
        self.clock.advance(1)
        if self.loops:
            assert self.began.acquire(timeout=PATIENCE)
            self.clock.advance(1)
        error = call.finished().error
        assert isinstance(error, TransitionFailures)
        return error


def until_over(bus: Bus) -> None:
    """Return when each overdue start of *bus* has ended."""
    for late in list(parts_of(bus).machine.abandoned):
        assert late.is_over.wait(PATIENCE)


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the bus."""
    return FakeClock()


@pytest.fixture
def bus(clock: FakeClock) -> Iterator[Bus]:
    """Yield a bus with a limit of a second for each hook, and exit it."""
    bus = Bus(clock=clock, limits=Limits(hook=1))
    yield bus
    bus.exit()


@pytest.fixture
def late(bus: Bus, clock: FakeClock) -> Iterator[Late]:
    """Yield an object whose start can be given up; the start returns at the end of the test."""
    late = Late(bus, clock)
    yield late
    late.gate.set()
    until_over(bus)


def test_an_async_start_waits_for_the_stop_after_a_late_start(bus: Bus, late: Late) -> None:
    """It has the context variables of the thread that starts the bus, as without the wait."""

    def start() -> None:
        VARIABLE.set("caller")
        bus.start()

    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)

    late.overrun(bus.start)
    again = ThreadCall(start).waiting()
    late.gate.set()
    assert again.finished().error is None

    assert late.notes == ["start", "cancelled", "stop", "start"]
    assert late.contexts == ["no context", "caller"]


def test_an_async_start_waits_for_a_late_start_within_its_limit(bus: Bus, clock: FakeClock, late: Late) -> None:
    """Then it fails, and is not called when the late start returns."""
    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)

    late.overrun(bus.start)
    again = ThreadCall(bus.start).waiting()
    clock.advance(1)
    again.finished()
    late.gate.set()
    until_over(bus)

    assert isinstance(again.error, TransitionFailures)
    assert failures(again.error) == [StartPending]
    assert late.notes == ["start", "cancelled", "stop"]


def test_a_stop_ends_the_wait_for_a_late_start(bus: Bus, late: Late) -> None:
    """The hook is not called any more."""
    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)

    late.overrun(bus.start)
    again = ThreadCall(bus.start).waiting()
    stop = ThreadCall(bus.stop).finished()
    again.finished()
    late.gate.set()
    until_over(bus)

    assert isinstance(again.error, TransitionFailures)
    assert stop.error is again.error
    assert failures(again.error) == [StartPending]
    assert late.notes == ["start", "cancelled", "stop"]
    assert bus.state is State.STOPPED


def test_the_async_stop_after_a_late_sync_start_runs_on_the_loop_of_the_bus(bus: Bus, late: Late) -> None:
    """The thread of the start waits for it."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def other() -> None:
        loops.append(asyncio.get_running_loop())

    listen(bus, START, other)
    listen(bus, START, late.block)
    listen(bus, STOP, late.stop)

    late.overrun(bus.start)
    late.gate.set()
    until_over(bus)

    assert late.notes == ["start", "stop"]
    assert late.loops == loops


def test_async_hooks_after_the_exit_run_on_a_loop_that_ends_with_them(bus: Bus, late: Late) -> None:
    """No thread is left behind, and the next run has a loop of its own."""
    listen(bus, START, late.block)
    listen(bus, STOP, late.stop)
    listen(bus, EXIT, late.exit)

    late.overrun(bus.start)
    bus.exit()
    late.gate.set()
    until_over(bus)

    assert late.notes == ["start", "stop", "exit"]
    assert not any(thread.is_alive() for thread in late.threads)
    assert all(loop.is_closed() for loop in late.loops)
    bus.start()
    bus.exit()
    assert late.notes == ["start", "stop", "exit"] * 2


def test_a_task_that_an_async_hook_leaves_after_the_exit_is_cancelled_and_logged(bus: Bus, clock: FakeClock) -> None:
    """The loop that was created for the hook ends with it."""

    class Poller(Late):
        async def exit(self) -> None:
            self.task = asyncio.create_task(asyncio.Event().wait(), name="poll")

    poller = Poller(bus, clock)
    listen(bus, START, poller.block)
    listen(bus, EXIT, poller.exit)

    poller.overrun(bus.start)
    bus.exit()
    poller.gate.set()
    until_over(bus)

    assert poller.task.cancelled()
    assert any("task 'poll' still ran" in line for line in poller.lines)


def test_the_stop_after_a_late_start_runs_on_the_loop_of_the_start(bus: Bus, late: Late) -> None:
    """Even if the bus has exited, and has forgotten that loop."""
    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = asyncio.run_coroutine_threadsafe
        await asyncio.to_thread(late.overrun, lambda: start(bus.start_async(), loop).result())
        await bus.exit_async()
        late.gate.set()
        await asyncio.to_thread(until_over, bus)

    asyncio.run(main())

    assert late.notes == ["start", "cancelled", "stop"]
    assert late.loops[0] is late.loops[1]


def test_a_loop_that_has_ended_calls_no_stop_after_a_late_start(bus: Bus, late: Late) -> None:
    """An error on LOG names the hook and the loop."""
    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)
    ended = threading.Event()

    def wait_for_end(text: str, level: int) -> None:
        if "had been given up" in text:
            assert ended.wait(PATIENCE)

    bus[LOG].subscribe(wait_for_end)
    loop = asyncio.new_event_loop()
    late.overrun(lambda: loop.run_until_complete(bus.start_async()))
    late.gate.set()
    [task] = asyncio.all_tasks(loop)
    loop.run_until_complete(task)
    loop.close()
    ended.set()
    until_over(bus)

    assert late.notes == ["start", "cancelled"]
    assert "Late.stop was not called" in late.lines[-1]
    assert "was closed" in late.lines[-1]


def test_an_exit_cancels_the_late_start_on_the_loop_of_the_bus(bus: Bus, late: Late) -> None:
    """The loop ends with the exit; a start that goes on is named, and leaves no thread behind."""
    listen(bus, START, late.start)
    listen(bus, STOP, late.stop)

    late.overrun(bus.start)
    exit_ = ThreadCall(bus.exit)
    assert late.began.acquire(timeout=PATIENCE)
    late.gate.set()
    assert exit_.finished().error is None
    until_over(bus)

    assert late.notes[:3] == ["start", "cancelled", "cancelled"]
    assert any("still ran when the bus exited" in line for line in late.lines)
    assert not late.threads[0].is_alive()


@pytest.mark.slow
def test_a_loop_that_is_blocked_at_the_exit_is_named_and_left_behind(bus: Bus) -> None:
    """With the stack of its thread, which ends as soon as it can."""
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    gate, began = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    async def block_the_loop() -> None:
        threads.append(threading.current_thread())
        began.set()
        gate.wait(4 * PATIENCE)

    bus.run_on_loop(block_the_loop())
    assert began.wait(PATIENCE)
    try:
        bus.exit()
    finally:
        gate.set()
    [thread] = threads
    thread.join(PATIENCE)

    assert bus.state is State.EXITED
    [line] = lines
    assert "is blocked, and is left behind; it is at:" in line
    assert "in block_the_loop" in line
    assert not thread.is_alive()


def test_a_start_whose_loop_was_closed_does_not_delay_the_next_start() -> None:
    """Its task will never end, so there is nothing to wait for."""
    began = asyncio.Event()
    notes: list[str] = []
    bus = Bus()

    async def start() -> None:
        notes.append("start")
        if len(notes) == 1:
            began.set()
            await asyncio.Event().wait()

    listen(bus, START, start)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # it reports the tasks that are destroyed
    starting = loop.create_task(bus.start_async())
    loop.run_until_complete(began.wait())
    for task in {starting, *asyncio.all_tasks(loop)}:
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()
    loop.close()
    assert bus.wait(State.STOPPED, PATIENCE)
    with contextlib.suppress(TransitionFailures):  # the outcome of the start, if it has not ended
        bus.exit()

    again = ThreadCall(bus.start).finished()
    bus.exit()

    assert again.error is None
    assert notes == ["start", "start"]
