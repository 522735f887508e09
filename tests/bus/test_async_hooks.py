"""Async hooks in a transition: order, limits, cancellation, failures, and the event loop that they run on."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles import ThreadCall

from typedbus import (
    EXIT,
    LOG,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    HookCancelled,
    HookTimeout,
    Limits,
    ListenerError,
    LoopError,
    StartCancelled,
    State,
    TransitionFailures,
    on,
    running,
)
from typedbus._base.limits import StartNode
from typedbus._bus.bus import parts_of
from typedbus._channels.subscriptions import Subscription
from typedbus.events import LIFECYCLE
from typedbus.testing import FakeClock
from typedbus.types import HookResult

PATIENCE = 10


def listen(bus: Bus, channel: Channel[[], HookResult], listener: Callable[[], object], priority: int = 50) -> None:
    """Subscribe *listener*, sync or async."""
    hook: Any = listener
    bus[channel].subscribe(hook, priority=priority)


class Part:
    """Notes its hooks, which are async, with the loop and the thread that they run in."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.threads: list[threading.Thread] = []

    async def note(self, hook: str) -> None:
        await asyncio.sleep(0)
        self.notes.append(f"{hook} {self.name}")
        self.loops.append(asyncio.get_running_loop())
        self.threads.append(threading.current_thread())

    async def start(self) -> None:
        await self.note("start")

    async def stop(self) -> None:
        await self.note("stop")

    async def exit(self) -> None:
        await self.note("exit")


class SyncPart:
    """Notes its hooks, which are sync."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def start(self) -> None:
        self.notes.append(f"start {self.name}")

    def stop(self) -> None:
        self.notes.append(f"stop {self.name}")

    def exit(self) -> None:
        self.notes.append(f"exit {self.name}")


def add(bus: Bus, *parts: Part | SyncPart) -> None:
    """Subscribe the hooks of *parts*."""
    for part in parts:
        listen(bus, START, part.start)
        listen(bus, STOP, part.stop)
        listen(bus, EXIT, part.exit)


def failures(error: TransitionFailures) -> list[type[BaseException]]:
    """Return the types of the failures."""
    return [type(failure) for failure in error.exceptions]


@settings(max_examples=20, deadline=None)
@given(kinds=st.lists(st.booleans(), max_size=8), workers=st.sampled_from([1, 3]))
def test_sync_and_async_hooks_have_one_order(kinds: list[bool], workers: int) -> None:
    """Each is called when the one before it has returned, and the stop is the exact reverse."""
    notes: list[str] = []
    bus = Bus(workers=workers)
    add(bus, *((Part if is_async else SyncPart)(str(number), notes) for number, is_async in enumerate(kinds)))

    bus.start()
    bus.exit()

    forward = list(range(len(kinds)))
    assert notes == [
        *(f"start {number}" for number in forward),
        *(f"stop {number}" for number in reversed(forward)),
        *(f"exit {number}" for number in reversed(forward)),
    ]


def test_async_hooks_run_on_one_loop_in_a_thread_that_ends_with_the_exit() -> None:
    """START, STOP and EXIT run on the same loop, in a thread of the bus; a start after the exit has another loop."""
    bus = Bus()
    part = Part("a", [])
    add(bus, part)

    bus.start()
    bus.exit()
    bus.start()
    bus.exit()

    assert len(set(part.loops[:3])) == len(set(part.loops[3:])) == 1
    assert part.loops[0] is not part.loops[3]
    assert part.threads[0] is not threading.current_thread()
    assert part.threads[0].name == "bus event loop"
    assert not part.threads[0].is_alive()
    assert part.loops[0].is_closed()


def test_a_factory_that_fails_fails_the_hook() -> None:
    """The start is rolled back, and its error is among the failures."""
    bus = Bus()
    bus.loop_factory = lambda: 1 // 0  # type: ignore[assignment]
    listen(bus, START, Part("a", []).start)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert failures(raised.value) == [LoopError]
    assert isinstance(raised.value.exceptions[0].__cause__, ZeroDivisionError)
    assert bus.state is State.STOPPED


def test_a_failed_async_start_is_rolled_back() -> None:
    """The started components, sync and async, are stopped; the failure is raised."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes), SyncPart("b", notes))

    async def fail() -> None:
        raise OSError("no network")

    listen(bus, START, fail)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert failures(raised.value) == [OSError]
    assert notes == ["start a", "start b", "stop b", "stop a"]
    bus.exit()


