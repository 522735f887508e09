"""Publishing between threads and event loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import signal
import threading
import weakref
from typing import Any

import pytest
from tests.doubles import until_waiting

from typedbus import START, AsyncChannel, Bus, Channel, ChannelFailures, LoopError, in_thread

PATIENCE = 10
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_function_in_a_thread_does_not_block_the_loop() -> None:
    """It runs in another thread with the variables of the publisher, while the loop runs other tasks."""
    bound = Bus()[AsyncChannel[[threading.Event], tuple[int, str]]("block")]

    def block(event: threading.Event, /) -> tuple[int, str]:
        assert event.wait(60)
        return threading.get_ident(), variable.get()

    bound.subscribe(in_thread(block))

    async def main() -> list[tuple[int, str]]:
        event = threading.Event()
        variable.set("copied")
        asyncio.get_running_loop().call_soon(event.set)
        return await bound.publish(event)

    ((thread, value),) = asyncio.run(main())
    assert thread != threading.get_ident()
    assert value == "copied"


def test_a_sync_publish_in_a_thread_does_not_block_the_loop() -> None:
    """Its listeners run in another thread with the variables of the publisher."""
    bound = Bus()[Channel[[threading.Event], tuple[int, str]]("block")]

    @bound.subscribe
    def block(event: threading.Event, /) -> tuple[int, str]:
        assert event.wait(60)
        return threading.get_ident(), variable.get()

    async def main() -> list[tuple[int, str]]:
        event = threading.Event()
        variable.set("copied")
        asyncio.get_running_loop().call_soon(event.set)
        return await bound.publish_in_thread(event)

    ((thread, value),) = asyncio.run(main())
    assert thread != threading.get_ident()
    assert value == "copied"


def test_a_thread_publishes_on_the_loop_of_another_thread() -> None:
    """`asyncio.run_coroutine_threadsafe` takes the publish; the listeners run in the thread of the loop."""
    bound = Bus()[AsyncChannel[[int], tuple[int, int]]("numbers")]

    @bound.subscribe
    async def listen(number: int, /) -> tuple[int, int]:
        return number, threading.get_ident()

    async def main() -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()

        def publish() -> list[tuple[int, int]]:
            return asyncio.run_coroutine_threadsafe(bound.publish(3), loop).result(5)

        return await asyncio.to_thread(publish)

    assert asyncio.run(main()) == [(3, threading.get_ident())]


@pytest.mark.parametrize("way", ["in_thread", "publish_in_thread"])
@pytest.mark.parametrize("has_ended", [False, True], ids=["runs", "has ended"])
def test_an_exception_after_a_cancellation_goes_to_the_handler_of_the_loop(way: str, *, has_ended: bool) -> None:
    """Also if the function had raised, and the loop had not received that yet."""
    entered, release = threading.Event(), threading.Event()
    workers: list[threading.Thread] = []
    contexts: list[dict[str, Any]] = []

    def charge(number: int, /) -> None:
        workers.append(threading.current_thread())
        entered.set()
        release.wait(60)
        raise OSError(f"no money for {number}")

    sync, loose = Bus()[Channel[[int], None]("numbers")], Bus()[AsyncChannel[[int], None]("numbers")]
    sync.subscribe(charge)
    loose.subscribe(in_thread(charge))

    async def main() -> None:
        loop, is_reported = asyncio.get_running_loop(), asyncio.Event()

        def handle(_: object, context: dict[str, Any]) -> None:
            contexts.append(context)
            is_reported.set()

        loop.set_exception_handler(handle)
        call = loose.publish(3) if way == "in_thread" else sync.publish_in_thread(3)
        publishing = asyncio.create_task(call)
        await asyncio.to_thread(entered.wait, 60)
        if has_ended:
            release.set()
            until_waiting(workers[0], re.compile(r"work_queue\.get\("))  # it blocks the loop
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        release.set()
        await asyncio.wait_for(is_reported.wait(), 60)

    asyncio.run(main())

    (context,) = contexts
    assert context["message"].endswith(" failed after its caller was cancelled")
    assert "no money for 3" in repr(context["exception"])


def test_an_exception_after_the_end_of_the_loop_goes_to_its_handler() -> None:
    """The handler is called in the worker thread."""
    entered, release, is_reported = threading.Event(), threading.Event(), threading.Event()
    contexts: list[dict[str, Any]] = []

    def charge() -> None:
        entered.set()
        release.wait(60)
        raise OSError("no money")

    def handle(_: object, context: dict[str, Any]) -> None:
        contexts.append(context)
        is_reported.set()

    async def main() -> None:
        charging = asyncio.create_task(in_thread(charge)())
        await asyncio.to_thread(entered.wait, 60)
        charging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await charging

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(handle)
    loop.run_until_complete(main())
    loop.close()
    release.set()
    assert is_reported.wait(60)
    (context,) = contexts
    assert repr(context["exception"]) == "OSError('no money')"


def test_an_exception_in_a_thread_is_freed_with_its_last_reference() -> None:
    """Nothing that the worker thread keeps refers to it."""

    class NoMoney(Exception):
        """It can be referred to weakly."""

    failures: list[weakref.ref[NoMoney]] = []

    def charge() -> None:
        failure = NoMoney()
        failures.append(weakref.ref(failure))
        try:
            raise failure
        finally:
            del failure

    async def main() -> None:
        with pytest.raises(NoMoney):
            await in_thread(charge)()

    gc.disable()
    try:
        asyncio.run(main())
        assert failures[0]() is None
    finally:
        gc.enable()


def test_a_function_in_a_thread_keeps_its_name() -> None:
    """So a failure names the function."""

    def charge(number: int, /) -> int:
        return number

    bound = Bus()[AsyncChannel[[int], int]("numbers")]

    assert bound.subscribe(in_thread(charge)).name.endswith("charge")


numbers = AsyncChannel[[int], tuple[int, str]]("numbers")


async def where(number: int, /) -> tuple[int, str]:
    """Return the argument and the name of the thread."""
    await asyncio.sleep(0)
    return number, threading.current_thread().name


def test_a_thread_publishes_on_the_loop_of_the_bus_and_waits() -> None:
    """The bus creates its own loop for that."""
    bus = Bus()
    bus[numbers].subscribe(where)

    assert bus[numbers].publish_from_thread(3) == [(3, "bus event loop")]

    bus.exit()


def test_a_thread_publishes_on_a_concurrent_channel() -> None:
    """Both listeners wait for each other."""
    bus = Bus()
    bound = bus[AsyncChannel[[], None]("together", concurrent=True)]
    barrier = asyncio.Barrier(2)

    async def meet() -> None:
        await barrier.wait()

    async def meet_as_well() -> None:
        await barrier.wait()

    bound.subscribe(meet)
    bound.subscribe(meet_as_well)

    assert bound.publish_from_thread() == [None, None]

    bus.exit()


def test_a_thread_publishes_on_the_loop_that_the_caller_of_the_start_has_lent() -> None:
    """The listeners run in the thread of that loop."""
    bus = Bus()
    bus[numbers].subscribe(where)

    async def main() -> list[tuple[int, str]]:
        await bus.start_async()
        results = await asyncio.to_thread(bus[numbers].publish_from_thread, 3)
        await bus.exit_async()
        return results

    assert asyncio.run(main()) == [(3, threading.current_thread().name)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sync_hook_of_the_start_publishes_on_the_loop(workers: int) -> None:
    """And a listener of that publish may request a stop, which does not wait for the start."""
    bus = Bus(workers=workers)
    results: list[list[tuple[int, str]]] = []

    @bus[numbers].subscribe
    async def stop(number: int, /) -> tuple[int, str]:
        await bus.stop_async()
        return await where(number)

    bus[START].subscribe(lambda: results.append(bus[numbers].publish_from_thread(3)))
    with pytest.raises(Exception, match="cancelled"):
        bus.start()
    bus.exit()

    assert results == [[(3, "bus event loop")]]


def test_the_listeners_see_the_context_variables_of_the_thread() -> None:
    """A variable that a listener sets stays in the copy."""
    bus = Bus()

    @bus[numbers].subscribe
    async def read(number: int, /) -> tuple[int, str]:
        value = variable.get()
        variable.set("changed")
        return number, value

    def publish() -> tuple[list[tuple[int, str]], str]:
        variable.set("of the thread")
        return bus[numbers].publish_from_thread(3), variable.get()

    assert contextvars.copy_context().run(publish) == ([(3, "of the thread")], "of the thread")
    bus.exit()


def test_failures_are_raised_in_the_thread() -> None:
    """With the listeners that failed, and the results of the others; no cycle keeps them alive."""
    bus = Bus()
    bus[numbers].subscribe(where)
    errors: list[weakref.ref[BaseException]] = []

    class SoldOut(Exception):
        """An exception that may be referred to weakly."""

    @bus[numbers].subscribe
    async def fail(number: int, /) -> tuple[int, str]:
        raise SoldOut(number)

    def publish() -> None:
        try:
            bus[numbers].publish_from_thread(3)
        except ChannelFailures as failed:
            assert [failure.listener for failure in failed.failures] == [fail.listener]
            assert failed.results == ((3, "bus event loop"),)
            errors.append(weakref.ref(failed.exceptions[0]))

    gc.collect()
    gc.disable()
    try:
        publish()
        bus.exit()
        assert [error() for error in errors] == [None]
    finally:
        gc.enable()


def test_a_system_exit_of_a_listener_is_raised_in_the_thread_alone() -> None:
    """It does not end the loop of the caller."""
    bus = Bus()

    @bus[numbers].subscribe
    async def leave(number: int, /) -> tuple[int, str]:
        raise SystemExit(number)

    def publish() -> object:
        with pytest.raises(SystemExit) as raised:
            bus[numbers].publish_from_thread(3)
        return raised.value.code

    async def main() -> object:
        await bus.start_async()
        code = await asyncio.to_thread(publish)
        await bus.exit_async()
        return code

    assert asyncio.run(main()) == 3


def test_wrong_arguments_are_a_type_error_that_names_the_channel() -> None:
    """As for `publish`."""
    bus = Bus()
    publish: Any = bus[numbers].publish_from_thread

    with pytest.raises(TypeError, match="numbers: publish"):
        publish()
    bus.exit()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system cannot send a signal to a thread")
def test_an_interrupt_of_the_waiting_thread_cancels_the_publish() -> None:
    """`KeyboardInterrupt` is raised in the thread, `CancelledError` in the listener."""
    bus = Bus()
    cancelled = threading.Event()

    @bus[numbers].subscribe
    async def hang(number: int, /) -> tuple[int, str]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return await where(number)

    with pytest.raises(KeyboardInterrupt):
        bus[numbers].publish_from_thread(3)

    assert cancelled.wait(PATIENCE)
    bus.exit()


def test_an_event_loop_refuses_a_publish_that_would_block_it() -> None:
    """The error shows the line to write instead."""
    bus = Bus()

    async def main() -> None:
        bus[numbers].publish_from_thread(3)

    with pytest.raises(LoopError, match=r"channel 'numbers': .*write await bus\[channel\].publish\("):
        asyncio.run(main())


def test_a_publish_from_another_event_loop_runs_on_the_loop_of_the_bus() -> None:
    """In a thread, as the error shows: awaited on the other loop, it would use what belongs to the loop of the bus."""
    bus = Bus()
    bus[numbers].subscribe(where)
    bus[numbers].publish_from_thread(3)  # the bus creates its own loop

    async def main() -> list[tuple[int, str]]:
        with pytest.raises(LoopError, match=r"write await asyncio.to_thread\(bus\[channel\].publish_from_thread, "):
            bus[numbers].publish_from_thread(3)
        return await asyncio.to_thread(bus[numbers].publish_from_thread, 3)

    assert asyncio.run(main()) == [(3, "bus event loop")]
    bus.exit()


def test_a_publish_after_the_exit_is_refused() -> None:
    """The loop has ended with the exit."""
    bus = Bus()
    bus[numbers].subscribe(where)
    bus.exit()

    with pytest.raises(LoopError, match="the bus has exited"):
        bus[numbers].publish_from_thread(3)


def test_a_publish_on_a_bus_that_is_not_referenced_any_more_is_refused() -> None:
    """A bound channel does not keep the bus alive."""
    bound = Bus()[numbers]

    with pytest.raises(LoopError, match="no longer exists"):
        bound.publish_from_thread(3)


def test_a_publish_that_the_exit_interrupts_is_a_loop_error() -> None:
    """The exit cancels the tasks of the bus's own loop."""
    bus = Bus()
    began = threading.Event()
    errors: list[LoopError] = []

    @bus[numbers].subscribe
    async def hang(number: int, /) -> tuple[int, str]:
        began.set()
        await asyncio.Event().wait()
        return await where(number)

    def publish() -> None:
        with pytest.raises(LoopError) as raised:
            bus[numbers].publish_from_thread(3)
        errors.append(raised.value)

    thread = threading.Thread(target=publish)
    thread.start()
    assert began.wait(PATIENCE)
    bus.exit()
    thread.join(PATIENCE)

    [error] = errors
    assert str(error).startswith("publish_from_thread() on channel 'numbers' has not returned: ")
    assert "has cancelled it" in error.reason


@pytest.mark.slow
def test_a_publish_does_not_hang_if_the_loop_of_the_caller_does_not_run() -> None:
    """It does not take place later either."""
    bus = Bus()
    calls: list[int] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start_async())

    @bus[numbers].subscribe
    def listen(number: int, /) -> tuple[int, str]:
        calls.append(number)
        return number, ""

    with pytest.raises(LoopError, match="does not run"):
        bus[numbers].publish_from_thread(3)
    loop.run_until_complete(asyncio.sleep(0))
    assert calls == []

    loop.close()
    with pytest.raises(LoopError, match="was closed"):
        bus[numbers].publish_from_thread(3)
    bus.exit()


def test_a_coroutine_for_a_closed_loop_is_refused_and_closed() -> None:
    """No warning reports that it was not awaited."""
    bus = Bus()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start_async())
    loop.close()

    with pytest.raises(LoopError, match=r"bus.run_on_loop\(\): .* was closed"):
        bus.run_on_loop(where(3))
    bus.exit()
