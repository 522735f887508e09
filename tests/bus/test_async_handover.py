"""How async hooks get to the event loop and back: together, before a sync hook blocks, and at all ends of their tasks."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest
from tests.bus.test_async_hooks import PATIENCE, Part, add, failures, listen, nodes
from tests.doubles import ThreadCall

from typedbus import START, Bus, StartCancelled, State, TransitionFailures, on
from typedbus.events import COMPONENT_STARTING


def test_async_hooks_run_while_an_inline_hook_waits_for_them() -> None:
    """They have been handed to the loop before the inline hook blocks the thread of the transition."""
    began = threading.Event()

    async def first() -> None:
        began.set()

    class Inline:
        has_seen_it = False

        @on(START, inline=True)
        def start(self) -> None:
            self.has_seen_it = began.wait(PATIENCE)

    inline = Inline()
    bus = Bus(workers=2)
    nodes(bus, first, inline.start)

    bus.start()
    bus.exit()

    assert inline.has_seen_it


def test_a_hook_that_is_cancelled_before_its_first_step_ends_the_start() -> None:
    """A blocked loop carries out the begin and the cancellation in one turn, and the coroutine never runs."""
    gate, is_blocked = threading.Event(), threading.Event()
    steps: list[str] = []
    bus = Bus()

    async def block() -> None:
        is_blocked.set()
        gate.wait(PATIENCE)

    async def hook() -> None:
        steps.append("hook")

    listen(bus, START, hook)
    bus[COMPONENT_STARTING].subscribe(lambda event: bus.request_exit())
    blocking = bus.run_on_loop(block())
    assert is_blocked.wait(PATIENCE)
    start = ThreadCall(bus.start)
    try:
        start.waiting()
    finally:
        gate.set()
    start.finished()
    blocking.result(PATIENCE)

    assert isinstance(start.error, StartCancelled)
    assert steps == []
    assert bus.state is State.EXITED


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_hooks_may_run_as_eager_tasks() -> None:
    """A task that is eager has taken its first step, and may have ended, when it is created."""
    notes: list[str] = []
    bus = Bus()

    async def at_once() -> None:
        notes.append("at once")

    listen(bus, START, at_once)
    add(bus, Part("a", notes))

    async def main() -> None:
        eager: Any = asyncio
        asyncio.get_running_loop().set_task_factory(eager.eager_task_factory)
        await bus.start_async()
        await bus.exit_async()

    asyncio.run(main())

    assert notes == ["at once", "start a", "stop a", "exit a"]


def test_a_task_factory_that_fails_fails_the_hook() -> None:
    """The hook is not called, and the next hook neither; the bus does not wait for a task that does not exist."""
    calls: list[str] = []
    bus = Bus()

    async def hook() -> None:
        calls.append("hook")

    def fail(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        raise TypeError("unexpected keyword argument")

    listen(bus, START, hook)
    listen(bus, START, lambda: calls.append("next"), 60)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(fail)
        try:
            await bus.start_async()
        finally:
            loop.set_task_factory(None)

    with pytest.raises(TransitionFailures) as caught:
        asyncio.run(main())

    assert failures(caught.value) == [TypeError]
    assert calls == []
    assert bus.state is State.STOPPED