def test_a_system_exit_in_an_async_hook_leaves_the_loop_alone() -> None:
    """It is raised after the rollback, which still runs async hooks."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes))

    async def leave() -> None:
        raise SystemExit(3)

    listen(bus, START, leave)

    with pytest.raises(SystemExit, match="3"):
        bus.start()

    assert notes == ["start a", "stop a"]
    bus.exit()


def test_partials_methods_and_callables_are_recognised() -> None:
    """Each of them is awaited."""
    notes: list[str] = []

    async def function(name: str) -> None:
        notes.append(name)

    class Callable_:
        async def __call__(self) -> None:
            notes.append("callable")

    bus = Bus()
    listen(bus, START, functools.partial(functools.partial(function), "partial"))
    listen(bus, START, Callable_())
    listen(bus, START, Part("method", notes).start)

    bus.start()
    bus.exit()

    assert notes == ["partial", "callable", "start method"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="functions can be marked since Python 3.12")
def test_a_function_that_is_marked_as_a_coroutine_function_is_awaited() -> None:
    """As for `inspect.iscoroutinefunction`; without the mark a hook must not return a coroutine."""
    notes: list[str] = []
    bus = Bus()
    part = Part("a", notes)
    mark: Any = inspect

    def start() -> Awaitable[None]:
        return part.start()

    listen(bus, START, mark.markcoroutinefunction(start))

    bus.start()
    bus.exit()

    assert notes == ["start a"]


def test_a_sync_hook_that_returns_a_coroutine_fails() -> None:
    """The coroutine is closed, so that no warning says that it was never awaited."""
    bus = Bus()
    part = Part("a", [])
    listen(bus, START, lambda: part.start())

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert failures(raised.value) == [TypeError]
    assert part.notes == []


def test_an_inline_async_hook_fails() -> None:
    """Inline hooks run in the thread of the transition, and async hooks on the loop."""

    class Inline:
        @on(START, inline=True)  # type: ignore[arg-type]  # the mistake
        async def start(self) -> None:
            """Never called."""

    bus = Bus()
    listen(bus, START, Inline().start)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert failures(raised.value) == [ListenerError]
    bus.exit()


def test_context_variables_of_the_caller_reach_async_hooks() -> None:
    """Each hook has a copy of the context of the thread that started the bus."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[str] = []
    bus = Bus()

    async def hook() -> None:
        seen.append(variable.get())
        variable.set("hook")

    listen(bus, START, hook)
    listen(bus, START, functools.partial(hook))
    token = variable.set("caller")
    try:
        bus.start()
        bus.exit()
    finally:
        variable.reset(token)

    assert seen == ["caller", "caller"]


async def hang(began: threading.Event | None = None) -> None:
    """Wait forever, behind another coroutine and an async generator."""

    async def numbers() -> AsyncIterator[int]:
        if began is not None:
            began.set()
        await asyncio.Event().wait()
        yield 1

    async for _ in numbers():
        pass


def overrun(bus: Bus, clock: FakeClock, began: threading.Event, cancelled: threading.Event | None = None) -> Exception:
    """
    Start *bus*, and return its failure.

    When *began* is set, a second passes, which is the limit of each hook; another one when *cancelled* is set, if it is
    given.
    """
    start = ThreadCall(bus.start)
    for event in (began, cancelled):
        if event is not None:
            assert event.wait(PATIENCE)
            clock.advance(1)
    error = start.finished().error
    assert isinstance(error, TransitionFailures)
    [failure] = error.exceptions
    return failure


