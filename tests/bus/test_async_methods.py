"""The async methods of a bus, on the event loop of the caller; and the calls that a loop refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest
from tests.bus.test_async_hooks import PATIENCE, Part, SyncPart, add, failures, hang, listen

from typedbus import (
    GRACEFUL,
    START,
    STOP,
    Bus,
    ChannelFailures,
    Component,
    Container,
    ListenerCancelled,
    LoopError,
    State,
    TransitionError,
    TransitionFailures,
    WaitError,
)
from typedbus.events import LISTENER_FAILED


def test_hooks_run_on_the_loop_of_the_caller_while_it_stays_free() -> None:
    """Sync hooks run in another thread, so that tasks of the caller go on."""
    notes: list[str] = []
    bus = Bus()
    part = Part("a", notes)
    ticked = threading.Event()

    def wait_for_tick() -> None:
        assert ticked.wait(PATIENCE)
        notes.append("ticked")

    add(bus, part)
    listen(bus, START, wait_for_tick)

    async def main() -> asyncio.AbstractEventLoop:
        task = asyncio.create_task(asyncio.sleep(0.01))
        task.add_done_callback(lambda _: ticked.set())
        await bus.start_async()
        assert bus.state is State.STARTED
        await bus.stop_async()
        await bus.exit_async()
        return asyncio.get_running_loop()

    loop = asyncio.run(main())

    assert part.loops == [loop] * 3
    assert notes == ["start a", "ticked", "stop a", "exit a"]


def test_a_start_after_an_exit_may_be_on_another_loop() -> None:
    """The bus forgets its loop when it exits."""
    bus = Bus()
    part = Part("a", [])
    add(bus, part)

    async def main() -> None:
        await bus.start_async()
        await bus.exit_async()

    asyncio.run(main())
    asyncio.run(main())

    assert part.notes == ["start a", "stop a", "exit a"] * 2
    assert part.loops[0] is not part.loops[3]


def test_a_start_on_another_loop_without_an_exit_is_refused() -> None:
    """The error names both loops; the async hooks of the exit fail, since their loop is closed, and the sync ones run."""
    notes: list[str] = []
    bus = Bus()
    add(bus, SyncPart("s", notes), Part("a", notes))

    async def start_and_stop() -> None:
        await bus.start_async()
        await bus.stop_async()

    asyncio.run(start_and_stop())
    with pytest.raises(LoopError, match=r"were built for <.*>, and this is <.*loop_scope"):
        asyncio.run(bus.start_async())
    with pytest.raises(TransitionFailures) as raised:
        bus.exit()

    assert failures(raised.value) == [LoopError]
    assert "was closed before the bus had exited" in str(raised.value.exceptions[0])
    assert notes == ["start s", "start a", "stop a", "stop s", "exit s"]
    assert bus.state is State.EXITED


async def cancel_when(began: threading.Event, task: asyncio.Task[None]) -> None:
    """Cancel *task* when *began* is set."""
    await asyncio.to_thread(began.wait, PATIENCE)
    task.cancel("enough")


@pytest.mark.parametrize("at", range(4))
def test_a_start_that_is_cancelled_is_rolled_back(at: int) -> None:
    """In each hook; the same CancelledError is raised when the started components have been stopped."""
    notes: list[str] = []
    bus = Bus()
    began = threading.Event()
    parts = [Part(str(number), notes) for number in range(3)]

    async def hook() -> None:
        await hang(began)

    for priority, part in enumerate(parts):
        listen(bus, START, part.start, priority)
        listen(bus, STOP, part.stop, priority)
    listen(bus, START, hook, at - 1)

    async def main() -> None:
        start = asyncio.create_task(bus.start_async())
        await cancel_when(began, start)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await start

    asyncio.run(main())

    names = range(at)
    assert notes == [*(f"start {name}" for name in names), *(f"stop {name}" for name in reversed(names))]
    assert bus.state is State.STOPPED


def test_a_start_in_a_timeout_and_in_a_task_group_behaves_as_any_coroutine() -> None:
    """The timeout raises TimeoutError; the failure of a sibling cancels the start, and the group is raised."""
    bus = Bus()
    began = threading.Event()
    listen(bus, START, lambda: began.set())

    async def hook() -> None:
        await hang()

    listen(bus, START, hook)

    async def in_timeout() -> None:
        async with asyncio.timeout(0.05):
            await bus.start_async()

    async def in_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.start_async())
            await asyncio.to_thread(began.wait, PATIENCE)
            raise OSError("no network")

    with pytest.raises(TimeoutError):
        asyncio.run(in_timeout())
    assert bus.state is State.STOPPED
    bus.exit()
    began.clear()
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(in_group())
    assert [type(error) for error in raised.value.exceptions] == [OSError]
    assert bus.state is State.STOPPED


def test_a_second_cancellation_during_a_sync_hook_lets_the_async_hooks_after_it_run() -> None:
    """It is for the hook that runs, which cannot be given up."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes))
    has_begun, goes_on = threading.Event(), threading.Event()

    def drain() -> None:
        has_begun.set()
        assert goes_on.wait(PATIENCE)

    listen(bus, STOP, drain, priority=75)

    async def main() -> None:
        await bus.start_async()
        stop = asyncio.create_task(bus.stop_async())
        assert await asyncio.to_thread(has_begun.wait, PATIENCE)
        for _ in range(2):
            stop.cancel()
            await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await stop
        await bus.exit_async()

    asyncio.run(main())

    assert notes == ["start a", "stop a", "exit a"]


