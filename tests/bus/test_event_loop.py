"""The event loop of a bus: its creation, the coroutines that run on it, and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.bus.test_async_hooks import Part, add, listen
from tests.doubles import ThreadCall

from typedbus import GRACEFUL, LOG, START, STOP, Bus, Component, Container, LoopError, State, TransitionFailures

PATIENCE = 10


async def here() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """Return the loop and the thread that run this coroutine."""
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), threading.current_thread()


def test_coroutines_run_on_one_loop_in_a_thread_that_ends_with_the_exit() -> None:
    """A start after the exit has another loop."""
    bus = Bus()

    bus.start()
    first, thread = bus.run_on_loop(here()).result(PATIENCE)
    same, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()
    bus.start()
    second, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert first is same
    assert first is not second
    assert thread.name == "bus event loop"
    assert thread.daemon
    assert not thread.is_alive()
    assert first.is_closed()


def test_a_factory_creates_the_loop() -> None:
    """The loop of the bus is the loop that the factory returns."""
    created: list[asyncio.AbstractEventLoop] = []

    def factory() -> asyncio.AbstractEventLoop:
        created.append(asyncio.new_event_loop())
        return created[-1]

    bus = Bus()
    bus.loop_factory = factory

    loop, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert bus.loop_factory is factory
    assert created == [loop]


def test_a_bus_that_has_exited_has_no_loop_until_the_next_start() -> None:
    """An async reload is refused, and calls no listener; no thread remains, and any loop may start the bus again."""
    notes: list[str] = []
    bus = Bus()
    part = Part("a", notes)
    add(bus, part)
    listen(bus, GRACEFUL, lambda: notes.append("reload"))
    listen(bus, GRACEFUL, here)
    bus.start()
    bus.exit()
    notes.clear()
    before = threading.active_count()

    with pytest.raises(LoopError, match=r"bus.graceful\(\): the bus has exited"):
        bus.graceful()

    assert threading.active_count() == before
    assert notes == []

    async def main() -> None:
        await bus.start_async()
        await bus.exit_async()

    asyncio.run(main())


def test_no_loop_begins_while_the_bus_exits() -> None:
    """A coroutine that comes when the loop has ended, but not yet the exit, is refused."""
    bus = Bus()
    errors: list[BaseException | None] = []
    bus.start()
    hanging = bus.run_on_loop(asyncio.Event().wait())

    @bus[LOG].subscribe
    def use_loop(message: str, level: int, /) -> None:
        if "still ran when the bus exited" in message:
            errors.append(ThreadCall(lambda: bus.run_on_loop(here())).finished().error)

    before = threading.active_count()
    bus.exit()

    assert hanging.cancelled()
    assert [type(error) for error in errors] == [LoopError]
    assert threading.active_count() == before - 1


def closed_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


async def later() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def no_loop() -> None:
    return None


def broken() -> asyncio.AbstractEventLoop:
    raise OSError("no descriptor")


@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        (no_loop, "returned None, which is not an event loop; return a new event loop, as "),
        (later, "returned <coroutine object later .*>, which is not an event loop"),
        (closed_loop, "returned an event loop that is closed"),
        (broken, r"raised OSError\('no descriptor'\)"),
    ],
)
def test_a_factory_that_creates_no_loop_fails_the_start(factory: Any, problem: str) -> None:
    """The error has its name and its place; the async hooks of the exit run on another loop, to release resources."""
    notes: list[str] = []
    bus = Bus(loop_factory=factory)
    part = Part("a", notes)
    add(bus, part)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()
    [error] = raised.value.exceptions
    assert isinstance(error, LoopError)
    text = rf"loop_factory .*{factory.__name__} \({__file__}:{factory.__code__.co_firstlineno}\): it {problem}"
    assert re.match(text, str(error))
    bus.exit()
    assert notes == ["exit a"]

    with pytest.raises(TransitionFailures):
        bus.start()
    bus.exit()


def test_a_factory_whose_loop_runs_already_is_refused() -> None:
    """A loop cannot run in two threads."""
    first, second = Bus(), Bus()
    loop, _ = first.run_on_loop(here()).result(PATIENCE)
    second.loop_factory = lambda: loop
    coroutine = here()

    with pytest.raises(LoopError, match="returned an event loop that runs already"):
        second.run_on_loop(coroutine)

    coroutine.close()
    first.exit()


@pytest.mark.parametrize("given", ["uvloop", asyncio, 3], ids=["name", "module", "number"])
def test_a_factory_must_be_callable(given: Any) -> None:
    """The error says what to pass; the bus keeps its factory."""
    bus = Bus(loop_factory=asyncio.new_event_loop)

    with pytest.raises(LoopError, match=r"loop_factory=.*: it cannot be called; pass a function that returns a new"):
        bus.loop_factory = given
    with pytest.raises(LoopError):
        Bus(loop_factory=given)

    assert bus.loop_factory is asyncio.new_event_loop


def test_the_thread_of_the_loop_has_the_name_of_the_container_that_declares_the_bus() -> None:
    """Containers that share the bus do not rename it."""

    class Shop(Container):
        bus = Component(Bus)

    class Audit(Container):
        names = Component(list[str])

    bus = Shop().attach()
    Audit().attach(bus)
    _, thread = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert thread.name == "Shop event loop"


def test_the_loop_refuses_to_wait_for_itself() -> None:
    """The coroutine is closed, so that no warning reports that it was not awaited."""
    bus = Bus()

    async def ask() -> None:
        bus.run_on_loop(here())

    with pytest.raises(LoopError, match=r"bus.run_on_loop\(\): .*await the coroutine"):
        bus.run_on_loop(ask()).result(PATIENCE)
    bus.exit()


def test_a_bus_that_has_exited_runs_no_coroutine() -> None:
    """The coroutine is closed."""
    bus = Bus()
    bus.exit()

    with pytest.raises(LoopError, match="has exited"):
        bus.run_on_loop(here())


def test_a_coroutine_may_run_in_the_hooks_of_the_exit() -> None:
    """The loop ends after the last hook."""
    bus = Bus()
    loops: list[asyncio.AbstractEventLoop] = []

    def note() -> None:
        loops.append(bus.run_on_loop(here()).result(PATIENCE)[0])

    bus[START].subscribe(note)
    bus[STOP].subscribe(note)

    bus.start()
    bus.exit()

    assert loops[0] is loops[1]


def test_a_task_that_still_runs_at_the_exit_is_cancelled_and_logged_with_its_await_chain() -> None:
    """The chain is outermost first, through async generators, to the function that waits."""
    bus = Bus()
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    began = threading.Event()
    # The loop refers to its tasks weakly: a task that waits for an object that nothing refers to is collected.
    forever = asyncio.Event()
    errors: list[type[BaseException]] = []

    async def numbers() -> AsyncIterator[int]:
        began.set()
        await forever.wait()
        yield 1

    async def pump() -> None:
        try:
            async for _ in numbers():
                pass
        except BaseException as error:
            errors.append(type(error))
            raise

    bus.run_on_loop(pump())
    assert began.wait(PATIENCE)
    bus.exit()

    assert errors == [asyncio.CancelledError]
    [line] = lines
    assert "still ran when the bus exited, and was cancelled; it was at:" in line
    frames = [part.split("\n")[0] for part in line.split(", in ")[1:]]
    assert frames == ["pump", "numbers", "wait"]


def test_a_task_that_raises_when_the_exit_cancels_it_is_reported_to_the_loop() -> None:
    """The handler of the loop gets the exception, which no caller would retrieve."""
    contexts: list[dict[str, Any]] = []
    began = threading.Event()

    def factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, context: contexts.append(context))
        return loop

    async def fail() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            raise OSError("not closed")

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(fail())

    bus = Bus(loop_factory=factory)
    task = bus.run_on_loop(begin()).result(PATIENCE)
    assert began.wait(PATIENCE)
    bus.exit()

    assert [context["message"] for context in contexts] == ["a task raised while the event loop of a bus ended"]
    assert contexts[0]["exception"] is task.exception()


def test_a_task_runs_on_if_its_future_is_dropped() -> None:
    """An event loop references a task only weakly: it would be collected as garbage while it waits."""
    bus = Bus()
    began, ended = threading.Event(), threading.Event()

    async def pump() -> None:
        wakeup = asyncio.Event()
        wakeups.append(weakref.ref(wakeup))
        began.set()
        await wakeup.wait()
        ended.set()

    wakeups: list[weakref.ref[asyncio.Event]] = []

    async def wake() -> None:
        wakeup = wakeups[0]()
        assert wakeup is not None
        wakeup.set()

    bus.run_on_loop(pump())
    assert began.wait(PATIENCE)
    bus.run_on_loop(here()).result(PATIENCE)
    gc.collect()
    bus.run_on_loop(wake()).result(PATIENCE)

    assert ended.wait(PATIENCE)
    bus.exit()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system cannot send a signal to a thread")
def test_an_interrupted_reload_cancels_the_listener_that_runs() -> None:
    """Ctrl-C ends the wait for the loop, and the later listeners are not called."""
    bus = Bus()
    calls: list[str] = []
    cancelled = threading.Event()
    forever = asyncio.Event()

    async def hang() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await forever.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    bus[GRACEFUL].subscribe(hang)
    bus[GRACEFUL].subscribe(lambda: calls.append("later"))
    with pytest.raises(KeyboardInterrupt):
        bus.graceful()

    assert cancelled.wait(PATIENCE)
    assert calls == []
    bus.exit()


def test_async_generators_are_closed_at_the_exit() -> None:
    """An async generator that is not exhausted runs its `finally`, on the loop."""
    bus = Bus()
    closed: list[asyncio.AbstractEventLoop] = []
    generators: list[AsyncIterator[int]] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(asyncio.get_running_loop())

    async def first() -> asyncio.AbstractEventLoop:
        generators.append(numbers())
        await anext(generators[0])
        return asyncio.get_running_loop()

    loop = bus.run_on_loop(first()).result(PATIENCE)
    bus.exit()

    assert closed == [loop]


@pytest.mark.slow
def test_an_async_generator_that_does_not_close_is_logged_and_left_behind() -> None:
    """The exit waits for it for some seconds."""
    bus = Bus()
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.Event().wait()

    generator = numbers()

    async def begin() -> None:
        await anext(generator)

    bus.run_on_loop(begin()).result(PATIENCE)
    bus.exit()

    assert lines == ["an async generator did not close, and is left behind"]


@pytest.mark.slow
def test_a_function_in_the_executor_that_does_not_end_is_logged_and_left_behind() -> None:
    """The exit waits for it for some seconds; the thread ends with the function."""
    bus = Bus()
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    began, gate, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    def work() -> None:
        threads.append(threading.current_thread())
        began.set()
        gate.wait(4 * PATIENCE)

    bus.run_on_loop(asyncio.to_thread(work))
    assert began.wait(PATIENCE)
    try:
        bus.exit()
    finally:
        gate.set()
    threads[0].join(PATIENCE)

    assert re.search("a function in the default executor of <.*> still runs, and is left behind", lines[-1])
    assert not threads[0].is_alive()


def test_a_system_exit_in_a_task_does_not_end_the_loop() -> None:
    """asyncio re-raises it out of the loop, which continues."""
    bus = Bus()

    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        bus.run_on_loop(leave()).result(PATIENCE)
    loop, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert loop.is_closed()


def test_a_bus_that_is_dropped_leaves_no_thread_behind() -> None:
    """Its loop ends without an exit as soon as the bus is not referenced any more."""
    bus = Bus()
    loop, thread = bus.run_on_loop(here()).result(PATIENCE)

    del bus
    gc.collect()

    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert loop.is_closed()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """The thread of the parent's loop does not exist in the child."""
    program = f"""
import asyncio, os, sys
from typedbus import Bus
bus = Bus()
async def answer():
    return 42
assert bus.run_on_loop(answer()).result({PATIENCE}) == 42
child = os.fork()
if not child:
    bus.detach()
    result = bus.run_on_loop(answer()).result({PATIENCE})
    bus.exit()
    os._exit(result)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
bus.exit()
print(status)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "42"


@pytest.mark.slow
def test_a_sync_program_does_not_import_asyncio() -> None:
    """Neither the bus nor a transition of sync hooks needs it."""
    program = """
import sys
from typedbus import START, Bus, Limits
bus = Bus(workers=2, limits=Limits(hook=5))
bus[START].subscribe(lambda: None)
bus.start()
bus.exit()
print("asyncio" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"


def test_a_bus_without_coroutines_has_no_thread() -> None:
    """The loop is created with the first coroutine, not with the start."""
    bus = Bus()
    before = threading.active_count()

    bus.start()

    assert threading.active_count() == before
    assert bus.state is State.STARTED
    bus.exit()