def test_an_overrun_is_cancelled_and_its_whole_chain_is_shown() -> None:
    """The stack names each coroutine and the async generator, outermost first."""
    clock, began = FakeClock(), threading.Event()
    bus = Bus(clock=clock, limits=Limits(hook=1))

    async def start() -> None:
        await hang(began)

    listen(bus, START, start)

    error = overrun(bus, clock, began)

    assert isinstance(error, HookTimeout)
    assert error.outcome == "cancelled"
    assert "it was cancelled at:" in str(error)
    lines = [line.strip().rpartition(" ")[2] for line in error.stack.splitlines() if "File" in line]
    assert lines == ["start", "hang", "numbers", "wait"]
    bus.exit()


def test_a_hook_that_ignores_its_cancellation_is_left_behind_and_undone_later() -> None:
    """The start goes on without it; when it has returned, the stop of the same object is called."""
    clock, gate = FakeClock(), threading.Event()
    began, cancelled = threading.Event(), threading.Event()
    notes: list[str] = []
    lines: list[str] = []

    class Stubborn:
        async def start(self) -> None:
            began.set()
            while not gate.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    notes.append("cancelled")
                    cancelled.set()

        async def stop(self) -> None:
            notes.append("stop")

    bus = Bus(clock=clock, limits=Limits(hook=1))
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    stubborn = Stubborn()
    listen(bus, START, stubborn.start)
    listen(bus, STOP, stubborn.stop)

    error = overrun(bus, clock, began, cancelled)
    [late] = parts_of(bus).machine.abandoned
    rolled_back = list(notes)
    gate.set()
    assert late.is_over.wait(PATIENCE)

    assert isinstance(error, HookTimeout)
    assert error.outcome == "left behind"
    assert rolled_back == ["cancelled"]
    assert notes == ["cancelled", "stop"]
    assert "it had been given up" in lines[0]
    bus.start()
    bus.exit()


def test_a_start_that_returns_when_it_is_cancelled_is_undone() -> None:
    """It has overrun, so the start fails, and it had started, so its stop is called."""
    clock, began, stopped = FakeClock(), threading.Event(), threading.Event()

    class Slow:
        async def start(self) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

        async def stop(self) -> None:
            stopped.set()

    bus = Bus(clock=clock, limits=Limits(hook=1))
    slow = Slow()
    listen(bus, START, slow.start)
    listen(bus, STOP, slow.stop)

    error = overrun(bus, clock, began)

    assert isinstance(error, HookTimeout)
    assert stopped.wait(PATIENCE)
    bus.exit()


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_blocked_loop_is_named_with_the_stack_of_its_thread(is_busy: bool) -> None:
    """A hook that never awaits, asleep or busy, cannot be cancelled; the report shows the function that blocks."""
    clock, began, gate = FakeClock(), threading.Event(), threading.Event()

    async def blocks() -> None:
        began.set()
        while is_busy and not gate.is_set():
            pass
        gate.wait(PATIENCE)

    bus = Bus(clock=clock, limits=Limits(hook=1))
    listen(bus, START, blocks)
    try:
        error = overrun(bus, clock, began, began)
    finally:
        gate.set()

    assert isinstance(error, HookTimeout)
    assert error.outcome == "loop blocked"
    assert "the event loop is blocked" in str(error)
    assert "in blocks" in error.stack
    [late] = parts_of(bus).machine.abandoned
    assert late.is_over.wait(PATIENCE)
    bus.exit()


def test_a_call_off_cancels_the_async_start_under_way() -> None:
    """It has not started: its stop is not called, those before it are stopped, and nothing has failed."""
    notes: list[str] = []
    began = threading.Event()
    bus = Bus()
    add(bus, Part("a", notes))

    class Slow:
        async def start(self) -> None:
            await hang(began)

        def stop(self) -> None:
            notes.append("stop slow")

    slow = Slow()
    listen(bus, START, slow.start)
    listen(bus, STOP, slow.stop)

    def stop() -> None:
        assert began.wait(PATIENCE)
        bus.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()

    with pytest.raises(StartCancelled):
        bus.start()

    stopping.join(PATIENCE)
    assert notes == ["start a", "stop a"]
    assert bus.state is State.STOPPED
    bus.exit()