def test_a_second_cancellation_gives_up_the_hook_that_runs() -> None:
    """The first waits for the rollback, in which a stop hangs; the second leaves it behind."""
    bus = Bus()
    began, stopping = threading.Event(), threading.Event()

    async def hook() -> None:
        await hang(began)

    async def stop() -> None:
        await hang(stopping)

    listen(bus, STOP, stop)
    listen(bus, START, hook)

    async def main() -> None:
        start = asyncio.create_task(bus.start_async())
        await cancel_when(began, start)
        await cancel_when(stopping, start)
        with pytest.raises(asyncio.CancelledError) as raised:
            await start
        assert isinstance(raised.value.__cause__, TransitionFailures)

    asyncio.run(main())

    assert bus.state is State.STOPPED


def test_a_stop_that_is_cancelled_goes_on() -> None:
    """Its hooks are not cancelled, and the error is raised at the end."""
    notes: list[str] = []
    bus = Bus()
    stopping, go = threading.Event(), threading.Event()

    async def slow() -> None:
        stopping.set()
        await asyncio.to_thread(go.wait, PATIENCE)
        notes.append("slow")

    add(bus, Part("a", notes))
    listen(bus, STOP, slow)

    async def main() -> None:
        await bus.start_async()
        stop = asyncio.create_task(bus.stop_async())
        await cancel_when(stopping, stop)
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await stop

    asyncio.run(main())

    assert notes == ["start a", "slow", "stop a"]
    assert bus.state is State.STOPPED


def test_a_caller_that_joins_a_start_may_leave_it() -> None:
    """Its cancellation does not concern the caller that has begun the start."""
    bus = Bus()
    began, go = threading.Event(), threading.Event()

    async def hook() -> None:
        began.set()
        await asyncio.to_thread(go.wait, PATIENCE)

    listen(bus, START, hook)

    async def main() -> None:
        start = asyncio.create_task(bus.start_async())
        await asyncio.to_thread(began.wait, PATIENCE)
        joining = asyncio.create_task(bus.start_async())
        await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert not start.done()
        go.set()
        await start
        with pytest.raises(TransitionError):
            await bus.start_async()
        await bus.exit_async()

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["stop", "exit", "wait", "block", "start"])
def test_calls_that_would_block_the_loop_are_refused(verb: str) -> None:
    """The error names the method to await; nothing has been changed."""
    bus = Bus()
    part = Part("a", [])
    add(bus, part)
    calls: dict[str, Callable[[], object]] = {
        "start": bus.start,
        "stop": bus.stop,
        "exit": bus.exit,
        "block": bus.block,
        "wait": lambda: bus.wait(State.EXITED),
    }

    async def main() -> None:
        if verb != "start":
            await bus.start_async()
        with pytest.raises(LoopError, match=rf"bus\.{verb}\(\): .* write await bus\.{verb}_async\(\)"):
            calls[verb]()
        assert bus.state is (State.STOPPED if verb == "start" else State.STARTED)
        await bus.exit_async()

    asyncio.run(main())


def test_hooks_that_are_subscribed_at_the_start_are_refused_as_well() -> None:
    """A container subscribes its hooks only then; the start is rolled back and raises the error."""
    notes: list[str] = []

    class Connection:
        async def start(self) -> None:
            notes.append("start")

    class Shop(Container):
        bus = Component(Bus)
        connection = Component(Connection)

    bus = Shop().attach()

    async def main() -> None:
        with pytest.raises(LoopError, match="await bus.start_async"):
            bus.start()
        assert bus.state is State.STOPPED
        await bus.start_async()
        await bus.exit_async()

    asyncio.run(main())

    assert notes == ["start"]


def test_a_bus_without_async_hooks_may_be_used_on_a_loop() -> None:
    """It blocks the loop for a moment, as any function does, and waits for nothing there."""
    notes: list[str] = []
    bus = Bus()
    add(bus, SyncPart("a", notes))

    async def main() -> None:
        bus.start()
        bus.stop()
        await bus.start_async()
        bus.exit()

    asyncio.run(main())

    assert notes == ["start a", "stop a", "start a", "stop a", "exit a"]


def test_a_task_waits_for_a_state() -> None:
    """With and without a timeout; a hook must not wait for its own transition."""
    bus = Bus()
    refused: list[WaitError] = []

    async def hook() -> None:
        with pytest.raises(WaitError) as raised:
            await bus.wait_async(State.STARTED)
        refused.append(raised.value)

    listen(bus, START, hook)

    async def main() -> None:
        assert await bus.wait_async(State.STARTED, timeout=0.01) is None
        waiting = asyncio.create_task(bus.wait_async([State.STARTED, State.EXITED]))
        await asyncio.sleep(0)
        await bus.start_async()
        assert await waiting is State.STARTED
        assert await bus.wait_async(State.STARTED) is State.STARTED
        await bus.exit_async()

    asyncio.run(main())

    assert len(refused) == 1


def test_a_task_blocks_until_an_exit_is_requested() -> None:
    """The cause is raised there; a cancellation exits the bus, and is raised after that."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes))

    async def main() -> None:
        await bus.start_async()
        blocking = asyncio.create_task(bus.block_async())
        bus.request_exit(OSError("the disk is full"))
        with pytest.raises(OSError, match="the disk is full"):
            await blocking
        await bus.start_async()
        blocking = asyncio.create_task(bus.block_async())
        await asyncio.sleep(0)
        blocking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await blocking

    asyncio.run(main())

    assert notes == ["start a", "stop a", "exit a"] * 2
    assert bus.state is State.EXITED


def test_a_reload_awaits_its_listeners_in_order() -> None:
    """All are called, though one fails; on the loop itself the sync method is refused."""
    notes: list[str] = []
    bus = Bus()

    async def first() -> None:
        await asyncio.sleep(0)
        notes.append("first")
        raise OSError("no file")

    listen(bus, GRACEFUL, first)
    listen(bus, GRACEFUL, lambda: notes.append("second"))

    async def main() -> None:
        await bus.start_async()
        with pytest.raises(ChannelFailures) as raised:
            await bus.graceful_async()
        assert [type(error) for error in raised.value.exceptions] == [OSError]
        with pytest.raises(LoopError, match="await bus.graceful_async"):
            bus.graceful()
        await bus.exit_async()

    asyncio.run(main())
    bus.start()
    with pytest.raises(ChannelFailures):
        bus.graceful()
    bus.exit()

    assert notes == ["first", "second"] * 2


def test_a_loop_that_is_closed_during_the_stop_keeps_no_hook_waiting() -> None:
    """The async hooks are given up at once, and the sync ones are called."""
    notes: list[str] = []
    bus = Bus()
    stopping = threading.Event()

    async def slow() -> None:
        await hang(stopping)

    add(bus, SyncPart("a", notes))
    listen(bus, STOP, slow)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start_async())
    running = threading.Thread(target=loop.run_forever)
    running.start()
    failed: list[BaseException] = []

    def stop() -> None:
        try:
            bus.stop()
        except TransitionFailures as error:
            failed.append(error)

    thread = threading.Thread(target=stop)
    thread.start()
    assert stopping.wait(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    running.join(PATIENCE)
    for task in asyncio.all_tasks(loop):
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()
    loop.close()
    thread.join(PATIENCE)

    assert notes == ["start a", "stop a"]
    [error] = failed
    assert isinstance(error, TransitionFailures)
    assert failures(error) == [LoopError]


PROGRAM = """
import asyncio, sys, threading
from typedbus import START, STOP, EXIT, Bus
bus = Bus()