def test_a_failure_next_door_cancels_the_async_start() -> None:
    """With several workers the hooks of one priority run together, and one failure ends the start."""
    began = threading.Event()
    bus = Bus(workers=2)
    ended: list[BaseException] = []

    async def slow() -> None:
        try:
            await hang(began)
        except asyncio.CancelledError as error:
            ended.append(error)
            raise

    def fail() -> None:
        assert began.wait(PATIENCE)
        raise OSError("no network")

    nodes(bus, slow, fail)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert failures(raised.value) == [OSError]
    assert len(ended) == 1
    bus.exit()


def nodes(bus: Bus, *listeners: Callable[[], object]) -> None:
    """Subscribe *listeners* to START as components that do not need each other."""

    class Own(Subscription):
        @property
        def node(self) -> StartNode | None:
            return own[self.listener]

    own = {listener: StartNode(f"shop.{number}", ()) for number, listener in enumerate(listeners)}
    for listener in listeners:
        bus[START]._add(Own(bus[START], listener, 50))  # pyright: ignore[reportPrivateUsage]


def test_async_hooks_count_as_workers() -> None:
    """With two workers, two of three run together."""
    running, most = 0, 0

    async def hook() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    bus = Bus(workers=2)
    nodes(bus, hook, functools.partial(hook), functools.partial(hook))

    bus.start()
    bus.exit()

    assert most == 2


def test_a_cancelled_error_that_the_bus_did_not_cause_is_a_failure() -> None:
    """A hook that awaits a cancelled task has failed, and is no interrupt."""

    async def hook() -> None:
        task = asyncio.create_task(asyncio.sleep(PATIENCE))
        task.cancel()
        await task

    bus = Bus()
    listen(bus, START, hook)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    [error] = raised.value.exceptions
    assert isinstance(error, HookCancelled)
    assert isinstance(error.__cause__, asyncio.CancelledError)
    bus.exit()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_every_async_stop_is_called_within_twice_the_limit(workers: int) -> None:
    """Stops that hang, and ignore their cancellation, leave time for the others."""
    called: list[int] = []

    async def stubborn(number: int) -> None:
        called.append(number)
        end = time.monotonic() + 3
        while time.monotonic() < end and not over.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    over = threading.Event()
    bus = Bus(workers=workers, limits=Limits(stop=0.4))
    for number in range(5):
        listen(bus, STOP, functools.partial(stubborn, number))
    bus.start()
    began = time.monotonic()

    with pytest.raises(TransitionFailures) as raised:
        bus.stop()

    seconds = time.monotonic() - began
    over.set()
    assert sorted(called) == [0, 1, 2, 3, 4]
    assert failures(raised.value) == [HookTimeout] * 5
    # One after the other they would take 2 s.
    assert seconds < 1.9
    bus.exit()


def test_an_async_stop_after_the_limit_is_cancelled_at_half_of_its_part_of_the_time() -> None:
    """It may take the other half to end, so that all stops end within twice the limit."""
    clock, steps, over = FakeClock(), threading.Semaphore(0), threading.Event()
    bus = Bus(clock=clock, limits=Limits(stop=1.5))

    async def stubborn(_: int) -> None:
        steps.release()
        while not over.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                steps.release()

    for number in range(3):
        listen(bus, STOP, functools.partial(stubborn, number))
    bus.start()

    stop = ThreadCall(bus.stop)
    for seconds in (1.5, 0.5, 0.25, 0.25, 0.25, 0.25):
        assert steps.acquire(timeout=PATIENCE)
        clock.advance(seconds)
    error = stop.finished().error
    over.set()
    bus.exit()

    assert isinstance(error, TransitionFailures)
    assert [timeout.seconds for timeout in error.exceptions if isinstance(timeout, HookTimeout)] == [2.0, 0.5, 0.5]


def test_a_sync_hook_waits_for_a_coroutine_that_stops_the_bus() -> None:
    """The coroutine belongs to the hook: its stop is a request, and does not wait for the hook."""
    bus = Bus()

    listen(bus, START, lambda: bus.run_on_loop(call_stop(bus)).result(PATIENCE))

    with pytest.raises(StartCancelled):
        bus.start()
    bus.exit()


def test_a_transition_that_an_async_hook_asks_for_is_carried_out_after_it() -> None:
    """Called inside a hook, stop() sets the goal and returns; so do tasks and threads that the hook has created."""
    asks: list[Callable[[Bus], Awaitable[None]]] = [
        call_stop,
        lambda bus: asyncio.create_task(call_stop(bus)),
        lambda bus: asyncio.to_thread(bus.stop),
    ]
    for ask in asks:
        bus = Bus()

        async def start(ask: Callable[[Bus], Awaitable[None]] = ask, bus: Bus = bus) -> None:
            await ask(bus)

        listen(bus, START, start)
        with pytest.raises(StartCancelled):
            bus.start()
        assert bus.state is State.STOPPED
        bus.exit()


async def call_stop(bus: Bus) -> None:
    """Stop *bus* with the sync method."""
    bus.stop()


class Connection:
    """Opens and closes in coroutines; the hooks are found by their names."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.notes.append("start connection")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.notes.append("stop connection")


class Repository:
    """A sync component that needs an async one."""

    def __init__(self, connection: Connection) -> None:
        self.notes = connection.notes

    def start(self) -> None:
        self.notes.append("start repository")

    def stop(self) -> None:
        self.notes.append("stop repository")


@pytest.mark.parametrize("workers", [1, 2])
def test_async_methods_of_components_are_hooks(workers: int) -> None:
    """A component starts after the async start of the component that it needs has returned, and stops before it."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus, workers=workers)
        connection = Component(Connection, notes)
        repository = Component(Repository, connection.provided)

    with running(Shop()):
        assert notes == ["start connection", "start repository"]

    assert notes[2:] == ["stop repository", "stop connection"]


def test_a_hook_that_is_cancelled_by_its_limit_is_not_stopped() -> None:
    """It has not started; the components before it are stopped."""
    notes: list[str] = []

    class Slow:
        def __init__(self, connection: Connection) -> None:
            self.connection = connection

        async def start(self) -> None:
            await asyncio.Event().wait()

        async def stop(self) -> None:
            notes.append("stop slow")

    class Shop(Container):
        bus = Component(Bus)
        connection = Component(Connection, notes)
        slow = Component(Slow, connection.provided).within(0.5)

    with pytest.raises(TransitionFailures) as raised, running(Shop()):
        pass

    [error] = raised.value.exceptions
    assert isinstance(error, HookTimeout)
    assert (error.path, error.scope, error.outcome) == ("Shop.slow", "component", "cancelled")
    assert notes == ["start connection", "stop connection"]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(data=st.data(), workers=st.sampled_from([1, 2, 4]))
def test_in_mixed_graphs_a_component_starts_after_its_dependencies_and_stops_before_them(
    data: st.DataObject, workers: int
) -> None:
    """Whichever of them are async."""
    notes: list[str] = []
    events: list[tuple[str, str]] = []
    kinds = data.draw(st.lists(st.booleans(), min_size=1, max_size=8))
    needs = [data.draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(len(kinds))]
    nodes_of: list[StartNode] = []
    bus = Bus(workers=workers)

    class Owned(Subscription):
        @property
        def node(self) -> StartNode | None:
            return nodes_of[int(self.listener.__self__.name)]  # type: ignore[attr-defined]

    for number, is_async in enumerate(kinds):
        nodes_of.append(StartNode(f"shop.{number}", tuple(nodes_of[need] for need in needs[number])))
        part = (Part if is_async else SyncPart)(str(number), notes)
        bus[START]._add(Owned(bus[START], part.start, 50))  # pyright: ignore[reportPrivateUsage]
        bus[STOP]._add(Owned(bus[STOP], part.stop, 50))  # pyright: ignore[reportPrivateUsage]
    bus[LIFECYCLE].subscribe(lambda event: events.append((type(event).__name__, getattr(event, "path", ""))))

    bus.start()
    bus.exit()

    place = {note: index for index, note in enumerate(notes)}
    assert len(place) == 2 * len(kinds)
    for number, dependencies in enumerate(needs):
        for need in dependencies:
            assert place[f"start {need}"] < place[f"start {number}"]
            assert place[f"stop {number}"] < place[f"stop {need}"]
    assert sum(kind == "ComponentStarted" for kind, _ in events) == len(kinds)