async def start():
    print("start", flush=True)

async def stop():
    print("stop", flush=True)
    if {stop_hangs}:
        await asyncio.Event().wait()

def last():
    print("last", flush=True)

bus[STOP].subscribe(last, priority=1)
bus[START].subscribe(start)
bus[STOP].subscribe(stop)

async def main():
    await bus.start_async()
    try:
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        await bus.exit_async()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", bus.state.name, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_program_in_order(times: int) -> None:
    """Once stops the bus; twice gives up the hook that hangs and stops the rest."""
    program = textwrap.dedent(PROGRAM).format(stop_hangs=times == 2)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for expected in ["ready", "stop"][:times]:
            while not lines or lines[-1] != expected:
                lines.append(process.stdout.readline().strip())
                assert lines[-1], lines
            os.kill(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()

    assert (lines + rest.split("\n"))[-3:-1] == ["last", "interrupted EXITED"]
    assert process.returncode == 0


def test_a_listener_of_a_reload_that_awaits_a_cancelled_task_has_failed() -> None:
    """The other listeners are called, and the failure is raised at the end."""
    notes: list[str] = []
    bus = Bus()

    async def awaits_cancelled() -> None:
        task = asyncio.create_task(asyncio.sleep(PATIENCE))
        task.cancel()
        await task

    listen(bus, GRACEFUL, awaits_cancelled)
    listen(bus, GRACEFUL, lambda: notes.append("second"))

    with pytest.raises(ChannelFailures) as raised:
        bus.graceful()
    bus.exit()

    assert [type(error) for error in raised.value.exceptions] == [ListenerCancelled]
    assert notes == ["second"]


def test_a_failure_in_an_async_reload_is_an_event() -> None:
    """As in any publish, before the next listener is called."""
    notes: list[str] = []
    bus = Bus()

    async def fail() -> None:
        raise OSError("no file")

    bus[LISTENER_FAILED].subscribe(lambda event: notes.append(f"{event.channel}: {event.error}"))
    listen(bus, GRACEFUL, fail)
    listen(bus, GRACEFUL, lambda: notes.append("second"))

    with pytest.raises(ChannelFailures):
        bus.graceful()
    bus.exit()

    assert notes == ["graceful: no file", "second"]


def test_a_system_exit_in_a_reload_carries_the_failures_before_it() -> None:
    """No later listener is called, and an exit status of success becomes 1."""
    bus = Bus()

    async def fail() -> None:
        raise OSError("no file")

    def leave() -> None:
        raise SystemExit

    listen(bus, GRACEFUL, fail)
    listen(bus, GRACEFUL, leave)
    listen(bus, GRACEFUL, lambda: pytest.fail("it was called"))

    with pytest.raises(SystemExit) as raised:
        bus.graceful()
    bus.exit()

    assert raised.value.code == 1
    failed = raised.value.__cause__
    assert isinstance(failed, ChannelFailures)
    assert [type(error) for error in failed.exceptions] == [OSError]


def test_the_thread_of_a_transition_has_ended_when_it_was_awaited() -> None:
    """A caller that compares the threads before and after does not see it."""
    left: list[threading.Thread] = []

    async def main() -> None:
        bus = Bus()
        before = set(threading.enumerate())
        for _ in range(50):
            for bring in (bus.start_async, bus.graceful_async, bus.exit_async):
                await bring()
                left.extend(thread for thread in threading.enumerate() if thread not in before)

    asyncio.run(main())

    assert left == []


@pytest.mark.parametrize("verb", ["stop", "exit"])
def test_a_stop_on_another_loop_in_the_same_thread_is_refused(verb: str) -> None:
    """The loop of the async hooks could not run meanwhile. The error names both loops, and nothing is called."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes))
    with asyncio.Runner() as first:
        first.run(bus.start_async())
        with pytest.raises(LoopError) as refused:
            asyncio.run(getattr(bus, f"{verb}_async")())
        first.run(bus.exit_async())

    assert notes == ["start a", "stop a", "exit a"]
    assert refused.value.action == f"await bus.{verb}_async()"
    assert refused.value.reason.count("in thread 'MainThread'>") == 2
    assert refused.value.reason.endswith("(loop_scope in pytest-asyncio)")
